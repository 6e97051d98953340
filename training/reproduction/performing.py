"""Perform a run: read, split, fit the teacher unless its factors are kept, fit codes, judge."""

from __future__ import annotations

import json
import resource
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from hashrec.index.artifacts import durable
from hashrec.training.data.interactions import Interactions
from hashrec.training.data.splits import Split
from hashrec.training.jobs.config import JobConfig
from hashrec.training.jobs.inputs import read, split_data
from hashrec.training.jobs.job import Job
from hashrec.training.jobs.outputs import sizes
from hashrec.training.jobs.recipe import Recipe
from hashrec.training.jobs.report import Stopwatch, environment, peak_memory_mb
from hashrec.training.judging.evaluation import evaluate_hash_codes, evaluate_scores
from hashrec.training.judging.judgement import REPORTED_LENGTHS, Metrics
from hashrec.training.models import HashModel
from hashrec.training.numerics.embeddings import Embeddings
from hashrec.training.numerics.scorer import Scorer
from hashrec.training.progress import History, QuietProgress, shown_on
from hashrec.training.reproduction.runs import described, key_of, teacher_of, version_of
from hashrec.training.teachers import Teacher

Report = dict[str, Any]


@dataclass(frozen=True, eq=False)
class Taught:
    """A fitted teacher and the cost of its fit, which another run may have made.

    Attributes:
        scorer: the fitted teacher.
        curves: loss curves of the fit.
        seconds: wall clock of the fit.
        peak_mb: of the process that fitted it, in 10^6 bytes.
    """

    scorer: Scorer
    curves: History
    seconds: float
    peak_mb: float

    def write(self, path: Path) -> None:
        """Write it to a file if the scorer is nothing but factors."""
        if type(self.scorer) is not Embeddings:  # a subclass holds more than factors
            return
        about = {"curves": self.curves, "seconds": self.seconds, "peak_mb": self.peak_mb}
        path.parent.mkdir(parents=True, exist_ok=True)
        with durable.replacing(path) as temporary, temporary.open("wb") as file:
            np.savez(
                file,
                users=self.scorer.users,
                items=self.scorer.items,
                about=np.array(json.dumps(about)),
            )

    @classmethod
    def read(cls, path: Path) -> Taught | None:
        """Read it from a file; None if the file is missing or damaged."""
        try:
            # opened here: NumPy leaves a damaged file open
            with path.open("rb") as file, np.load(file, allow_pickle=False) as kept:
                scorer = Embeddings(users=kept["users"], items=kept["items"])
                return cls(scorer, **json.loads(str(kept["about"])))
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return None


def perform(
    config: JobConfig,
    *,
    teachers: Path | None = None,
    threads: int | None = None,
    draws: bool = False,
) -> Report:
    """Fit and judge codes, or a teacher if the settings name no hash model.

    Codes are ranked by the code that serves, teachers by their scores under the same rules.

    Args:
        config: the settings of the job.
        teachers: folder of the factors of teachers, so that several runs share one fit; None keeps
            no factors.
        threads: at most; None leaves it to the libraries.
        draws: show progress on stderr.

    Returns:
        A report in the form of `hashrec train`'s. Its `total` seconds include the fit of the
        teacher even if its factors were kept; `spent` is the time of this run alone.
    """
    progress = shown_on(sys.stderr) if draws else QuietProgress()
    job = Job.of(config, progress, _ignore)
    if threads is None:
        return _perform(job, teachers)
    torch.set_num_threads(threads)
    with threadpool_limits(threads):
        return _perform(job, teachers)


