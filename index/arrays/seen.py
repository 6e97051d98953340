"""Lists of item rows in compressed sparse rows: each user's seen items, each category's items."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from hashrec.index.arrays.strings import PIECE, ascending


@dataclass(frozen=True, eq=False)
class RowLists:
    """An ascending list of item rows for each user row (or each category).

    Attributes:
        indptr: int64, shape (n + 1,).
        items: int32, shape (indptr[-1],), ascending and distinct within each list.
    """

    indptr: NDArray[np.int64]
    items: NDArray[np.int32]

    @classmethod
    def build(cls, owners: NDArray[np.integer], items: NDArray[np.integer], n_owners: int) -> Self:
        """Group pairs by owner; repeated pairs count once.

        Args:
            owners: integer, shape (n_pairs,), the list each item belongs to.
            items: integer, shape (n_pairs,), item rows.
            n_owners: number of lists; owners without a pair get an empty one.
        """
        order = np.lexsort((items, owners))
        owners, items = owners[order], items[order]
        if len(owners):
            new = np.ones(len(owners), dtype=bool)
            new[1:] = (owners[1:] != owners[:-1]) | (items[1:] != items[:-1])
            owners, items = owners[new], items[new]
        indptr = np.zeros(n_owners + 1, dtype=np.int64)
        np.cumsum(np.bincount(owners, minlength=n_owners), out=indptr[1:])
        return cls(indptr, items.astype(np.int32))

    def __len__(self) -> int:
        return len(self.indptr) - 1

    def __getitem__(self, owner: int) -> NDArray[np.int32]:
        return self.items[self.indptr[owner] : self.indptr[owner + 1]]

    def counts(self) -> NDArray[np.int64]:
        """Return the length of each list, int64, shape (n,)."""
        return np.diff(self.indptr)

    def check(self, name: str, n_lists: int, n_items: int) -> None:
        """Check that the lists are complete, ascending and in the range of the items.

        Raises:
            ValueError: a check fails.
        """
        indptr, items = self.indptr, self.items
        if not (
            len(indptr) == n_lists + 1
            and indptr[0] == 0
            and indptr[-1] == len(items)
            and ascending(indptr)
        ):
            raise ValueError(f"{name}: the lists do not fit their items")
        if not len(items):
            return
        if items.view(np.uint32).max() >= n_items:  # negative rows become huge ones
            raise ValueError(f"{name}: an item row is out of range")
        for first in range(0, len(items) - 1, PIECE):
            piece = items[first : first + PIECE + 1]
            in_order = piece[1:] > piece[:-1]
            starts = slice(*indptr.searchsorted((first + 1, first + len(piece))))
            in_order[indptr[starts] - (first + 1)] = True  # the first row of a list may be lower
            if not in_order.all():
                raise ValueError(f"{name}: a list is not ascending")


class SeenItems(RowLists):
    """The item rows that each user has interacted with."""


def contained(rows: NDArray[np.integer], ascending: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Tell which rows are in an ascending array; `np.isin` takes ten times longer on short ones.

    Returns:
        bool, shape (len(rows),).
    """
    if not len(ascending):
        return np.zeros(len(rows), dtype=bool)
    positions = np.minimum(ascending.searchsorted(rows), len(ascending) - 1)
    return ascending[positions] == rows


def common(ascending: NDArray[np.integer], other: NDArray[np.integer]) -> NDArray[np.integer]:
    """Return the rows that two ascending arrays share, in time proportional to the shorter one."""
    shorter, longer = sorted((ascending, other), key=len)
    return shorter[contained(shorter, longer)]
