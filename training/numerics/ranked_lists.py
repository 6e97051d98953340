"""The teacher's best items for each user, with weights that depend on rank alone."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hashrec.training.data.interactions import Interactions
from hashrec.training.numerics.scorer import Scorer
from hashrec.training.numerics.top_items import NO_ITEM, top_items

# A list is twice as long as the perplexity. A longer tail costs accuracy even at small weights,
# except for narrow targets, as on sparse data.
_LIST_LENGTH = 2
_LEAST_LENGTH = 100
_SHIFT = 2  # of the ranks: the first place counts 3/2 of the second's power, not twice
_STEEPEST = 30.0


@dataclass(frozen=True, eq=False)
class RankedLists:
    """Each user's list, and the distribution over its places.

    Attributes:
        items: int32, shape (n_users, length), item rows, best first; `NO_ITEM` after the last.
        weights: float32, shape (length,), falling, of sum 1 (`rank_weights`).
    """

    items: Tensor
    weights: Tensor

    @classmethod
    def of(
        cls,
        teacher: Scorer,
        train: Interactions,
        *,
        length: int,
        perplexity: float,
        device: torch.device,
    ) -> RankedLists:
        """Take each user's best items outside training.

        Args:
            teacher: fitted to `train`.
            train: interactions of the same rows.
            length: of the lists; at most the number of items.
            perplexity: of the distribution over a full list.
            device: of the lists.
        """
        length = min(length, train.n_items)
        items, _ = top_items(teacher, train, length)
        return cls(
            torch.from_numpy(items).to(device),
            torch.from_numpy(rank_weights(length, perplexity)).to(device),
        )

    @property
    def length(self) -> int:
        """Places in a list."""
        return self.items.shape[1]

    def of_users(self, rows: Tensor | slice) -> tuple[Tensor, Tensor]:
        """Return some users' lists and their distributions.

        Returns:
            Item rows, int64, and probabilities, float32, both of shape (b, length). A place without
            an item has row 0 and probability 0; a user without any item has no probability at all.
        """
        items = self.items[rows].long()
        weights = self.weights * (items != NO_ITEM)
        weights /= weights.sum(1, keepdim=True).clamp(min=1e-12)
        return items.clamp_(min=0), weights


def list_length(perplexity: float) -> int:
    """Return the length of a list whose target has this perplexity."""
    return max(_LEAST_LENGTH, math.ceil(_LIST_LENGTH * perplexity))


def rank_weights(length: int, perplexity: float) -> NDArray[np.float32]:
    """Return a distribution over ranks 1 .. length that falls as (rank + 2)^-a.

    Teachers of different kinds are comparable by rank only: the scale and the distribution of their
    scores differ. The exponent a follows from the perplexity, the exponential of the entropy: the
    effective number of items in the distribution. A perplexity of the length or more weighs all
    ranks alike.
    """
    logs = np.log(np.arange(1, length + 1) + _SHIFT)

    def at(exponent: float) -> NDArray[np.float64]:
        weights = np.exp(-exponent * (logs - logs[0]))
        return weights / weights.sum()

    low, high = 0.0, _STEEPEST
    for _ in range(60):
        middle = (low + high) / 2
        weights = at(middle)
        if -(weights * np.log(np.maximum(weights, 1e-300))).sum() > math.log(perplexity):
            low = middle
        else:
            high = middle
    return at(low).astype(np.float32)
