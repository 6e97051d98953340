"""One training job, from a data source to a run's folder.

RUN/artifact/       what serves
RUN/held_out.npy    the held-out pairs, int32 (n, 2): user row, item row; none with `--split none`
RUN/report.json     figures, settings, seed, data hash
RUN/.checkpoints/   how far a job is, until it is done
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from hashrec.index.arrays.seen import SeenItems
from hashrec.index.artifacts.artifact import (
    HELD_OUT_FILE,
    RUN_FOLDER,
    Artifact,
    record_metrics,
    write_artifact,
)
from hashrec.index.artifacts.manifest import DataInfo, Manifest, ModelInfo
from hashrec.index.errors import ConfigError, DataError, EmptyDataError
from hashrec.index.live.journal import open_journal
from hashrec.index.model.items import ItemTable
from hashrec.index.model.model import Model
from hashrec.index.ranking.recommender import Recommender
from hashrec.training.data.catalogue import Dataset, load_dataset
from hashrec.training.data.filtering import k_core
from hashrec.training.data.interactions import Interactions
from hashrec.training.data.journal_events import merge_events, read_events
from hashrec.training.data.reading import read_interactions
from hashrec.training.data.splits import Split, by_popularity, make_split, validation_part
from hashrec.training.jobs.checkpoints import Checkpoints
from hashrec.training.jobs.config import DataConfig, JobConfig
from hashrec.training.jobs.recipe import RERANK_NEEDS_TEACHER, Recipe, Say
from hashrec.training.jobs.report import REPORT_FILE, Report, Stopwatch, environment, peak_memory_mb
from hashrec.training.jobs.reranking import DIMS, RerankChoice, build_reranker, choose_reranker
from hashrec.training.jobs.resuming import ResumableProgress
from hashrec.training.jobs.selection import VALIDATION_SHARE
from hashrec.training.judging.diagnostics import Diagnostics, diagnose
from hashrec.training.judging.evaluation import (
    Judgement,
    evaluate_codes,
    evaluate_popularity,
    evaluate_scores,
    judge_codes,
)
from hashrec.training.models import HashCodes
from hashrec.training.numerics.embeddings import Embeddings
from hashrec.training.numerics.factorization import factors_of
from hashrec.training.numerics.scorer import Scorer
from hashrec.training.progress import Progress

CHECKPOINTS_FOLDER = ".checkpoints"
Figures = dict[str, dict[str, float]]
Fitted = tuple[HashCodes, Scorer | None]  # codes, and what the teacher they learned from can do


def train(
    config: JobConfig, run: Path, progress: Progress, say: Say, *, fresh: bool = False
) -> Report:
    """Read, split, learn, write the artifact, evaluate, report.

    Args:
        config: the job's settings.
        run: folder to write to. A job that was killed there goes on if it is this one.
        progress: follows the training loops.
        say: takes one-line messages.
        fresh: start over, whatever is there.

    Raises:
        HashrecError: with the reason; an artifact that was in `run` before is replaced only by a
            complete one.
    """
    recipe, clock = Recipe.of(config), Stopwatch()
    run.mkdir(parents=True, exist_ok=True)
    checkpoints = Checkpoints(run / CHECKPOINTS_FOLDER, config.checkpoint_seconds, say)
    if fresh:
        checkpoints.clear()
    with clock.stage("read"):
        dataset = read(config.data, say)
        split = split_data(dataset, config, say)
        checkpoints.begin(recipe.key(config, split.train))
    progress = ResumableProgress(progress, checkpoints, say)
    part = "validation" if config.split.by_validation else "test"
    held_out = split.validation if config.split.by_validation else split.test
    with clock.stage("selection"):
        recipe, selection = recipe.settle(split.train, config, progress, say)
    choice = None
    if config.rerank == "auto":

        def choose() -> dict[str, Any] | None:
            chosen = choose_by_validation(
                recipe, split.train, config, progress=progress, clock=clock, say=say
            )
            return None if chosen is None else asdict(chosen)

        if (kept := progress.once("re-ranking", choose)) is not None:
            choice = RerankChoice(**kept)
    fitted = fit(recipe, split.train, config.seed, progress=progress, clock=clock, say=say)
    artifact = run / RUN_FOLDER
    with clock.stage("write"):
        for stale in (HELD_OUT_FILE, REPORT_FILE):  # they describe the artifact that goes
            (run / stale).unlink(missing_ok=True)
        manifest = write(
            artifact, fitted, split.train, dataset, choice,
            recipe=recipe, config=config, progress=progress,
        )  # fmt: skip
    metrics: dict[str, Figures] = {}
    if held_out is not None:
        with clock.stage("evaluate"):
            relevant = held_out.seen()
            save_held_out(run, held_out)
            metrics[part] = judge(artifact, relevant, config.k)
            if (taught := fitted[1]) is not None:
                judged = evaluate_scores(taught, split.train, relevant, config.k)
                metrics[part]["teacher"] = asdict(judged)
            record_metrics(artifact, headline(part, metrics[part]))
    report = Report(
        version=manifest.version,
        config=config.model_dump(mode="json") | recipe.settings(),
        data=manifest.data.model_dump() | sizes(split.train, held_out),
        metrics=metrics,
        seconds=clock.seconds | {"total": round(sum(clock.seconds.values()), 3)},
        peak_memory_mb=round(peak_memory_mb(), 1),
        curves=progress.history,
        environment=environment(),
        bytes_per_item=bytes_per_item(manifest),
        rerank=None if choice is None else asdict(choice),
        selection=None if selection is None else selection.report(),
        resumed=checkpoints.resumed,
    )
    report.write(run)
    checkpoints.clear()
    return report


def read(config: DataConfig, say: Say, until: int | None = None) -> Dataset:
    """Read the data that a job names, and filter it.

    Args:
        config: which data.
        say: takes one-line messages.
        until: position of the last entry of the journal that counts; None for all.
    """
    dataset = load_dataset(
        config.source,
        data_home=config.home,
        items=config.items,
        preset=config.preset,
        columns=config.columns,
        min_value=config.min_value,
        types=config.types,
        max_bad=config.max_bad,
    )
    say(dataset.description)
    if config.events is not None:
        dataset = with_events(dataset, config, say, until)
    return dataset.with_interactions(k_core(dataset.interactions, config.k_core))


def with_events(
    dataset: Dataset, config: DataConfig, say: Say, until: int | None = None
) -> Dataset:
    """Merge the events of the journal that a job names into its data; see `read`."""
    assert config.events is not None
    with closing(open_journal(config.events.get_secret_value())) as journal:
        events = read_events(
            journal, types=config.types, negative_types=config.negative_types, until=until
        )
    merged = merge_events(dataset.interactions, events)
    say(
        f"journal: {events.n_events:,} events; {merged.n_added:,} interactions added, "
        f"{merged.n_taken_back:,} taken back"
    )
    return replace(
        dataset, interactions=merged.interactions, journal_position=events.position or None
    )


def split_data(dataset: Dataset, config: JobConfig, say: Say) -> Split:
    """Hold out what the job says, item rows in descending popularity of what is left.

    Raises:
        ConfigError: a given test file is asked for and there is none, or the other way round.
        EmptyDataError: nothing can be held out.
    """
    chosen, test = config.split, None
    if chosen.test is not None and chosen.strategy != "given":
        raise ConfigError("--test FILE goes with --split given")
    if chosen.strategy == "given":
        path = chosen.test or dataset.test_path
        if path is None:
            raise ConfigError("--split given needs --test FILE")
        reading = read_interactions(
            path,
            preset=config.data.preset,
            columns=config.data.columns,
            min_value=config.data.min_value,
            types=config.data.types,
            max_bad=config.data.max_bad,
        )
        say(reading.summary())
        test = reading.interactions
    split = make_split(chosen.strategy, dataset.interactions, seed=config.seed, test=test)
    if split.n_unknown or split.n_known:
        say(
            f"left out of the test pairs: {split.n_unknown:,} of users or items that training "
            f"lacks, {split.n_known:,} that training holds"
        )
    if chosen.by_validation:
        split = split.with_validation(VALIDATION_SHARE, config.seed)
    for part in (split.test, split.validation):
        if part is not None and not len(part):
            raise EmptyDataError(
                config.data.source, "too little data to hold anything out; use --split none"
            )
    return split.by_popularity()


def fit(
    recipe: Recipe,
    train: Interactions,
    seed: int,
    *,
    progress: Progress,
    clock: Stopwatch,
    say: Say,
) -> Fitted:
    """Fit the teacher, if the recipe has one, then the hash model."""
    say(
        f"learning {recipe.model.n_bits}-bit codes ({recipe.model_name}) from {len(train):,} "
        f"interactions of {train.n_users:,} users with {train.n_items:,} items on {recipe.device}"
    )
    taught = None
    if recipe.teacher is not None:
        with clock.stage("teacher"):
            taught = recipe.teacher.fit(train, seed=seed, device=recipe.device, progress=progress)
    with clock.stage("model"):
        codes = recipe.model.fit(train, taught, seed=seed, device=recipe.device, progress=progress)
    return codes, taught


def choose_by_validation(
    recipe: Recipe,
    train: Interactions,
    config: JobConfig,
    *,
    progress: Progress,
    clock: Stopwatch,
    say: Say,
) -> RerankChoice | None:
    """Fit without a tenth of the training part, and choose by that how to re-rank, if at all."""
    # These are the pairs that teacher and perplexity were chosen by, with the same seed. They may
    # flatter what was chosen, which is under both rankings that are compared here.
    part, held_out = by_popularity(*validation_part(train, VALIDATION_SHARE, config.seed))
    fitted = fit(recipe, part, config.seed, progress=progress, clock=clock, say=say)
    with clock.stage("rerank"):
        factors = rerank_factors(recipe, fitted, config.seed, progress)
        return choose_reranker(fitted[0], factors, held_out.seen(), part.seen(), config.k, say=say)


def rerank_factors(recipe: Recipe, fitted: Fitted, seed: int, progress: Progress) -> Embeddings:
    """Return the teacher's factors, or such factors of its scores as the widest vectors can use."""
    taught = fitted[1]
    if taught is None:
        raise ConfigError(RERANK_NEEDS_TEACHER)
    return factors_of(taught, max(DIMS), seed=seed, device=recipe.device, progress=progress)


