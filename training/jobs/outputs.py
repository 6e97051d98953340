"""The last steps of a job: write the artifact and the held-out pairs, report."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from hashrec.index.arrays.seen import SeenItems
from hashrec.index.artifacts.artifact import HELD_OUT_FILE, write_artifact
from hashrec.index.artifacts.manifest import DataInfo, Manifest, ModelInfo
from hashrec.index.errors import DataError
from hashrec.index.model.items import ItemTable
from hashrec.index.model.model import Model
from hashrec.index.model.recent import RecentCounts
from hashrec.index.model.seen_strengths import SeenStrengths
from hashrec.index.strength import UNIT, Strength
from hashrec.training.data.catalogue import Dataset
from hashrec.training.data.interactions import Interactions
from hashrec.training.data.strengths import EVEN, Derived
from hashrec.training.jobs.fitting import Fitted, rerank_factors
from hashrec.training.jobs.job import Job
from hashrec.training.jobs.recipe import Recipe
from hashrec.training.jobs.report import Report, environment, peak_memory_mb
from hashrec.training.jobs.reranking import RerankChoice, build_reranker
from hashrec.training.jobs.selection import Selection
from hashrec.training.judging.artifacts import Figures


@contextmanager
def folder_of_run(run: Path) -> Generator[None]:
    """Make a folder for a block of work; remove it if the work fails and has left it empty."""
    made = [folder for folder in (run, *run.parents) if not folder.exists()]
    run.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        with suppress(OSError):  # not empty
            for folder in made:
                folder.rmdir()
        raise


def write(
    job: Job,
    folder: Path,
    fitted: Fitted,
    dataset: Dataset,
    choice: RerankChoice | None = None,
    *,
    cut: int | None = None,
) -> Manifest:
    """Write an artifact.

    Args:
        job: the job that made it.
        folder: of the artifact.
        fitted: codes, and the training part that they were fitted to.
        dataset: attributes of the items, and the data's hash and journal position.
        choice: how to re-rank; None writes no vectors.
        cut: of a split by time, where the days of the recent counts end; None for the newest
            interaction.
    """
    codes, train, recipe, reranker = fitted.codes, fitted.train, fitted.recipe, None
    # The service codes histories as the model does, whatever its teacher learned from.
    policy = recipe.strength if recipe.model.uses_strengths else recipe.strength.even()
    if choice is not None:
        reranker = build_reranker(codes, rerank_factors(job, fitted), choice)
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
        recent=(
            None
            if train.timestamps is None
            else RecentCounts.build(train.item_rows, train.timestamps, cut)
        ),
        strengths=seen_strengths(train, policy),
    )
    return write_artifact(
        folder,
        model,
        model_info=ModelInfo(name=recipe.model_name, seed=job.seed, config=recipe.settings()),
        data_info=DataInfo(
            source=job.config.data.source,
            sha256=dataset.interactions.data_hash(),
            n_interactions=len(train),
            journal_position=dataset.journal_position,
        ),
        index_type=job.config.index,
        strength=policy,
    )


def seen_strengths(train: Interactions, policy: Strength) -> SeenStrengths | None:
    """Return what an artifact keeps of the strengths of pairs; None if all are alike."""
    recency = train.recency(policy)
    if policy.is_even or (train.amounts is None and recency is None):
        return None
    order = train.seen_order()
    amounts = np.full(len(train), UNIT) if train.amounts is None else train.amounts
    return SeenStrengths(
        amounts[order].astype(np.uint16), None if recency is None else recency[order]
    )


def build_report(
    job: Job,
    recipe: Recipe,
    manifest: Manifest,
    train: Interactions,
    held_out: Interactions | None,
    *,
    metrics: dict[str, Figures],
    choice: RerankChoice | None,
    selection: Selection | None,
    resumed: bool,
    split: dict[str, Any],
    said: Derived = EVEN,
) -> Report:
    """Gather everything that a job's report says; see `Report`."""
    return Report(
        version=manifest.version,
        config=job.config.model_dump(mode="json") | recipe.settings(),
        data=manifest.data.model_dump() | sizes(train, held_out),
        metrics=metrics,
        seconds=job.clock.seconds | {"total": round(sum(job.clock.seconds.values()), 3)},
        peak_memory_mb=round(peak_memory_mb(), 1),
        curves=job.progress.history,
        environment=environment(),
        bytes_per_item=_bytes_per_item(manifest),
        rerank=None if choice is None else asdict(choice),
        selection=None if selection is None else selection.report(),
        resumed=resumed,
        split=split,
        strength={
            "data": said.reason or "all alike",
            "used": recipe.strength.describe(),
            "ignored_by": recipe.ignoring_strength,
        },
    )


def _bytes_per_item(manifest: Manifest) -> dict[str, int]:
    """Return the bytes that an item is ranked by: its code, its vector, and both."""
    code = manifest.n_bits // 8
    return {
        "code": code,
        "vector": manifest.bytes_per_item - code,
        "total": manifest.bytes_per_item,
    }


def sizes(train: Interactions, held_out: Interactions | None) -> dict[str, int]:
    """Return the numbers of users, items and pairs, by the names that reports use."""
    return {
        "n_users": train.n_users,
        "n_items": train.n_items,
        "n_train": len(train),
        "n_held_out": 0 if held_out is None else len(held_out),
    }


def save_held_out(run: Path, held_out: Interactions) -> None:
    """Write the held-out pairs beside the artifact, for `hashrec evaluate`."""
    np.save(
        run / HELD_OUT_FILE,
        np.column_stack([held_out.user_rows, held_out.item_rows]),
        allow_pickle=False,
    )


def load_held_out(run: Path, n_users: int) -> SeenItems:
    """Read the held-out pairs of a run.

    Raises:
        DataError: the run held nothing out, or the folder is not a run.
    """
    path = run / HELD_OUT_FILE
    try:
        pairs = np.load(path, allow_pickle=False)
        return SeenItems.build(pairs[:, 0], pairs[:, 1], n_users)
    except FileNotFoundError:
        raise DataError(
            f"{run}: nothing was held out to evaluate by; train with --split random or time"
        ) from None
    except (ValueError, IndexError, OSError) as error:
        raise DataError(f"{path}: not a table of held-out pairs; train again") from error
