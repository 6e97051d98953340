"""Protocols of a fitted teacher: scores for known users and, if it can fold in, for new users."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

Csr = Any  # scipy.sparse.csr_matrix, whose type stubs know neither its shape nor its rows


class Scorer(Protocol):
    """Scores of all users and items in blocks of users; the full matrix is never in memory.

    Only the order of a user's scores is comparable between teachers; the scale is not.
    """

    @property
    def n_users(self) -> int: ...  # noqa: D102

    @property
    def n_items(self) -> int: ...  # noqa: D102

    def scores(self, user_rows: NDArray[np.integer]) -> NDArray[np.float32]:
        """Score every item for some users; several threads may ask at the same time.

        Args:
            user_rows: integer, shape (b,).

        Returns:
            float32, shape (b, n_items), which the caller may change.
        """
        ...


@runtime_checkable
class FoldInScorer(Scorer, Protocol):
    """A `Scorer` that also scores users unknown to the fit, by their histories."""

    def fold_in(self, histories: Csr) -> NDArray[np.float32]:
        """Score every item for new users.

        Args:
            histories: float32 CSR, shape (b, n_items), the items each of them has, as 1 or as
                strengths.

        Returns:
            float32, shape (b, n_items), comparable with `scores` of the known users.
        """
        ...


@runtime_checkable
class LinearScorer(FoldInScorer, Protocol):
    """A `FoldInScorer` that also returns what each item of a history adds to the scores."""

    def item_weights(self, item_rows: NDArray[np.integer]) -> NDArray[np.float32]:
        """Return what having each of some items adds to the score of every item.

        Added up over a history they rank items as `fold_in` does, or nearly so where that is not
        linear.

        Args:
            item_rows: integer, shape (b,).

        Returns:
            float32, shape (b, n_items), which the caller may change.
        """
        ...


@dataclass(frozen=True, eq=False)
class HistoryScorer(ABC):
    """A `FoldInScorer` that scores by histories alone and keeps those of the known users.

    Attributes:
        X: float32 CSR, shape (n_users, n_items), binary or of strengths.
    """

    X: Csr

    @property
    def n_users(self) -> int:
        """Rows of X."""
        return self.X.shape[0]

    @property
    def n_items(self) -> int:
        """Columns of X."""
        return self.X.shape[1]

    def scores(self, user_rows: NDArray[np.integer]) -> NDArray[np.float32]:
        """Score every item for some users; see `Scorer.scores`."""
        return self.fold_in(self.X[user_rows])

    @abstractmethod
    def fold_in(self, histories: Csr) -> NDArray[np.float32]:
        """Score every item for new users; see `FoldInScorer.fold_in`."""
