"""The next page of a user's ranking, as it is or diversified."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from hashrec.index.arrays.codes import BinaryCodes
from hashrec.index.arrays.rows import NO_ROWS
from hashrec.index.ranking.diversity import continued, diversified, n_candidates
from hashrec.index.ranking.nearest import NOTHING, Ranking
from hashrec.index.ranking.order import Block, Order, Place


class Page(NamedTuple):
    """Some items of a ranking, and where it goes on.

    Attributes:
        place: see `Bookmark`.
        block: see `Bookmark`.
        more: whether there are items behind these.
    """

    ranking: Ranking
    place: Place | None
    block: Block | None
    more: bool


def plain_page(order: Order, place: Place | None, k: int) -> Page:
    """Return the k items behind a place."""
    found = order.after(place, k + 1)
    n = min(k, len(found))
    last = found.place(n - 1) if n else place
    return Page(found.ranking.first(n), last, None, len(found) > k)


def diverse_page(
    order: Order,
    item_codes: BinaryCodes,
    place: Place | None,
    block: Block | None,
    *,
    k: int,
    dial: float,
) -> Page:
    """Return k items, diversified within blocks of the ranking that follow one another.

    Args:
        order: the ranking.
        item_codes: of the catalogue.
        place: where the block begins, or begins when there is none.
        block: what the list is in the middle of.
        k: length of the page.
        dial: of diversity, above 0; a block that was begun goes on as it was.
    """
    pages: list[Ranking] = []
    n_left = k
    while n_left:
        if block is None:
            found = order.after(place, n_candidates(n_left))
            if not len(found):
                break
            until = found.place(len(found) - 1)
            near, codes = found.ranking, item_codes[found.ranking.rows]
            positions, setting = diversified(codes, near.hamming, min(n_left, len(found)), dial)
            shown = NO_ROWS
        else:
            until, setting = block.until, block.setting
            near = order.between(place, until).ranking
            shown = np.array(block.shown, dtype=np.int64)
            was_shown = np.isin(near.rows, shown)
            codes = item_codes[near.rows]
            positions = continued(codes, near.hamming, was_shown, n_left, setting)
        pages.append(Ranking(near.rows[positions], near.hamming[positions]))
        n_left -= len(positions)
        shown = np.union1d(shown, near.rows[positions])
        if np.isin(near.rows, shown).all():
            place, block = until, None
        else:
            block = Block(setting, until, tuple(shown.tolist()))
    more = block is not None or (not n_left and len(order.after(place, 1)) > 0)
    return Page(_joined(pages), place, block, more)


def _joined(pages: list[Ranking]) -> Ranking:
    if not pages:
        return NOTHING
    return Ranking(
        np.concatenate([page.rows for page in pages]),
        np.concatenate([page.hamming for page in pages]),
    )
