"""Item rows in the order to show them: by distance from a code, or by popularity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hashrec.index.arrays.codes import BinaryCodes
from hashrec.index.arrays.rows import NO_ROWS, Rows
from hashrec.index.arrays.seen import contained
from hashrec.index.model.subsets import Subset


@dataclass(frozen=True, slots=True)
class Ranking:
    """Item rows best first, and their distances in bits. Both int, shape (n,)."""

    rows: Rows
    hamming: NDArray[np.int32]

    def first(self, n: int) -> Ranking:
        """Return the first n."""
        return Ranking(self.rows[:n], self.hamming[:n])


NOTHING = Ranking(NO_ROWS, np.empty(0, dtype=np.int32))
_FEW_HIDDEN = 256  # fetched along rather than searched for again


def nearest(
    subset: Subset,
    queries: BinaryCodes,
    excluded: Sequence[NDArray[np.integer]],
    k: int,
    hidden: NDArray[np.integer] = NO_ROWS,
) -> list[Ranking]:
    """Search, drop the hidden rows and each query's excluded ones, cut to k.

    Fetching `k` plus the number of exclusions leaves k after the drop; it is faster than a selector
    inside the index, which the approximate indexes refuse anyway. A user's exclusions are near to
    them, so all are counted. Hidden rows are anywhere: where they are many, twice as much is
    fetched as without them, and twice that again while a query has too few.
    """
    fetch = k + max(map(len, excluded), default=0)
    most = min(fetch + len(hidden), len(subset.index))
    if not most:
        return [NOTHING] * len(queries)
    fetch = min(2 * fetch if len(hidden) > _FEW_HIDDEN else most, most)
    while True:
        rankings = _search(subset, queries, excluded, k, hidden=hidden, fetch=fetch)
        if fetch == most or all(len(ranking.rows) >= k for ranking in rankings):
            return rankings
        fetch = min(2 * fetch, most)


def _search(
    subset: Subset,
    queries: BinaryCodes,
    excluded: Sequence[NDArray[np.integer]],
    k: int,
    *,
    hidden: NDArray[np.integer],
    fetch: int,
) -> list[Ranking]:
    found = subset.index.search(queries, fetch)
    rankings: list[Ranking] = []
    for position, dropped in enumerate(excluded):
        rows, distances = found.rows[position], found.distances[position]
        keep = rows >= 0
        if subset.rows is not None:
            rows = subset.rows[rows]
        keep &= ~contained(rows, dropped)
        if len(hidden):
            keep &= ~contained(rows, hidden)
        rankings.append(Ranking(rows[keep][:k], distances[keep][:k]))
    return rankings


def most_popular(n_items: int, excluded: NDArray[np.integer], k: int, *, after: int = -1) -> Rows:
    """Return the first k rows behind one, not excluded: they stand in descending popularity."""
    first = after + 1
    rows = np.arange(first, min(n_items, first + k + len(excluded)), dtype=np.int64)
    return rows[~contained(rows, excluded)][:k]


def in_order(first: Rows, n_items: int, excluded: NDArray[np.integer], k: int) -> Rows:
    """Return k rows, not excluded: those of an order, then the others in descending popularity.

    Args:
        first: int64, distinct, the rows of the order, best first.
        n_items: in the catalogue.
        excluded: ascending.
        k: how many.
    """
    head = first[: k + len(excluded)]
    head = head[~contained(head, excluded)][:k]
    if len(head) == k:
        return head
    rest = most_popular(n_items, np.union1d(excluded, first), k - len(head))
    return np.concatenate([head, rest])