def write(
    folder: Path,
    fitted: Fitted,
    train: Interactions,
    dataset: Dataset,
    choice: RerankChoice | None = None,
    *,
    recipe: Recipe,
    config: JobConfig,
    progress: Progress,
) -> Manifest:
    """Write codes, vectors that re-rank if so chosen, and all that serving needs as an artifact."""
    codes, reranker = fitted[0], None
    if choice is not None:
        factors = rerank_factors(recipe, fitted, config.seed, progress)
        reranker = build_reranker(codes, factors, choice)
    model = Model(
        user_codes=codes.users,
        item_codes=codes.items,
        users=train.users,
        items=train.items,
        seen=train.seen(),
        popularity=train.popularity(),
        item_table=ItemTable.build(dataset.attributes.by_row(train.items)),
        encoder=codes.encoder,
        refiner=codes.refiner,
        reranker=reranker,
    )
    return write_artifact(
        folder,
        model,
        model_info=ModelInfo(name=recipe.model_name, seed=config.seed, config=recipe.settings()),
        data_info=DataInfo(
            source=config.data.source,
            sha256=dataset.interactions.data_hash(),
            n_interactions=len(train),
            journal_position=dataset.journal_position,
        ),
        index_type=config.index,
    )


def judge(artifact: Path, relevant: SeenItems, k: int) -> Figures:
    """Rank held-out items with the code that serves, and by popularity."""
    return _figures(Recommender(Artifact.open(artifact)), relevant, k)[0]


