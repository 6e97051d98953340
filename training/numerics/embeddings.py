"""Factors of a teacher's scores, the form from which most hash models learn."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hashrec.index.errors import ConfigError


@dataclass(frozen=True, eq=False)
class Embeddings:
    """Latent factors; a user's score of an item is the inner product of their rows.

    Attributes:
        users: float32, shape (n_users, d).
        items: float32, shape (n_items, d).

    Raises:
        ConfigError: a shape or type is wrong, or a value is not finite.
    """

    users: NDArray[np.float32]
    items: NDArray[np.float32]

    def __post_init__(self) -> None:
        for name, factors in (("users", self.users), ("items", self.items)):
            if factors.dtype != np.float32 or factors.ndim != 2:
                raise ConfigError(
                    f"factors of {name} must be a 2-d float32 array, "
                    f"got {factors.ndim}-d {factors.dtype}"
                )
            if not np.isfinite(factors).all():
                raise ConfigError(
                    f"factors of {name} hold NaN or infinity: the teacher diverged; "
                    "lower its learning rate"
                )
        if self.users.shape[1] != self.items.shape[1]:
            raise ConfigError(
                f"factors of users have width {self.users.shape[1]}, factors of items width "
                f"{self.items.shape[1]}; they must be equal"
            )

    @property
    def n_users(self) -> int:
        """Number of users."""
        return len(self.users)

    @property
    def n_items(self) -> int:
        """Number of items."""
        return len(self.items)

    @property
    def dim(self) -> int:
        """Number of factors of one user or item."""
        return self.users.shape[1]

    def scores(self, user_rows: NDArray[np.integer]) -> NDArray[np.float32]:
        """Score every item for some users; see `Scorer.scores`."""
        return self.users[user_rows] @ self.items.T