def _perform(job: Job, teachers: Path | None) -> Report:
    config = job.config
    with job.stage("read"):
        dataset = read(config.data, job.say)
        split = split_data(job, dataset)
        sha256 = dataset.interactions.data_hash()
    recipe, selection = None, None
    if config.model:
        with job.stage("selection"):
            recipe, selection = Recipe.of(config).settle(job, split.train)
        teacher, settings = recipe.teacher, recipe.settings()
    else:
        teacher, settings = teacher_of(config.teacher), {"teacher": described(config.teacher)}
    settings = config.model_dump(mode="json") | settings
    taught = None
    if teacher is not None:
        kept = None if teachers is None else teachers / f"{_key(settings, sha256, job.device)}.npz"
        with job.stage("teacher"):
            taught = _taught(job, teacher, split.train, kept)
    if recipe is not None:
        ranked, (judged, n_bytes) = "codes", _judge_codes(job, recipe.model, taught, split)
    else:
        assert taught is not None
        ranked, (judged, n_bytes) = "scores", _judge_scores(job, taught.scorer, split)
    return {
        "config": settings,
        "data": {
            "source": config.data.source,
            "sha256": sha256,
            **sizes(split.train, split.held_out),
        },
        "metrics": {split.judged_part: {ranked: judged.figures()}},
        **_cost(job, taught),
        "bytes_per_item": n_bytes,
        "environment": environment() | {"device": str(job.device)},
        "selection": None if selection is None else selection.report(),
    }


def _judge_codes(
    job: Job, model: HashModel, taught: Taught | None, split: Split
) -> tuple[Metrics, dict[str, int]]:
    """Fit codes and judge them; return the figures and the bytes of an item."""
    assert split.held_out is not None  # every protocol holds something out
    with job.stage("model"):
        scorer = None if taught is None else taught.scorer
        codes = model.fit(split.train, scorer, **job.fit_options)
    with job.stage("evaluate"):
        judged = evaluate_hash_codes(
            codes.users, codes.items, split.train, split.held_out, job.k, lengths=REPORTED_LENGTHS
        )
    n_bytes = codes.items.n_bits // 8
    return judged, {"code": n_bytes, "total": n_bytes}


def _judge_scores(job: Job, scorer: Scorer, split: Split) -> tuple[Metrics, dict[str, int]]:
    """Judge a teacher; return the figures and the bytes of an item, if it has factors."""
    assert split.held_out is not None
    with job.stage("evaluate"):
        relevant = split.held_out.seen()
        judged = evaluate_scores(scorer, split.train, relevant, job.k, lengths=REPORTED_LENGTHS)
    if isinstance(scorer, Embeddings) and scorer.dim > 1:
        return judged, {"total": scorer.items.itemsize * scorer.dim}
    return judged, {}


def _cost(job: Job, taught: Taught | None) -> Report:
    """Return seconds, memory and loss curves, with those of a teacher that was kept."""
    seconds = job.clock.seconds
    spent = sum(seconds.values())
    total, peak_mb, curves = spent, peak_memory_mb(), job.progress.history
    if taught is not None:
        total += taught.seconds - seconds["teacher"]
        peak_mb, curves = max(peak_mb, taught.peak_mb), taught.curves | curves
    usage = resource.getrusage(resource.RUSAGE_SELF)
    of_all = {
        "total": round(total, 3),
        "spent": round(spent, 3),
        "processor": round(usage.ru_utime + usage.ru_stime, 3),
    }
    return {
        "seconds": seconds | of_all,
        "peak_memory_mb": round(peak_mb, 1),
        "curves": curves,
    }


def _taught(job: Job, teacher: Teacher, train: Interactions, kept: Path | None) -> Taught:
    """Return the teacher that is kept, or fit it and keep it if `kept` is a path."""
    found = None if kept is None else Taught.read(kept)
    if found is not None:
        return found
    clock = Stopwatch()
    with clock.stage("fit"):
        scorer = teacher.fit(train, **job.fit_options)
    taught = Taught(scorer, dict(job.progress.history), clock.seconds["fit"], peak_memory_mb())
    if kept is not None:
        taught.write(kept)
    return taught


def _key(settings: dict[str, Any], sha256: str, device: torch.device) -> str:
    """Return a key that is equal for two teachers if and only if they can share a fit."""
    shared = {name: settings[name] for name in ("teacher", "split", "seed")}
    version = version_of(settings["teacher"]["name"])
    return key_of(shared | {"data": sha256, "device": device.type, "version": version})


def _ignore(_message: str) -> None:
    """Keep quiet."""