def examine(artifact: Path, relevant: SeenItems, k: int) -> tuple[Figures, Diagnostics]:
    """Judge, and say what the codes do, from one ranking of each user."""
    recommender = Recommender(Artifact.open(artifact))
    figures, judged = _figures(recommender, relevant, k)
    return figures, diagnose(recommender, relevant, judged)


def headline(part: str, figures: Figures) -> dict[str, float]:
    """Return what serves by the names a manifest gives its figures, such as `test/ndcg@100`."""
    best = as_served(figures)
    return {f"{part}/{name}@{best['k']}": best[name] for name in ("recall", "map", "ndcg")}


def as_served(figures: Figures) -> dict[str, float]:
    """Return the figures of the lists the service gives: re-ranked, or of the codes alone."""
    return figures.get("reranked", figures["codes"])


def bytes_per_item(manifest: Manifest) -> dict[str, int]:
    """Return the bytes an item is ranked by, in all and by part."""
    code = manifest.n_bits // 8
    return {
        "code": code,
        "vector": manifest.bytes_per_item - code,
        "total": manifest.bytes_per_item,
    }


def sizes(train: Interactions, held_out: Interactions | None) -> dict[str, int]:
    """Return the numbers that say how large the problem was."""
    return {
        "n_users": train.n_users,
        "n_items": train.n_items,
        "n_train": len(train),
        "n_held_out": 0 if held_out is None else len(held_out),
    }


def save_held_out(run: Path, held_out: Interactions) -> None:
    """Keep the held-out pairs beside the artifact, for `hashrec evaluate`."""
    np.save(
        run / HELD_OUT_FILE,
        np.column_stack([held_out.user_rows, held_out.item_rows]),
        allow_pickle=False,
    )


def load_held_out(run: Path, n_users: int) -> SeenItems:
    """Read the held-out pairs of a run.

    Raises:
        DataError: the run held nothing out, or is none.
    """
    path = run / HELD_OUT_FILE
    try:
        pairs = np.load(path, allow_pickle=False)
        return SeenItems.build(pairs[:, 0], pairs[:, 1], n_users)
    except FileNotFoundError:
        raise DataError(
            f"{run}: nothing was held out to evaluate by; train with --split random or temporal"
        ) from None
    except (ValueError, IndexError, OSError) as error:
        raise DataError(f"{path}: not a table of held-out pairs; train again") from error


def _figures(recommender: Recommender, relevant: SeenItems, k: int) -> tuple[Figures, Judgement]:
    judged = judge_codes(recommender, relevant, k, rerank=False)
    figures = {"codes": asdict(judged.metrics())}
    if recommender.reranks:
        figures["reranked"] = asdict(evaluate_codes(recommender, relevant, k))
    figures["popularity"] = asdict(evaluate_popularity(recommender, relevant, k))
    return figures, judged
