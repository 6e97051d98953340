"""`Interactions`: the (user, item) pairs that readers make and every model learns from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from hashrec.index.arrays.ids import IdMap
from hashrec.index.arrays.seen import SeenItems
from hashrec.index.errors import EmptyDataError
from hashrec.index.strength import UNIT, Amounts, Strength

HASHED_AT_ONCE = 1_000_000  # pairs converted to Python strings at a time


@dataclass(frozen=True, eq=False)
class Interactions:
    """Distinct (user, item) pairs, and the ids of their rows.

    Attributes:
        user_rows: int32, shape (n,).
        item_rows: int32, shape (n,).
        users: external user ids by row; a user may have no pair (as in the test part of a split).
        items: external item ids by row.
        values: float32, shape (n,), the rating or weight of each pair, or None.
        timestamps: int64, shape (n,), seconds since 1970 UTC, of the last time, or None.
        first_timestamps: likewise of the first time; None where every pair was there once.
        amounts: uint16, shape (n,), what the events of each pair add up to by a `Strength`; None if
            all are alike.
        strengths: float32, shape (n,), how much models learn from each pair; None if all count 1.
    """

    user_rows: NDArray[np.int32]
    item_rows: NDArray[np.int32]
    users: IdMap
    items: IdMap
    values: NDArray[np.float32] | None = None
    timestamps: NDArray[np.int64] | None = None
    first_timestamps: NDArray[np.int64] | None = None
    amounts: Amounts | None = None
    strengths: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.user_rows)

    @property
    def n_users(self) -> int:
        """Rows of the user map, with or without interactions."""
        return len(self.users)

    @property
    def n_items(self) -> int:
        """Rows of the item map, with or without interactions."""
        return len(self.items)

    @property
    def first_times(self) -> NDArray[np.int64] | None:
        """When each pair was there first, int64, shape (n,); None without times."""
        return self.timestamps if self.first_timestamps is None else self.first_timestamps

    def matrix(self) -> sparse.csr_matrix[Any]:
        """Return the binary users x items matrix, float32 CSR with sorted indices.

        A repeated pair counts once.
        """
        ones = np.ones(len(self), dtype=np.float32)
        matrix = sparse.csr_matrix(
            (ones, (self.user_rows, self.item_rows)), shape=(self.n_users, self.n_items)
        )
        matrix.sort_indices()
        matrix.data[:] = 1  # SciPy adds repeated pairs up
        return matrix

    def weighted_matrix(self) -> sparse.csr_matrix[Any]:
        """Return the users x items matrix of strengths with mean 1, float32 CSR, sorted indices.

        Without strengths it is `matrix()`.
        """
        matrix = self.matrix()
        if self.strengths is None:
            return matrix
        relative = (self.strengths / self.strengths.mean(dtype=np.float64)).astype(np.float32)
        weighted = sparse.csr_matrix(
            (relative, (self.user_rows, self.item_rows)), shape=matrix.shape
        )
        weighted.sort_indices()
        return weighted

    def with_strengths(self, policy: Strength) -> Interactions:
        """Return the same pairs with their strengths by a policy; None if these are equal.

        Pairs age from the newest of these interactions on.
        """
        strengths = policy.strengths(
            np.full(len(self), UNIT) if self.amounts is None else self.amounts, self.recency(policy)
        )
        if policy.is_even or not len(strengths) or (strengths == strengths[0]).all():
            return replace(self, strengths=None)
        return replace(self, strengths=(strengths / UNIT).astype(np.float32))

    def recency(self, policy: Strength) -> NDArray[np.uint8] | None:
        """Return the recency of each pair by a policy; None without a half-life or times."""
        return None if self.timestamps is None else policy.recency(self.timestamps)

    def require_any(self) -> None:
        """Check that there is at least one pair.

        Raises:
            EmptyDataError: there is no pair.
        """
        if not len(self):
            raise EmptyDataError("training data", "no interactions to learn from")

    def seen(self) -> SeenItems:
        """Return each user's item rows."""
        return SeenItems.build(self.user_rows, self.item_rows, self.n_users)

    def seen_order(self) -> NDArray[np.int64]:
        """Return the positions of the pairs in the order of `seen().items`, int64, shape (n,)."""
        return np.lexsort((self.item_rows, self.user_rows))

    def seen_weights(self) -> NDArray[np.int64] | None:
        """Return the strengths in sixteenths in the order of `seen().items`; None if all are 1."""
        if self.strengths is None:
            return None
        return np.rint(self.strengths[self.seen_order()] * UNIT).astype(np.int64)

    def popularity(self) -> NDArray[np.int64]:
        """Return the number of users of each item, int64, shape (n_items,)."""
        return np.bincount(self.item_rows, minlength=self.n_items).astype(np.int64)

    def where(self, keep: NDArray[np.bool_]) -> Interactions:
        """Keep the pairs under a mask; users and items keep their rows."""
        return replace(
            self,
            user_rows=self.user_rows[keep],
            item_rows=self.item_rows[keep],
            values=None if self.values is None else self.values[keep],
            timestamps=None if self.timestamps is None else self.timestamps[keep],
            first_timestamps=(
                None if self.first_timestamps is None else self.first_timestamps[keep]
            ),
            amounts=None if self.amounts is None else self.amounts[keep],
            strengths=None if self.strengths is None else self.strengths[keep],
        )

    def renumbered(
        self, user_order: NDArray[np.integer], item_order: NDArray[np.integer]
    ) -> Interactions:
        """Renumber rows: new row i is old row ``order[i]``; rows not in the order are dropped."""
        new_user = np.full(self.n_users, -1, dtype=np.int32)
        new_item = np.full(self.n_items, -1, dtype=np.int32)
        new_user[user_order] = np.arange(len(user_order), dtype=np.int32)
        new_item[item_order] = np.arange(len(item_order), dtype=np.int32)
        kept = self.where((new_user[self.user_rows] >= 0) & (new_item[self.item_rows] >= 0))
        return replace(
            kept,
            user_rows=new_user[kept.user_rows],
            item_rows=new_item[kept.item_rows],
            users=self.users.take(user_order),
            items=self.items.take(item_order),
        )

    def data_hash(self) -> str:
        """Return a SHA-256 over the pairs by external id, independent of order and row numbers."""
        user_ids = np.array(self.users.ids(range(self.n_users)), dtype=object)
        item_ids = np.array(self.items.ids(range(self.n_items)), dtype=object)
        user_rank, item_rank = np.argsort(np.argsort(user_ids)), np.argsort(np.argsort(item_ids))
        order = np.lexsort((item_rank[self.item_rows], user_rank[self.user_rows]))
        digest = sha256()
        for start in range(0, len(order), HASHED_AT_ONCE):
            pairs = order[start : start + HASHED_AT_ONCE]
            users, items = user_ids[self.user_rows[pairs]], item_ids[self.item_rows[pairs]]
            lines = (f"{user}\t{item}\n" for user, item in zip(users, items, strict=True))
            digest.update("".join(lines).encode())
        return digest.hexdigest()
