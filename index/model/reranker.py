"""`Reranker`: small integer vectors that improve the order of the nearest items.

A code finds the few hundred best items; a vector of some dozen bytes an item orders them better.
The two estimate the same score with different errors, so both are used: the first `depth` items in
Hamming order are sorted, largest first and ties in Hamming order, by

    users[u] . items[i] - weights[u] hamming(u, i).

Items after them keep their places, so a longer list begins with the shorter one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MAX_DIM = 1024
MAX_DEPTH = 10_000


@dataclass(frozen=True, eq=False)
class Reranker:
    """Re-ranking vectors of one model.

    Attributes:
        items: int8, shape (n_items, dim).
        users: int8, shape (n_users, dim), each on any scale: a scale changes no order.
        weights: int32, shape (n_users,), amount that one bit of Hamming distance subtracts from a
            user's inner products; not negative.
        depth: number of nearest items that are re-ordered.
    """

    items: NDArray[np.int8]
    users: NDArray[np.int8]
    weights: NDArray[np.int32]
    depth: int

    @property
    def dim(self) -> int:
        """Length of a vector, and the bytes an item takes in addition to its code."""
        return self.items.shape[1]

    def order(
        self, user_row: int, rows: NDArray[np.integer], hamming: NDArray[np.integer]
    ) -> NDArray[np.int64]:
        """Order candidates for a user.

        Args:
            user_row: the user.
            rows: integer, shape (n,), item rows in Hamming order.
            hamming: integer, shape (n,), their distances in bits.

        Returns:
            int64, shape (n,), positions in `rows`, best first.
        """
        scores = self.scores(user_row, rows[: self.depth], hamming[: self.depth])
        order = np.arange(len(rows))
        order[: len(scores)] = np.argsort(-scores, kind="stable")
        return order

    def scores(
        self, user_row: int, rows: NDArray[np.integer], hamming: NDArray[np.integer]
    ) -> NDArray[np.int64]:
        """Score items for a user, the larger the better.

        Args:
            user_row: the user.
            rows: integer, shape (n,), item rows.
            hamming: integer, shape (n,), their distances in bits.

        Returns:
            int64, shape (n,).
        """
        vectors = self.items[rows].astype(np.float32)
        # Floats are many times faster here than integers, and exact: no sum is above
        # 128^2 MAX_DIM = 2^24, up to which float32 is exact, in any order of summation.
        scores = (vectors @ self.users[user_row].astype(np.float32)).astype(np.int64)
        return scores - int(self.weights[user_row]) * hamming.astype(np.int64)

    def check(self, n_users: int, n_items: int) -> None:
        """Check that the parts fit each other and the model.

        Raises:
            ValueError: they do not, or a setting is out of range.
        """
        if not 1 <= self.dim <= MAX_DIM:
            raise ValueError(f"re-ranking vectors have {self.dim} numbers, not 1 to {MAX_DIM}")
        if self.items.shape[0] != n_items:
            raise ValueError("re-ranking vectors of items and item ids differ in number")
        if self.users.shape != (n_users, self.dim):
            raise ValueError("re-ranking vectors of users fit neither the users nor the items")
        if len(self.weights) != n_users:
            raise ValueError("re-ranking weights and user ids differ in number")
        if n_users and self.weights.min() < 0:
            raise ValueError("a re-ranking weight is negative")
        if not 1 <= self.depth <= MAX_DEPTH:
            raise ValueError(f"the depth of re-ranking is {self.depth}, not 1 to {MAX_DEPTH}")
