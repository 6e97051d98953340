"""Popularity: items ranked by their number of users, a baseline that every model must beat."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from hashrec.training.data.interactions import Interactions
from hashrec.training.numerics.embeddings import Embeddings
from hashrec.training.numerics.hyperparameters import Hyperparameters
from hashrec.training.numerics.scorer import Csr
from hashrec.training.progress import Progress


@dataclass(frozen=True, eq=False)
class PopularityScores(Embeddings):
    """One factor: 1 for every user, the number of its users for every item."""

    def fold_in(self, histories: Csr) -> NDArray[np.float32]:
        """Score every item by its number of users; see `FoldInScorer.fold_in`."""
        return np.tile(self.items[:, 0], (histories.shape[0], 1))

    def item_weights(self, item_rows: NDArray[np.integer]) -> NDArray[np.float32]:
        """Return the same weights for every item; see `LinearScorer`."""
        return np.tile(self.items[:, 0], (len(item_rows), 1))


class Popularity(Hyperparameters):
    """Scores an item by the number of its users in training."""

    def fit(
        self,
        train: Interactions,
        *,
        seed: int,  # noqa: ARG002 - nothing is random
        device: torch.device,  # noqa: ARG002
        progress: Progress,  # noqa: ARG002 - one step
    ) -> PopularityScores:
        """Count the users of each item; see `Teacher.fit`."""
        train.require_any()
        return PopularityScores(
            users=np.ones((train.n_users, 1), dtype=np.float32),
            items=train.popularity().astype(np.float32)[:, None],
        )
