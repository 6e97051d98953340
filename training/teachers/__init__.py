"""Teachers: float recommenders whose rankings hash models learn from.

To add one, write its file and add its line here; the contract tests then cover it.
"""

from __future__ import annotations

from training.teachers.blend import Blend
from training.teachers.denoised_ease import DenoisedEase
from training.teachers.ease import Ease
from training.teachers.gc_mc import GcMc
from training.teachers.gcn_cf import GcnCf
from training.teachers.graph_filter import GraphFilter
from training.teachers.ials import Ials
from training.teachers.lightgcn import LightGcn
from training.teachers.pinsage import PinSage
from training.teachers.popularity import Popularity
from training.teachers.spectralcf import SpectralCf
from training.teachers.teacher import Teacher

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
