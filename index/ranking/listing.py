"""From rows to the items of an answer: ids, ranks, scores, sources, and reasons where asked for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import repeat

import numpy as np
from numpy.typing import NDArray

from hashrec.index.arrays.codes import BinaryCodes
from hashrec.index.arrays.rows import Rows
from hashrec.index.arrays.seen import contained
from hashrec.index.model.model import Model
from hashrec.index.model.recent import RecentItems
from hashrec.index.model.subsets import Subset
from hashrec.index.ranking.explanation import nearest_own
from hashrec.index.ranking.nearest import Ranking, most_popular
from hashrec.index.ranking.recommendation import Explanation, OwnItem, RecommendedItem, Source


@dataclass(frozen=True, slots=True, eq=False)
class Allowed:
    """What a list may hold.

    Attributes:
        subset: of the catalogue.
        excluded: the user's rows to leave out, ascending.
        hidden: rows to leave out of every list, ascending.
        popular_source: how an item is tagged that is given by popularity.
        recent: items that come before the others by popularity; None for none.
    """

    subset: Subset
    excluded: NDArray[np.integer]
    hidden: NDArray[np.integer]
    popular_source: Source
    recent: RecentItems | None = None

    def admits(self, rows: Rows) -> NDArray[np.bool_]:
        """Tell which rows the list may hold, bool, shape (n,)."""
        may = ~contained(rows, self.excluded) & ~contained(rows, self.hidden)
        return may if self.subset.rows is None else may & contained(rows, self.subset.rows)

    def most_popular(self, n_items: int, k: int, *, after: int, taken: Rows) -> Rows:
        """Return the k most popular rows.

        Args:
            n_items: in the catalogue.
            k: how many.
            after: only rows behind this one; -1 for all.
            taken: rows to leave out besides, ascending.
        """
        dropped = np.union1d(np.union1d(self.excluded, self.hidden), taken)
        if self.subset.rows is None:
            return most_popular(n_items, dropped, k, after=after)
        rows = self.subset.rows[self.subset.rows.searchsorted(after + 1) :]
        return rows[~contained(rows, dropped)][:k]


@dataclass(frozen=True, slots=True, eq=False)
class Reasons:
    """What explanations are made from.

    Attributes:
        code: the user's.
        own: rows of the user's own items, ascending.
    """

    code: BinaryCodes
    own: NDArray[np.integer]


def near_items(
    model: Model,
    ranking: Ranking,
    source: Source,
    *,
    first_rank: int = 1,
    reasons: Reasons | None = None,
) -> list[RecommendedItem]:
    """List items that were found by distance."""
    n_bits = model.item_codes.n_bits
    explained: Iterable[Explanation | None] = repeat(None, len(ranking.rows))
    if reasons is not None:
        explained = _explanations(model, ranking.rows, ranking.hamming, reasons)
    found = zip(
        model.items.ids(ranking.rows),
        ranking.rows.tolist(),
        ranking.hamming.tolist(),
        explained,
        strict=True,
    )
    return [
        RecommendedItem(item_id, rank, 1 - hamming / n_bits, hamming, source, row, explanation)
        for rank, (item_id, row, hamming, explanation) in enumerate(found, first_rank)
    ]


def popular_items(
    model: Model,
    rows: Rows,
    source: Source,
    *,
    first_rank: int = 1,
    reasons: Reasons | None = None,
    counts: NDArray[np.int64] | None = None,
    most: int | None = None,
) -> list[RecommendedItem]:
    """List items that are given by popularity; the score is the share of the most popular's count.

    Args:
        model: to rank with.
        rows: int64, shape (n,), in the order to list them.
        source: how the items are tagged.
        first_rank: of the first item.
        reasons: for explanations, if there are to be any.
        counts: int64, shape (n,), of the items; None for their users.
        most: count of the most popular item; None for its users.
    """
    counts = model.popularity[rows] if counts is None else counts
    most = max(1, int(model.popularity[0])) if most is None else most
    explained: Iterable[Explanation | None] = repeat(None, len(rows))
    if reasons is not None and len(rows):
        hamming = model.item_codes[rows].distances(reasons.code)
        explained = _explanations(model, rows, hamming, reasons)
    found = zip(
        model.items.ids(rows),
        rows.tolist(),
        counts.tolist(),
        explained,
        strict=True,
    )
    return [
        RecommendedItem(item_id, rank, count / most, None, source, row, explanation)
        for rank, (item_id, row, count, explanation) in enumerate(found, first_rank)
    ]


def _explanations(
    model: Model, rows: Rows, hamming: NDArray[np.int32], reasons: Reasons
) -> list[Explanation]:
    n_bits = model.item_codes.n_bits
    nearest = nearest_own(model.item_codes, rows, reasons.own)
    return [
        Explanation(
            n_bits - distance,
            n_bits,
            tuple(OwnItem(model.items.id(row), row, agreeing) for row, agreeing in own),
        )
        for distance, own in zip(hamming.tolist(), nearest, strict=True)
    ]
