"""EASE, the linear autoencoder with a closed form.

Harald Steck, "Embarrassingly Shallow Autoencoders for Sparse Data", WWW 2019.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from pydantic import PositiveFloat, PositiveInt

from hashrec.training.data.interactions import Interactions
from hashrec.training.numerics.device import deterministic
from hashrec.training.numerics.hyperparameters import Hyperparameters
from hashrec.training.numerics.item_weights import (
    ItemWeightScorer,
    gram,
    history_matrix,
    item_weights,
)
from hashrec.training.progress import Progress


class Ease(Hyperparameters):
    """Scores X B, where B minimises |X - X B|^2 + lambda |B|^2 under diag(B) = 0.

    Memory is two float32 matrices of items x items, on the device; time is O(n_items^3).

    Attributes:
        regularization: lambda.
        max_items: reject larger catalogues, whose matrix needs too much memory or time to invert.
    """

    uses_strengths: ClassVar[bool] = True

    regularization: PositiveFloat = 1000.0
    max_items: PositiveInt = 30_000

    def fit(
        self,
        train: Interactions,
        *,
        seed: int,  # noqa: ARG002 - nothing is random
        device: torch.device,
        progress: Progress,  # noqa: ARG002 - one step
    ) -> ItemWeightScorer:
        """Solve for B; see `Teacher.fit`.

        Raises:
            ConfigError: there are more than `max_items` items.
        """
        X = history_matrix(train, self.max_items)
        with deterministic(device):
            G = gram(X, np.ones(train.n_users), device)
            return ItemWeightScorer(X, item_weights(G, self.regularization))
