"""EASE, weighted and standardised by user, and cut to its leading directions to remove noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor

from hashrec.training.data.interactions import Interactions
from hashrec.training.numerics.device import deterministic
from hashrec.training.numerics.embeddings import Embeddings
from hashrec.training.numerics.factorization import truncated_svd
from hashrec.training.numerics.hyperparameters import Hyperparameters
from hashrec.training.numerics.item_weights import (
    ItemWeightScorer,
    gram,
    history_matrix,
    item_weights,
)
from hashrec.training.numerics.scorer import Csr
from hashrec.training.numerics.spectral import degrees
from hashrec.training.progress import Progress


@dataclass(frozen=True, eq=False)
class DenoisedScores(Embeddings):
    """Scores of another teacher, cut to their largest singular values.

    Attributes:
        source: the factored scorer; it scores new users before denoising.
    """

    source: ItemWeightScorer

    def fold_in(self, histories: Csr) -> NDArray[np.float32]:
        """Project the source's scores of new users on the item factors; see `FoldInScorer`."""
        # The columns of `items` are orthogonal: they come from a truncated SVD.
        coordinates = self.source.fold_in(histories) @ self.items / np.square(self.items).sum(0)
        return coordinates @ self.items.T

    def item_weights(self, item_rows: NDArray[np.integer]) -> NDArray[np.float32]:
        """Return the item weights of the source; see `LinearScorer`."""
        return self.source.item_weights(item_rows)

    def cut(self, rank: int) -> DenoisedScores:
        """Keep the largest of the singular values."""
        return DenoisedScores(self.users[:, :rank], self.items[:, :rank], source=self.source)


class DenoisedEase(Hyperparameters):
    """Factors of a transformed EASE score matrix.

    1. Long histories say less about each pair in them, so user u counts d_u^-a of its d_u items:
       X_w = diag(d)^-a X, G = X_w^T X_w. X is binary, or has the strengths of the pairs.
    2. Item weights B minimise |X_w - X_w B|^2 + tr(B^T Lambda B) under diag(B) = 0
       (`item_weights`), with Lambda_jj = r mean(diag G) (d_j / mean d)^b.
    3. The scores T = X B are made comparable between users, row by row, which leaves each user's
       ranking of positive scores as it is: Z_u = (S_u - mean S_u) / std S_u, S = max(T, 0)^e.
    4. Z is cut to its largest singular values (`truncated_svd`). That takes out noise: the factors
       rank better than the matrix they come from. A new user's row of Z is projected on the item
       factors.

    The directions of step 4 are found from `basis_users` users and everyone is projected on them.

    Memory is two float32 matrices of items x items on the device, and the factors; time is
    O(n_items^3 + n_items (n_interactions + n_users rank)) and `passes` times the second part for
    the users that directions are found from.

    Attributes:
        user_exponent: a.
        item_exponent: b, more for items that many have.
        regularization: r.
        score_exponent: e.
        rank: singular values kept, at most; None keeps Z as it is, without factors.
        passes: over the users, to find the singular vectors.
        basis_users: most users to find them from, evenly spread over the rows.
        max_items: reject larger catalogues, whose matrix needs too much memory or time to invert.
    """

    uses_strengths: ClassVar[bool] = True

    user_exponent: NonNegativeFloat = 0.35
    item_exponent: NonNegativeFloat = 0.75
    regularization: PositiveFloat = 2.5
    score_exponent: PositiveFloat = 0.5
    rank: PositiveInt | None = 64
    passes: PositiveInt = 4
    basis_users: PositiveInt = 20_000
    max_items: PositiveInt = 30_000

    def fit(
        self, train: Interactions, *, seed: int, device: torch.device, progress: Progress
    ) -> ItemWeightScorer | DenoisedScores:
        """Solve for B, then factor the scores; see `Teacher.fit`.

        Raises:
            ConfigError: there are more than `max_items` items.
        """
        X = history_matrix(train, self.max_items)
        with deterministic(device):
            scorer = ItemWeightScorer(X, self.item_weights(X, device), self.standardised)
        if self.rank is None:
            return scorer
        factors = truncated_svd(
            scorer,
            self.rank,
            passes=self.passes,
            most_users=self.basis_users,
            seed=seed,
            device=device,
            progress=progress,
        )
        return DenoisedScores(factors.users, factors.items, source=scorer)

    def item_weights(self, X: Csr, device: torch.device) -> Tensor:
        """Return B of step 2, float32, of items x items, with a zero diagonal."""
        d_users, d_items = np.maximum(X.getnnz(1), 1), degrees(X, 0)
        G = gram(X, d_users ** (-2 * self.user_exponent), device)
        relative = (d_items / d_items.mean()) ** self.item_exponent
        return item_weights(G, self.regularization * G.diagonal().mean().item() * relative)

    def standardised(self, T: Tensor) -> Tensor:
        """Turn scores T into Z of step 3, in place; a row of equal scores becomes zeros."""
        S = T.clamp_(min=0).pow_(self.score_exponent)
        S -= S.mean(1, keepdim=True)
        return S.div_(S.square().mean(1, keepdim=True).sqrt_().clamp_(min=1e-12))
