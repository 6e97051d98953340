"""The nightly job: learn from the current data, judge, publish.

The gate needs figures that mean the same every night. A pair is held out by a hash of its two ids,
so tonight's candidate and the served model were judged by the same pairs as far as the data are the
same, and neither had seen them. What is published has then learned from everything. That it ranks
the held-out pairs, now part of its data, no worse than the candidate did shows that the second fit
went as well as the first.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from hashrec.index.arrays.seen import SeenItems
from hashrec.index.artifacts.artifact import Artifact, record_metrics
from hashrec.index.artifacts.manifest import Manifest
from hashrec.index.artifacts.store import Store
from hashrec.index.errors import EmptyDataError, QualityGateError
from hashrec.index.live.journal import journal_beside
from hashrec.index.ranking.recommender import Recommender
from hashrec.training.data.catalogue import Dataset
from hashrec.training.data.interactions import Interactions
from hashrec.training.data.splits import by_popularity, stable_holdout
from hashrec.training.jobs.checkpoints import Checkpoints
from hashrec.training.jobs.config import JobConfig
from hashrec.training.jobs.job import (
    CHECKPOINTS_FOLDER,
    Figures,
    Fitted,
    as_served,
    bytes_per_item,
    fit,
    headline,
    judge,
    read,
    rerank_factors,
    sizes,
    write,
)
from hashrec.training.jobs.recipe import Recipe, Say
from hashrec.training.jobs.report import Report, Stopwatch, environment, peak_memory_mb
from hashrec.training.jobs.reranking import RerankChoice, choose_reranker
from hashrec.training.jobs.resuming import ResumableProgress
from hashrec.training.judging.evaluation import evaluate_codes
from hashrec.training.progress import Progress

VALIDATION_SHARE = 0.1
REPORT_FOLDER = "last-retraining"
_WORK_FOLDER, _EVERYTHING = ".retraining", "everything"


def retrain(
    config: JobConfig,
    store_path: Path,
    max_drop: float,
    progress: Progress,
    say: Say,
    *,
    fresh: bool = False,
) -> Report:
    """Train a candidate, hold it against the served version, train on everything, publish.

    Args:
        config: the job's settings; its split is not used. Where it names no journal, the one beside
            the store's versions counts, if there is one.
        store_path: where the served version is and the new one goes.
        max_drop: share by which NDCG@k may fall below the served version's, 0 to 1.
        progress: follows the training loops.
        say: takes one-line messages.
        fresh: start over, even if the same job was killed on the way.

    Raises:
        QualityGateError: the candidate ranks too badly; the served version stays.
        StoreBusyError: another retraining is under way on this store.
        HashrecError: anything else that went wrong; the served version stays.
    """
    recipe, store = Recipe.of(config), Store(store_path)
    config = _with_own_journal(config, store_path)
    work = store_path / _WORK_FOLDER
    checkpoints = Checkpoints(store_path / CHECKPOINTS_FOLDER, config.checkpoint_seconds, say)
    with store.writing(job="retraining"):
        shutil.rmtree(work, ignore_errors=True)
        if fresh:
            checkpoints.clear()
        try:
            report = _retrain(
                config, recipe, store, work, max_drop,
                checkpoints=checkpoints, progress=progress, say=say,
            )  # fmt: skip
            folder = store_path / REPORT_FOLDER
            folder.mkdir(exist_ok=True)
            report.write(folder)
            store.publish(work / _EVERYTHING)  # last: what fails before it changes nothing
            checkpoints.clear()
        except QualityGateError:
            checkpoints.clear()  # the same job would end the same
            raise
        finally:
            shutil.rmtree(work, ignore_errors=True)
    say(f"published {report.version}")
    return report


def _retrain(
    config: JobConfig,
    recipe: Recipe,
    store: Store,
    work: Path,
    max_drop: float,
    *,
    checkpoints: Checkpoints,
    progress: Progress,
    say: Say,
) -> Report:
    clock = Stopwatch()
    with clock.stage("read"):
        dataset = _read(config, recipe, checkpoints, say)
        part, held_out = stable_holdout(dataset.interactions, VALIDATION_SHARE)
        if not len(held_out):
            raise EmptyDataError(
                config.data.source,
                "too little data to judge a model by; `hashrec train --split none` and "
                "`hashrec publish` take it as it is",
            )
        part, held_out_of_part = by_popularity(part, held_out)
        full, held_out_of_full = by_popularity(dataset.interactions, held_out)

    progress = ResumableProgress(progress, checkpoints, say)
    with clock.stage("selection"):
        recipe, selection = recipe.settle(part, config, progress, say)

    def learn(train: Interactions) -> Fitted:
        return fit(recipe, train, config.seed, progress=progress, clock=clock, say=say)

    def save(
        fitted: Fitted, train: Interactions, folder: Path, choice: RerankChoice | None
    ) -> Manifest:
        with clock.stage("write"):
            return write(
                folder, fitted, train, dataset, choice,
                recipe=recipe, config=config, progress=progress,
            )  # fmt: skip

    def judge_candidate() -> dict[str, Any]:
        fitted, choice = learn(part), None
        if config.rerank == "auto":  # the candidate is a fit without a validation part already
            with clock.stage("rerank"):
                choice = choose_reranker(
                    fitted[0],
                    rerank_factors(recipe, fitted, config.seed, progress),
                    held_out_of_part.seen(),
                    part.seen(),
                    config.k,
                    say=say,
                )
        artifact, relevant = work / "candidate", held_out_of_part.seen()
        save(fitted, part, artifact, choice)
        del fitted  # its teacher may hold gigabytes
        with clock.stage("evaluate"):
            return {
                "choice": None if choice is None else asdict(choice),
                "figures": judge(artifact, relevant, config.k),
                "among_all": _ndcg_among_all(artifact, relevant, config.k),
            }

    candidate = progress.once("candidate", judge_candidate)
    figures: Figures = candidate["figures"]
    choice = None if candidate["choice"] is None else RerankChoice(**candidate["choice"])
    require_no_drop(figures, _served_metrics(store), max_drop, say)

    everything = work / _EVERYTHING
    manifest = save(learn(full), full, everything, choice)
    with clock.stage("evaluate"):
        among_all = _ndcg_among_all(everything, held_out_of_full.seen(), config.k)
        require_same_fit(candidate["among_all"], among_all, config.k, max_drop)
    record_metrics(everything, headline("validation", figures))
    return Report(
        version=manifest.version,
        config=config.model_dump(mode="json") | recipe.settings(),
        data=manifest.data.model_dump() | sizes(full, held_out),
        metrics={"validation": figures},
        seconds=clock.seconds | {"total": round(sum(clock.seconds.values()), 3)},
        peak_memory_mb=round(peak_memory_mb(), 1),
        curves=progress.history,
        environment=environment(),
        bytes_per_item=bytes_per_item(manifest),
        rerank=None if choice is None else asdict(choice),
        selection=None if selection is None else selection.report(),
        resumed=checkpoints.resumed,
    )


def _read(config: JobConfig, recipe: Recipe, checkpoints: Checkpoints, say: Say) -> Dataset:
    """Read the data, and begin or go on with their job.

    Events come all the time. An interrupted job goes on with those that it had read, and the
    service applies the later ones to what it publishes.
    """
    until = checkpoints.journal_position()
    dataset = read(config.data, say, until)
    key = recipe.key(config, dataset.interactions)
    if until is not None and not checkpoints.belong_to(key):
        dataset = read(config.data, say)
        key = recipe.key(config, dataset.interactions)
    # Of a journal that is still empty, too, later events are left for the next job.
    none = None if config.data.events is None else 0
    checkpoints.begin(key, dataset.journal_position or none)
    return dataset


def _with_own_journal(config: JobConfig, store_path: Path) -> JobConfig:
    path = journal_beside(store_path)
    if config.data.events is not None or not path.is_file():
        return config
    data = config.data.model_copy(update={"events": SecretStr(f"sqlite:{path}")})
    return config.model_copy(update={"data": data})


def require_no_drop(
    figures: Figures, served: Mapping[str, float] | None, max_drop: float, say: Say
) -> None:
    """Hold a candidate's NDCG@k against the figure that the served version was let through by.

    A served version without one, because it was not published by this job or with another k, leaves
    popularity as the bar. Where nothing is served there is none.

    Args:
        figures: the candidate's and popularity's.
        served: the figures in the served version's manifest; None where nothing is served.
        max_drop: share by which the candidate may be below the bar.
        say: takes one-line messages.

    Raises:
        QualityGateError: it is further below.
    """
    candidate, popularity = as_served(figures)["ndcg"], figures["popularity"]["ndcg"]
    name = f"ndcg@{figures['popularity']['k']}"
    say(f"candidate: {name} {candidate:.4f}; popularity: {popularity:.4f}")
    if candidate < popularity:
        say("warning: the popular items, the same for everyone, rank better than this model does")
    if served is None:
        return
    whose, bar = "popularity's", popularity
    if (before := served.get(f"validation/{name}")) is not None:
        whose, bar = "the served version's", before
    say(f"bar: {whose} {bar:.4f}, less {max_drop:.0%}")
    if candidate < (1 - max_drop) * bar:
        raise QualityGateError(name, candidate, bar, whose, max_drop)


def _served_metrics(store: Store) -> Mapping[str, float] | None:
    """Return the served version's figures, readable even if its arrays are damaged."""
    pointer = store.pointer()
    return None if pointer is None else Manifest.read(store.folder(pointer.current)).metrics


def require_same_fit(candidate: float, everything: float, k: int, max_drop: float) -> None:
    """Hold the model that learned from everything against the candidate, by held-out pairs.

    Raises:
        QualityGateError: it ranks pairs it learned from worse than the candidate, which did not.
    """
    if everything < (1 - max_drop) * candidate:
        raise QualityGateError(
            f"the final fit's ndcg@{k}", everything, candidate, "the candidate's", max_drop
        )


def _ndcg_among_all(artifact: Path, relevant: SeenItems, k: int) -> float:
    """Rank without leaving anything out: only then do two models with other seen items compare."""
    recommender = Recommender(Artifact.open(artifact))
    return evaluate_codes(recommender, relevant, k, exclude_seen=False).ndcg
