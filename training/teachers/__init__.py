"""Teachers: float recommenders from whose rankings hash models learn.

A teacher is one file with one class, a `Hyperparameters` whose `fit` returns a `Scorer`
(`teacher`). To add one, write its file and add its line to `TEACHERS`; the commands then know its
name and settings, and the contract tests cover it.

Public: `TEACHERS`, `Teacher`.
"""

from __future__ import annotations

from hashrec.training.teachers.blend import Blend
from hashrec.training.teachers.denoised_ease import DenoisedEase
from hashrec.training.teachers.ease import Ease
from hashrec.training.teachers.gc_mc import GcMc
from hashrec.training.teachers.gcn_cf import GcnCf
from hashrec.training.teachers.graph_filter import GraphFilter
from hashrec.training.teachers.ials import Ials
from hashrec.training.teachers.lightgcn import LightGcn
from hashrec.training.teachers.pinsage import PinSage
from hashrec.training.teachers.popularity import Popularity
from hashrec.training.teachers.spectralcf import SpectralCf
from hashrec.training.teachers.teacher import Teacher

__all__ = ["TEACHERS", "Teacher"]

TEACHERS: dict[str, type[Teacher]] = {
    "blend": Blend,
    "denoised-ease": DenoisedEase,
    "ease": Ease,
    "gc-mc": GcMc,
    "gcn-cf": GcnCf,
    "graph-filter": GraphFilter,
    "ials": Ials,
    "lightgcn": LightGcn,
    "pinsage": PinSage,
    "popularity": Popularity,
    "spectralcf": SpectralCf,
}
