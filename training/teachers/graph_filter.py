"""A linear filter on the user-item graph with an additional low-pass filter, as in GF-CF.

Shen et al., "How Powerful is Graph Convolution for Recommendation?", CIKM 2021.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import NonNegativeFloat, NonNegativeInt, PositiveInt
from scipy import sparse

from hashrec.index.arrays.ids import spread
from hashrec.index.errors import ConfigError
from hashrec.training.data.interactions import Interactions
from hashrec.training.numerics.device import deterministic, generator
from hashrec.training.numerics.hyperparameters import Hyperparameters
from hashrec.training.numerics.scorer import Csr, HistoryScorer
from hashrec.training.numerics.spectral import degrees, right_singular_vectors, scaled
from hashrec.training.progress import Progress

_MOST_SMOOTH = 512  # singular vectors kept by default, at most
_ROWS_PER_DIRECTION = 32  # users or items, whichever is less, for each of these vectors
_SAMPLE = 256  # rows of S per block, and rows in the sample that decides its form


@dataclass(frozen=True, eq=False)
class FilterScores(HistoryScorer):
    """Scores X (S + A B^T), user by user; a new user is a new row of X.

    Attributes:
        S: shape (n_items, n_items), float32, CSR or dense, whichever is estimated to be smaller.
        A: float32, shape (n_items, rank).
        B: float32, shape (n_items, rank).
    """

    S: Csr | NDArray[np.float32]
    A: NDArray[np.float32]
    B: NDArray[np.float32]

    def fold_in(self, histories: Csr) -> NDArray[np.float32]:
        """Score every item for new users; see `FoldInScorer.fold_in`."""
        scores = (histories @ self.A) @ self.B.T
        filtered = histories @ self.S
        scores += filtered.toarray() if sparse.issparse(filtered) else filtered
        return scores

    def item_weights(self, item_rows: NDArray[np.integer]) -> NDArray[np.float32]:
        """Return rows of S + A B^T; see `LinearScorer`."""
        n = len(item_rows)
        alone = (np.ones(n, dtype=np.float32), item_rows, np.arange(n + 1))
        return self.fold_in(sparse.csr_matrix(alone, shape=(n, self.n_items)))


class GraphFilter(Hyperparameters):
    """Scores by walks from a user's items to the users who share them, and on to their items.

    With X, binary or of strengths, and the diagonal degrees D_u, D_i of users and items, scores are
    X (S + w L):

        S = D_i^-a X^T D_u^-1 X D_i^-b,    L = D_i^-1/2 V V^T D_i^1/2,

    where V holds the leading right singular vectors of D_u^-1/2 X D_i^-1/2, the smoothest signals
    on the graph. S captures direct neighbours, L similarity across the whole graph. There is no
    gradient descent and no matrix inversion, so the number of items is limited only by the memory
    of S, which is as sparse as the data.

    Time is that of one sparse product, and O(passes rank (n_interactions + n_items rank)) for V, by
    subspace iteration from a random start.

    Attributes:
        history_exponent: a, reduces the influence of popular items in a history.
        target_exponent: b, reduces the scores of popular items.
        low_pass_weight: w; 0 leaves L out.
        rank: singular vectors kept, at most. None keeps one for every 32 users or items,
            whichever is less, up to 512, because more would not smooth small data.
        passes: over the interactions, to find the singular vectors.
        max_entries: reject data whose S might have more, 8 bytes each. Each pair of items in a
            history is an entry, so long histories fill S.
    """

    uses_strengths: ClassVar[bool] = True

    history_exponent: NonNegativeFloat = 0.5
    target_exponent: NonNegativeFloat = 0.4
    low_pass_weight: NonNegativeFloat = 0.3
    rank: PositiveInt | None = None
    passes: NonNegativeInt = 4
    max_entries: PositiveInt = 500_000_000

    def fit(
        self, train: Interactions, *, seed: int, device: torch.device, progress: Progress
    ) -> FilterScores:
        """Compute S and V; see `Teacher.fit`."""
        X = self.accepted(train)
        return self.filtered(X, self.signals(X, seed=seed, device=device, progress=progress))

    def accepted(self, train: Interactions) -> Csr:
        """Return X.

        Raises:
            EmptyDataError: `train` has no interactions.
            ConfigError: S might have more than `max_entries`.
        """
        train.require_any()
        X = train.weighted_matrix()
        n_entries = most_entries(X)
        if n_entries > self.max_entries:
            raise ConfigError(
                f"graph-filter: the histories are too long; its items x items matrix may have "
                f"{n_entries:,} entries, more than max_entries = {self.max_entries:,}; choose "
                "--teacher ials, or raise max_entries"
            )
        return X

    def signals(
        self, X: Csr, *, seed: int, device: torch.device, progress: Progress
    ) -> NDArray[np.float32]:
        """Return V, shape (n_items, rank), which depends on `rank` and `passes` alone."""
        d_users, d_items = _degrees(X)
        with deterministic(device):
            V, _ = right_singular_vectors(
                scaled(d_users**-0.5, X, d_items**-0.5),
                self.rank or _smooth_rank(X),
                passes=self.passes,
                random=generator(device, seed, 5),
                progress=progress,
                loop="Graph filter passes",
            )
        return V

    def filtered(self, X: Csr, V: NDArray[np.float32]) -> FilterScores:
        """Compute S for X and combine it with `signals`."""
        d_users, d_items = _degrees(X)
        half = np.sqrt(d_items)[:, None]
        weights = scaled(d_users**-1, X, d_items**-self.target_exponent)
        back = scaled(d_items**-self.history_exponent, X.T.tocsr(), np.ones(X.shape[0]))
        return FilterScores(X, _product(back, weights), self.low_pass_weight * V / half, V * half)


def most_entries(X: Csr) -> int:
    """Return an upper bound of the number of entries of X^T X, before it is made."""
    pairs = np.square(X.getnnz(1).astype(np.float64)).sum()
    return int(min(pairs, float(X.shape[1]) ** 2))


def _degrees(X: Csr) -> tuple[Any, Any]:
    """Return the degrees of users and items, float32."""
    d_users, d_items = (degrees(X, axis).astype(np.float32) for axis in (1, 0))
    return d_users, d_items


def _smooth_rank(X: Csr) -> int:
    """Return the default rank."""
    return min(_MOST_SMOOTH, math.ceil(min(X.shape) / _ROWS_PER_DIRECTION))


def _product(left: Csr, right: Csr) -> Csr | NDArray[np.float32]:
    """Return a product as CSR or dense, whichever a sample of its rows shows to be smaller.

    A dense product is computed in blocks; via CSR it would temporarily take twice the memory.
    """
    shape = left.shape[0], right.shape[1]
    sample = spread(shape[0], _SAMPLE)
    if 2 * (left[sample] @ right).nnz <= len(sample) * shape[1]:
        return left @ right
    product = np.empty(shape, dtype=np.float32)
    for start in range(0, shape[0], _SAMPLE):
        rows = slice(start, start + _SAMPLE)
        product[rows] = (left[rows] @ right).toarray()
    return product
