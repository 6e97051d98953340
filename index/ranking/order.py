"""One user's whole ranking, and a place in it from which it can be gone on with.

A ranking has up to three stages. Items come by (distance, row); where the model re-ranks, the first
`depth` of these come by its scores instead; popular items fill up what an approximate index did not
find. Where an item stands depends on itself alone, so that a list can go on behind a place although
items before or after it have been hidden meanwhile: none comes twice, and none is left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hashrec.index.arrays.codes import MAX_BITS, BinaryCodes
from hashrec.index.arrays.rows import NO_ROWS, Rows
from hashrec.index.arrays.seen import contained
from hashrec.index.model.reranker import Reranker
from hashrec.index.model.subsets import Subset
from hashrec.index.ranking.nearest import NOTHING, Ranking, nearest

RERANKED, NEAR, POPULAR = range(3)  # stages
_LEAST_FETCH = 1024  # of an approximate search that goes on behind a place

Kind = Literal["personal", "fold_in", "popular"]


class Place(NamedTuple):
    """Where an item stands. Places compare as their items come.

    Attributes:
        stage: `RERANKED`, `NEAR` or `POPULAR`.
        score: minus the re-ranker's; 0 in the other stages.
        hamming: distance in bits; 0 for a popular item.
        row: of the item.
    """

    stage: int
    score: int
    hamming: int
    row: int


class Head(NamedTuple):
    """The last item by (distance, row) that the re-ranker puts in order."""

    hamming: int
    row: int


EVERYTHING = Head(MAX_BITS + 1, 0)


@dataclass(frozen=True, slots=True)
class Block:
    """Items that are diversified together, and that a list is in the middle of.

    Attributes:
        setting: of the greedy choice; see `hashrec.index.ranking.diversity`.
        until: where the last of them stands.
        shown: rows of those that were given, ascending.
    """

    setting: int
    until: Place
    shown: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Bookmark:
    """Where a list goes on, and what it was made from.

    Attributes:
        kind: of the ranking.
        n_given: items given so far.
        code: the user's packed code; empty for popular items.
        head: where re-ranking ends; None where nothing is re-ranked.
        place: of the last item given; with a block, of the last before it; None before the first.
        block: None where nothing is diversified, or a block has just ended.
    """

    kind: Kind
    n_given: int
    code: bytes = b""
    head: Head | None = None
    place: Place | None = None
    block: Block | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Stretch:
    """Some items of an order, one after the other.

    Attributes:
        ranking: their rows and distances.
        scores: int64, the re-ranker's, of the first items.
    """

    ranking: Ranking
    scores: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.ranking.rows)

    def first(self, n: int) -> Stretch:
        """Return the first n."""
        return Stretch(self.ranking.first(n), self.scores[:n])

    def place(self, position: int) -> Place:
        """Return where an item stands."""
        row, hamming = int(self.ranking.rows[position]), int(self.ranking.hamming[position])
        if position < len(self.scores):
            return Place(RERANKED, -int(self.scores[position]), hamming, row)
        return Place(NEAR, 0, hamming, row)


_NO_SCORES: NDArray[np.int64] = np.empty(0, dtype=np.int64)


class Order:
    """The items that a search finds for one code, in the order of their places.

    Args:
        subset: of the catalogue.
        item_codes: of the catalogue.
        code: the user's.
        excluded: the user's rows to leave out, ascending.
        hidden: rows to leave out of every list, ascending.
        reranker: puts the nearest into a better order; None leaves them.
        user_row: whose, for the re-ranker.
        head: where re-ranking ends, as a bookmark has it.

    Attributes:
        subset: of the catalogue.
        code: the user's.
        head: where re-ranking ends; None where nothing is re-ranked, or nothing was asked for yet.
    """

    def __init__(
        self,
        subset: Subset,
        item_codes: BinaryCodes,
        code: BinaryCodes,
        excluded: NDArray[np.integer],
        hidden: NDArray[np.integer] = NO_ROWS,
        *,
        reranker: Reranker | None = None,
        user_row: int = -1,
        head: Head | None = None,
    ) -> None:
        self.subset = subset
        self.code = code
        self.head = head
        self._excluded = excluded
        self._hidden = hidden
        self._item_codes = item_codes
        self._reranker = reranker
        self._user_row = user_row

    def after(self, place: Place | None, count: int) -> Stretch:
        """Return the next items behind a place, or the first ones; fewer only at the end."""
        if place is None and self.head is None:
            return self._first(count)
        head = self._head_behind(place)
        if len(head) >= count:
            return head.first(count)
        return _joined(head, self._near(self._near_behind(place), count=count - len(head)))

    def between(self, place: Place | None, until: Place) -> Stretch:
        """Return all items behind a place, or from the first on, up to another and with it."""
        head = self._head_behind(place)
        head = head.first(sum(head.place(position) <= until for position in range(len(head))))
        if until.stage == RERANKED:
            return head
        last = Head(until.hamming, until.row)
        return _joined(head, self._near(self._near_behind(place), until=last))

    def everything(self) -> Rows:
        """Return the rows of all items that the search can find, ascending."""
        return np.sort(self._near(None).rows)

    def _first(self, count: int) -> Stretch:
        reranker = self._reranker
        if reranker is None:
            return Stretch(self._nearest(count), _NO_SCORES)
        found = self._nearest(max(count, reranker.depth))
        self.head = EVERYTHING
        if len(found.rows) >= reranker.depth:
            last = reranker.depth - 1
            self.head = Head(int(found.hamming[last]), int(found.rows[last]))
        n = min(reranker.depth, len(found.rows))
        head = self._reranked(Ranking(found.rows[:n], found.hamming[:n]))
        return _joined(head, Ranking(found.rows[n:], found.hamming[n:])).first(count)

    def _nearest(self, count: int) -> Ranking:
        return nearest(self.subset, self.code, [self._excluded], count, self._hidden)[0]

    def _head_behind(self, place: Place | None) -> Stretch:
        """Return what of the re-ranked items stands behind a place."""
        if self.head is None or (place is not None and place.stage != RERANKED):
            return Stretch(NOTHING, _NO_SCORES)
        head = self._reranked(self._near(None, until=self.head))
        if place is None:
            return head
        n_before = sum(head.place(position) <= place for position in range(len(head)))
        rows, hamming = head.ranking.rows[n_before:], head.ranking.hamming[n_before:]
        return Stretch(Ranking(rows, hamming), head.scores[n_before:])

    def _near_behind(self, place: Place | None) -> Head | None:
        """Return the pair behind which the items stand that are not re-ranked."""
        if place is None or place.stage == RERANKED:
            return self.head
        return Head(place.hamming, place.row)

    def _reranked(self, near: Ranking) -> Stretch:
        assert self._reranker is not None
        scores = self._reranker.scores(self._user_row, near.rows, near.hamming)
        order = np.argsort(-scores, kind="stable")
        return Stretch(Ranking(near.rows[order], near.hamming[order]), scores[order])

    def _near(
        self, after: Head | None, *, count: int | None = None, until: Head | None = None
    ) -> Ranking:
        """Return allowed items by (distance, row) behind one pair, up to another or as many."""
        if self.subset.index.exact:
            found = self._scan(after, count, until)
        else:
            found = self._search(after, count, until)
        return found if count is None else found.first(count)

    def _scan(self, after: Head | None, count: int | None, until: Head | None) -> Ranking:
        """Look at the distances of all items: however far behind, it costs the same."""
        distances = self._distances
        nearest_wanted = 0 if after is None else after.hamming
        farthest_wanted = MAX_BITS if until is None else until.hamming
        if count is not None:
            enough = np.cumsum(np.bincount(distances)[nearest_wanted + (after is not None) :])
            farthest_wanted = (
                nearest_wanted
                + (after is not None)
                + int(enough.searchsorted(count + len(self._excluded) + len(self._hidden)))
            )
        wanted = distances >= nearest_wanted
        wanted &= distances <= farthest_wanted
        positions = np.flatnonzero(wanted)
        hamming = distances[positions]
        rows = positions if self.subset.rows is None else self.subset.rows[positions]
        by_distance = np.argsort(hamming, kind="stable")
        return self._allowed(rows[by_distance], hamming[by_distance], after, until)

    def _search(self, after: Head | None, count: int | None, until: Head | None) -> Ranking:
        """Search an approximate index for more and more, until there is enough or no more."""
        index = self.subset.index
        fetch = _LEAST_FETCH + (count or 0) + len(self._excluded)
        while True:
            fetch = min(fetch, len(index))
            neighbours = index.search(self.code, fetch)
            there = neighbours.rows[0] >= 0
            rows, hamming = neighbours.rows[0][there], neighbours.distances[0][there]
            found = self._allowed(rows, hamming, after, until)
            if (
                len(rows) < fetch
                or fetch == len(index)
                or (count is not None and len(found.rows) >= count)
                or (until is not None and hamming[-1] > until.hamming)
            ):
                return found
            fetch *= 4

    def _allowed(
        self,
        rows: NDArray[np.integer],
        hamming: NDArray[np.int32],
        after: Head | None,
        until: Head | None,
    ) -> Ranking:
        keep = ~(contained(rows, self._excluded) | contained(rows, self._hidden))
        if after is not None:
            keep &= (hamming > after.hamming) | ((hamming == after.hamming) & (rows > after.row))
        if until is not None:
            keep &= (hamming < until.hamming) | ((hamming == until.hamming) & (rows <= until.row))
        return Ranking(rows[keep].astype(np.int64, copy=False), hamming[keep])

    @cached_property
    def _distances(self) -> NDArray[np.int32]:
        rows = self.subset.rows
        codes = self._item_codes if rows is None else self._item_codes[rows]
        return codes.distances(self.code)


def _joined(head: Stretch, near: Ranking) -> Stretch:
    if not len(head):
        return Stretch(near, _NO_SCORES)
    rows = np.concatenate([head.ranking.rows, near.rows])
    return Stretch(Ranking(rows, np.concatenate([head.ranking.hamming, near.hamming])), head.scores)
