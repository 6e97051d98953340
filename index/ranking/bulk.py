"""Rankings of the whole catalogue for many users at once, as `Recommender` ranks for one of them.

Rows in, rows out: for evaluations, and for lists that are written to files.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from hashrec.index.arrays.rows import NO_ROWS, Rows
from hashrec.index.arrays.seen import RowLists
from hashrec.index.artifacts.artifact import Artifact
from hashrec.index.live.catalogue_view import CatalogueView
from hashrec.index.model.subsets import Subset
from hashrec.index.ranking.fold_in import fold_in
from hashrec.index.ranking.nearest import Ranking, in_order, most_popular, nearest

BATCH = 256  # queries a search takes at once: bounds the memory


def rank_users(
    artifact: Artifact,
    user_rows: NDArray[np.integer],
    k: int,
    *,
    exclude_seen: bool = True,
    rerank: bool = True,
    catalogue: CatalogueView | None = None,
) -> Iterator[Ranking]:
    """Rank for users of the model, in the order of `user_rows`.

    Args:
        artifact: to rank with.
        user_rows: int, shape (n,).
        k: length of each list; not bounded by the service's limit.
        exclude_seen: leave out what each user has interacted with.
        rerank: as the service does where the model can; False ranks by Hamming distance alone.
        catalogue: as it was changed; None leaves it as the model has it.
    """
    model = artifact.model
    hidden = _hidden(artifact) if catalogue is None else catalogue.hidden
    for start in range(0, len(user_rows), BATCH):
        batch = user_rows[start : start + BATCH]
        excluded = [model.seen[int(row)] if exclude_seen else NO_ROWS for row in batch]
        yield from _personal(artifact, batch, excluded, k, hidden=hidden, rerank=rerank)


def rank_histories(
    artifact: Artifact, positives: RowLists, negatives: RowLists | None, k: int
) -> Iterator[Rows]:
    """Rank for histories; one without an item that was taken gets the popular ones.

    Args:
        artifact: to rank with.
        positives: item rows that each user took.
        negatives: item rows that each user refused, as many lists; None is none.
        k: length of each list; not bounded by the service's limit.

    Raises:
        NoEncoderError: the artifact is from before there were encoders.
    """
    codes, hidden = fold_in(artifact, positives, negatives), _hidden(artifact)
    for start in range(0, len(positives), BATCH):
        batch = range(start, min(start + BATCH, len(positives)))
        excluded = [
            positives[user] if negatives is None else np.union1d(positives[user], negatives[user])
            for user in batch
        ]
        part = codes[batch.start : batch.stop]
        found = nearest(Subset(artifact.index, None), part, excluded, k, hidden)
        for user, dropped, ranking in zip(batch, excluded, found, strict=True):
            if len(positives[user]):
                yield ranking.rows
            else:
                yield most_popular(len(artifact.model.items), np.union1d(dropped, hidden), k)


def rank_popular(
    artifact: Artifact,
    user_rows: NDArray[np.integer],
    k: int,
    *,
    exclude_seen: bool = True,
    first: Rows = NO_ROWS,
) -> Iterator[Rows]:
    """Return the most popular rows for each user: the reference for every model.

    Args:
        artifact: to rank with.
        user_rows: int, shape (n,).
        k: length of each list; not bounded by the service's limit.
        exclude_seen: leave out what each user has interacted with.
        first: rows that come before all others, such as those that were popular lately.
    """
    hidden, n_items = _hidden(artifact), len(artifact.model.items)
    for row in user_rows:
        excluded = artifact.model.seen[int(row)] if exclude_seen else NO_ROWS
        yield in_order(first, n_items, np.union1d(excluded, hidden), k)


def _personal(
    artifact: Artifact,
    user_rows: NDArray[np.integer],
    excluded: Sequence[NDArray[np.integer]],
    k: int,
    *,
    hidden: Rows,
    rerank: bool,
) -> list[Ranking]:
    """Return the nearest items of each user, in a better order where there is one."""
    codes = artifact.model.user_codes[user_rows]
    everything = Subset(artifact.index, None)
    reranker = artifact.model.reranker if rerank else None
    if reranker is None:
        return nearest(everything, codes, excluded, k, hidden)
    rankings: list[Ranking] = []
    found = nearest(everything, codes, excluded, max(k, reranker.depth), hidden)
    for user_row, near in zip(user_rows.tolist(), found, strict=True):
        best = reranker.order(user_row, near.rows, near.hamming)[:k]
        rankings.append(Ranking(near.rows[best], near.hamming[best]))
    return rankings


def _hidden(artifact: Artifact) -> Rows:
    return CatalogueView.unchanged(artifact.model.item_table).hidden
