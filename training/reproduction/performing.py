"""What a run does: read, split, fit the teacher unless its factors are there, fit codes, judge."""

from __future__ import annotations

import json
import resource
import sys
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from hashrec.index.artifacts import durable
from hashrec.training.data.interactions import Interactions
from hashrec.training.jobs.config import JobConfig
from hashrec.training.jobs.job import read, sizes, split_data
from hashrec.training.jobs.recipe import Recipe
from hashrec.training.jobs.report import Stopwatch, environment, peak_memory_mb
from hashrec.training.judging.evaluation import evaluate_hash_codes, evaluate_scores
from hashrec.training.numerics.device import resolve_device
from hashrec.training.numerics.embeddings import Embeddings
from hashrec.training.numerics.scorer import Scorer
from hashrec.training.progress import BarProgress, History, Progress, QuietProgress
from hashrec.training.reproduction.runs import described, key_of, teacher_of, version_of
from hashrec.training.teachers import Teacher

Report = dict[str, Any]


@dataclass(frozen=True, eq=False)
class Taught:
    """A fitted teacher, and what its fit took, in whichever run it was.

    Attributes:
        scorer: fitted.
        curves: of the fit.
        seconds: wall clock of the fit.
        peak_mb: of the process that fitted it, in 10^6 bytes.
    """

    scorer: Scorer
    curves: History
    seconds: float
    peak_mb: float

    def write(self, path: Path) -> None:
        """Keep it, where the scorer is nothing but factors."""
        if type(self.scorer) is not Embeddings:  # those derived from it can do more
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
        """Return what is kept; None where there is nothing, or it is damaged."""
        try:
            # opened here: of a damaged file NumPy would leave it open
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
    """Fit and judge what a job's settings say: codes, or a teacher where they name no hash model.

    Codes are ranked by the code that serves, teachers by their scores under the same rules.

    Args:
        config: the job.
        teachers: folder of the factors of teachers, so that one fit does for several runs; None
            keeps none.
        threads: at most; None leaves it to the libraries.
        draws: progress, on stderr.

    Returns:
        A report in the form of `hashrec train`'s. Its `total` seconds hold the fit of the teacher
        even where that was there already; `spent` is what this run took.
    """
    progress = BarProgress(sys.stderr) if draws else QuietProgress()
    if threads is None:
        return _perform(config, teachers, progress)
    torch.set_num_threads(threads)
    with threadpool_limits(threads):
        return _perform(config, teachers, progress)


def _perform(config: JobConfig, teachers: Path | None, progress: Progress) -> Report:
    clock, device = Stopwatch(), resolve_device(config.device)
    with clock.stage("read"):
        dataset = read(config.data, _ignore)
        split = split_data(dataset, config, _ignore)
        sha256 = dataset.interactions.data_hash()
    train, part, held_out = split.train, "test", split.test
    if config.split.by_validation:
        part, held_out = "validation", split.validation
    assert held_out is not None  # every protocol holds something out

    recipe, selection, taught = None, None, None
    if config.model:
        with clock.stage("selection"):
            recipe, selection = Recipe.of(config).settle(train, config, progress, _ignore)
        teacher, settings = recipe.teacher, recipe.settings()
    else:
        teacher, settings = teacher_of(config.teacher), {"teacher": described(config.teacher)}
    settings = config.model_dump(mode="json") | settings
    if teacher is not None:
        kept = None if teachers is None else teachers / f"{_key(settings, sha256, device)}.npz"
        with clock.stage("teacher"):
            taught = _taught(
                teacher, train, kept, seed=config.seed, device=device, progress=progress
            )
    n_bytes: dict[str, int] = {}
    if recipe is None:
        assert taught is not None
        with clock.stage("evaluate"):
            judged = evaluate_scores(taught.scorer, train, held_out.seen(), config.k)
        if isinstance(taught.scorer, Embeddings) and taught.scorer.dim > 1:
            n_bytes["total"] = taught.scorer.items.itemsize * taught.scorer.dim
    else:
        with clock.stage("model"):
            scorer = None if taught is None else taught.scorer
            codes = recipe.model.fit(
                train, scorer, seed=config.seed, device=device, progress=progress
            )
        with clock.stage("evaluate"):
            judged = evaluate_hash_codes(codes.users, codes.items, train, held_out, config.k)
        n_bytes["code"] = n_bytes["total"] = codes.items.n_bits // 8

    spent = sum(clock.seconds.values())
    total, peak_mb, curves = spent, peak_memory_mb(), progress.history
    if taught is not None:
        total += taught.seconds - clock.seconds["teacher"]
        peak_mb, curves = max(peak_mb, taught.peak_mb), taught.curves | curves
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "config": settings,
        "data": {"source": config.data.source, "sha256": sha256, **sizes(train, held_out)},
        "metrics": {part: {"scores" if recipe is None else "codes": asdict(judged)}},
        "seconds": clock.seconds
        | {
            "total": round(total, 3),
            "spent": round(spent, 3),
            "processor": round(usage.ru_utime + usage.ru_stime, 3),
        },
        "peak_memory_mb": round(peak_mb, 1),
        "bytes_per_item": n_bytes,
        "curves": curves,
        "environment": environment() | {"device": str(device)},
        "selection": None if selection is None else selection.report(),
    }


def _taught(
    teacher: Teacher,
    train: Interactions,
    kept: Path | None,
    *,
    seed: int,
    device: torch.device,
    progress: Progress,
) -> Taught:
    """Return the fitted teacher that is kept, or fit it, and keep it if there is a place for it."""
    found = None if kept is None else Taught.read(kept)
    if found is not None:
        return found
    clock = Stopwatch()
    with clock.stage("fit"):
        scorer = teacher.fit(train, seed=seed, device=device, progress=progress)
    taught = Taught(scorer, dict(progress.history), clock.seconds["fit"], peak_memory_mb())
    if kept is not None:
        taught.write(kept)
    return taught


def _key(settings: dict[str, Any], sha256: str, device: torch.device) -> str:
    """Return what is the same for two teachers if and only if one fit does for both."""
    shared = {name: settings[name] for name in ("teacher", "split", "seed")}
    version = version_of(settings["teacher"]["name"])
    return key_of(shared | {"data": sha256, "device": device.type, "version": version})


def _ignore(_message: str) -> None:
    """Keep quiet."""
