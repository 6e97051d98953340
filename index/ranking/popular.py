"""The popular items of a list: those of a window of time first, if it has one, then the others."""

from __future__ import annotations

import numpy as np

from hashrec.index.arrays.rows import NO_ROWS, Rows
from hashrec.index.arrays.seen import contained
from hashrec.index.model.model import Model
from hashrec.index.model.recent import RecentItems
from hashrec.index.ranking.listing import Allowed, Reasons, popular_items
from hashrec.index.ranking.order import POPULAR, Place
from hashrec.index.ranking.recommendation import RecommendedItem

_BLOCK = 4096  # rows looked at together


def popular_page(
    model: Model,
    allowed: Allowed,
    k: int,
    after: Place | None = None,
    *,
    taken: Rows = NO_ROWS,
    first_rank: int = 1,
    reasons: Reasons | None = None,
) -> tuple[list[RecommendedItem], Place | None]:
    """Return the next k popular items of a list, and where it goes on.

    An item of the window stands at minus its count, the others at 0 in the order of their rows.

    Args:
        model: to rank with.
        allowed: what the list may hold, and the items of the window.
        k: how many.
        after: the popular item after which the list goes on; None before the first.
        taken: rows to leave out besides, ascending.
        first_rank: of the first item.
        reasons: for explanations, if there are to be any.

    Returns:
        The items, and the place of the last one; None if there are no more.
    """
    recent, items, place = allowed.recent, list[RecommendedItem](), after
    if recent is None or not len(recent.rows):
        most = 0
    else:
        most = int(recent.counts[0])
        if after is None or after.score < 0:
            found = _next_recent(allowed, recent, k + 1, after, taken)
            rows, counts = recent.rows[found], recent.counts[found]
            items = popular_items(
                model, rows[:k], "recent_popular", first_rank=first_rank, reasons=reasons,
                counts=counts[:k], most=most,
            )  # fmt: skip
            if items:
                place = Place(POPULAR, -int(counts[len(items) - 1]), 0, int(rows[len(items) - 1]))
            if len(rows) > k:
                return items, place or _before_all(most)
        taken = np.union1d(taken, recent.rows)
    n_left = k - len(items)
    behind = -1 if after is None or after.score < 0 else after.row
    rows = allowed.most_popular(len(model.items), n_left + 1, after=behind, taken=taken)
    items += popular_items(
        model, rows[:n_left], allowed.popular_source,
        first_rank=first_rank + len(items), reasons=reasons,
    )  # fmt: skip
    if len(rows) <= n_left:
        return items, None
    if n_left:
        place = Place(POPULAR, 0, 0, int(rows[n_left - 1]))
    return items, place or _before_all(most)


def _before_all(most: int) -> Place:
    """Return the place before the first popular item."""
    return Place(POPULAR, -most - 1, 0, 0)


def _next_recent(
    allowed: Allowed, recent: RecentItems, k: int, after: Place | None, taken: Rows
) -> Rows:
    """Return the positions of the next k items of a window that a list may hold."""
    first = 0
    if after is not None:
        before = (recent.counts > -after.score) | (
            (recent.counts == -after.score) & (recent.rows <= after.row)
        )
        first = int(before.sum())
    found: list[Rows] = [NO_ROWS]
    n_found = 0
    for start in range(first, len(recent.rows), _BLOCK):
        rows = recent.rows[start : start + _BLOCK]
        positions = start + np.flatnonzero(allowed.admits(rows) & ~contained(rows, taken))
        found.append(positions)
        n_found += len(positions)
        if n_found >= k:
            break
    return np.concatenate(found)[:k]
