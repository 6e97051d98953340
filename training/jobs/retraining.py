"""`hashrec retrain`: the nightly job that learns from the current data, judges and publishes.

The quality gate compares figures of different nights. Every night therefore holds out the same
interactions (`gate`): tonight's candidate and that of the served model are judged by the same ones,
and neither has seen them. The published model learns from all pairs. It must rank the held-out
pairs, which it has now seen, no worse than the candidate did; otherwise its fit went wrong.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from hashrec.index.arrays.seen import SeenItems
from hashrec.index.artifacts.artifact import Artifact, record_metrics
from hashrec.index.artifacts.manifest import Manifest
from hashrec.index.artifacts.store import Store
from hashrec.index.errors import QualityGateError
from hashrec.index.live.journal import journal_beside
from hashrec.index.ranking.recommender import Recommender
from hashrec.training.data.catalogue import Dataset
from hashrec.training.data.splits import by_popularity
from hashrec.training.jobs.checkpoints import CHECKPOINTS_FOLDER, Checkpoints
from hashrec.training.jobs.config import JobConfig
from hashrec.training.jobs.fitting import choose_reranking, fit
from hashrec.training.jobs.gate import HeldOut, hold_out, require_gate
from hashrec.training.jobs.inputs import read
from hashrec.training.jobs.job import Job
from hashrec.training.jobs.outputs import build_report, write
from hashrec.training.jobs.recipe import Recipe
from hashrec.training.jobs.report import Report
from hashrec.training.jobs.reranking import RerankChoice
from hashrec.training.jobs.resuming import ResumableProgress
from hashrec.training.judging.artifacts import Figures, as_served, headline, judge
from hashrec.training.judging.evaluation import evaluate_codes
from hashrec.training.progress import Progress, Say

REPORT_FOLDER = "last-retraining"
_WORK_FOLDER = ".retraining"


def retrain(
    config: JobConfig,
    store_path: Path,
    max_drop: float,
    progress: Progress,
    say: Say,
    *,
    gate: str | None = None,
    fresh: bool = False,
) -> Report:
    """Train a candidate, compare it with the served version, train on everything, publish.

    Args:
        config: the job's settings; its split is not used. Without a journal it takes the one beside
            the store's versions, if there is one.
        store_path: the store with the served version, where the new one is published.
        max_drop: share by which NDCG@k may fall below the served version's, 0 to 1.
        progress: follows the training loops.
        say: takes one-line messages.
        gate: what is held out to judge the candidate by, see `hold_out`.
        fresh: start over, even if the same job was killed on the way.

    Raises:
        QualityGateError: the candidate ranks too badly; the served version stays.
        StoreBusyError: another retraining is under way on this store.
        HashrecError: any other failure; the served version stays.
    """
    require_gate(gate)
    recipe, store = Recipe.of(config), Store(store_path)
    checkpoints = Checkpoints(store_path / CHECKPOINTS_FOLDER, config.checkpoint_seconds, say)
    progress = ResumableProgress(progress, checkpoints, say)
    job = Job.of(_with_own_journal(config, store_path), progress, say)
    work = store_path / _WORK_FOLDER
    with store.writing(job="retraining"):
        shutil.rmtree(work, ignore_errors=True)
        if fresh:
            checkpoints.clear()
        try:
            report = _retrain(
                job, recipe, checkpoints, store, work=work, max_drop=max_drop, gate=gate
            )
            folder = store_path / REPORT_FOLDER
            folder.mkdir(exist_ok=True)
            report.write(folder)
            store.publish(work / "everything")  # last: a failure before it changes nothing
            checkpoints.clear()
        except QualityGateError:
            checkpoints.clear()  # the same job would end the same
            raise
        finally:
            shutil.rmtree(work, ignore_errors=True)
    say(f"published {report.version}")
    return report


@dataclass(frozen=True)
class _Candidate:
    """What is known of the model that was fitted without the held-out pairs.

    Attributes:
        figures: of its lists on the held-out pairs.
        among_all: its NDCG@k with seen items in the lists, see `_ndcg_among_all`.
        choice: how it re-ranks; None for codes alone.
        later: figures on `HeldOut.later`; None without it.
    """

    figures: Figures
    among_all: float
    choice: RerankChoice | None
    later: Figures | None


def _retrain(
    job: Job,
    recipe: Recipe,
    checkpoints: Checkpoints,
    store: Store,
    *,
    work: Path,
    max_drop: float,
    gate: str | None,
) -> Report:
    served = _served_metrics(store)
    with job.stage("read"):
        dataset, held_out = _read(job, recipe, checkpoints, gate, served)
        split = held_out.split
        full, held_out_of_full = by_popularity(dataset.interactions, held_out.pairs)
    with job.stage("selection"):
        by_time = held_out.report["strategy"] == "time"
        recipe, selection = recipe.settle(job, split.train, dataset.strength, by_time=by_time)

    candidate = _candidate(job, recipe, held_out, dataset, work / "candidate")
    require_no_drop(candidate.figures, served, max_drop, job.say, measured_on=held_out.figures)

    everything = work / "everything"
    fitted = fit(job, recipe, full)
    with job.stage("write"):
        manifest = write(job, everything, fitted, dataset, candidate.choice)
    del fitted  # its teacher may hold gigabytes
    with job.stage("evaluate"):
        among_all = _ndcg_among_all(everything, held_out_of_full.seen(), job.k)
        require_same_fit(candidate.among_all, among_all, job.k, max_drop)
    metrics = headline(held_out.figures, candidate.figures)
    if candidate.later is not None:
        metrics |= headline(held_out.later_figures, candidate.later)
    record_metrics(everything, metrics)
    return build_report(
        job, recipe, manifest, full, held_out.pairs, metrics={"validation": candidate.figures},
        choice=candidate.choice, selection=selection, resumed=checkpoints.resumed,
        split=held_out.report,
        said=dataset.strength,
    )  # fmt: skip


def _read(
    job: Job,
    recipe: Recipe,
    checkpoints: Checkpoints,
    gate: str | None,
    served: Mapping[str, float] | None,
) -> tuple[Dataset, HeldOut]:
    """Read the data, hold out what judges the candidate, and begin or resume their job.

    New events arrive all the time. A job that goes on takes the events that it had read before; the
    service applies the later ones to the published model.
    """
    config, until = job.config.data, checkpoints.journal_position()
    needed = ("timestamp",) if gate == "time" else ()

    def data(until: int | None) -> tuple[Dataset, HeldOut, str]:
        strength = job.config.given_strength
        dataset = read(config, job.say, until, needed=needed, strength=strength)
        held_out = hold_out(job, dataset.interactions, gate, served)
        return dataset, held_out, recipe.key(job, dataset.interactions, held_out.pairs)

    dataset, held_out, key = data(until)
    if until is not None and not checkpoints.belong_to(key):
        dataset, held_out, key = data(None)
    # The position of a journal that is still empty is 0: later events are left for the next job.
    none = None if config.events is None else 0
    checkpoints.begin(key, dataset.journal_position or none)
    return dataset, held_out


def _candidate(
    job: Job, recipe: Recipe, gate: HeldOut, dataset: Dataset, artifact: Path
) -> _Candidate:
    """Fit, choose how to re-rank, write and judge a model; a resumed job does not do it again."""
    split, held_out, later = gate.split, gate.split.held_out, gate.later
    assert held_out is not None

    def make() -> dict[str, Any]:
        fitted, choice = fit(job, recipe, split.train), None
        if job.config.rerank == "auto":  # this fit has no validation part already
            choice = choose_reranking(job, fitted, held_out)
        with job.stage("write"):
            write(job, artifact, fitted, dataset, choice, cut=split.cut)
        del fitted  # its teacher may hold gigabytes
        with job.stage("evaluate"):
            relevant = held_out.seen()
            return {
                "choice": None if choice is None else asdict(choice),
                "figures": judge(artifact, relevant, job.k),
                "among_all": _ndcg_among_all(artifact, relevant, job.k),
                "later": None if later is None else judge(artifact, later.seen(), job.k),
            }

    kept = job.progress.once("candidate", make)
    choice = None if kept["choice"] is None else RerankChoice(**kept["choice"])
    return _Candidate(kept["figures"], kept["among_all"], choice, kept["later"])


def _with_own_journal(config: JobConfig, store_path: Path) -> JobConfig:
    path = journal_beside(store_path)
    if config.data.events is not None or not path.is_file():
        return config
    data = config.data.model_copy(update={"events": SecretStr(f"sqlite:{path}")})
    return config.model_copy(update={"data": data})


def require_no_drop(
    figures: Figures,
    served: Mapping[str, float] | None,
    max_drop: float,
    say: Say,
    *,
    measured_on: str = "validation",
) -> None:
    """Compare a candidate's NDCG@k with the figure in the served version's manifest.

    A version that was published by another command, with another k or after another moment has no
    such figure: then the bar is popularity's NDCG@k. If nothing is served there is no bar.

    Args:
        figures: the candidate's and those of the popular items.
        served: the figures in the served version's manifest; None if nothing is served.
        max_drop: share by which the candidate may be below the bar.
        say: takes one-line messages.
        measured_on: see `HeldOut.figures`.

    Raises:
        QualityGateError: it is further below.
    """
    candidate, popularity = as_served(figures)["ndcg"], figures["popularity"]["ndcg"]
    name = f"ndcg@{figures['popularity']['k']}"
    say(f"candidate: {name} {candidate:.4f}; popularity: {popularity:.4f}")
    references = {what: figures[what]["ndcg"] for what in figures if what.startswith("popularity")}
    if candidate < max(references.values()):
        best = max(references, key=references.__getitem__)
        say(
            f"warning: the popular items, the same for everyone, rank better than this model "
            f"({best}: {references[best]:.4f})"
        )
    if served is None:
        return
    whose, bar = "popularity's", popularity
    if (before := served.get(f"{measured_on}/{name}")) is not None:
        whose, bar = "the served version's", before
    say(f"bar: {whose} {bar:.4f}, less {max_drop:.0%}")
    if candidate < (1 - max_drop) * bar:
        raise QualityGateError(name, candidate, bar, whose, max_drop)


def _served_metrics(store: Store) -> Mapping[str, float] | None:
    """Return the served version's figures; damaged arrays do not matter."""
    pointer = store.pointer()
    return None if pointer is None else Manifest.read(store.folder(pointer.current)).metrics


def require_same_fit(candidate: float, everything: float, k: int, max_drop: float) -> None:
    """Compare the model that learned from everything with the candidate, by the held-out pairs.

    Raises:
        QualityGateError: it ranks pairs that it has seen worse than the candidate, which has not.
    """
    if everything < (1 - max_drop) * candidate:
        raise QualityGateError(
            f"the final fit's ndcg@{k}", everything, candidate, "the candidate's", max_drop
        )


def _ndcg_among_all(artifact: Path, relevant: SeenItems, k: int) -> float:
    """Rank all items, seen ones too: two models with different seen items are comparable so."""
    recommender = Recommender(Artifact.open(artifact))
    return evaluate_codes(recommender, relevant, k, exclude_seen=False).ndcg
