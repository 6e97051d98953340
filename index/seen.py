"""Lists of item rows in compressed sparse rows: each user's seen items, each category's items."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray


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
    def build(
        cls, owners: NDArray[np.integer], items: NDArray[np.integer], n_owners: int
    ) -> Self:
        """Group pairs by owner; a pair that comes twice counts once.

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


class SeenItems(RowLists):
    """Item rows each user has interacted with."""
