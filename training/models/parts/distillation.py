"""Ways to hand a teacher's ranking to a student that learns from lists of items."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from hashrec.training.numerics.losses import (
    discrepancy_weights,
    listnet_loss,
    position_weights,
    rank_distil_loss,
    soft_target_loss,
)
from hashrec.training.numerics.sampling import ItemLists
from hashrec.training.numerics.top_items import NO_ITEM

# Scores each user, int64 (b,), with each item of its list, int64 (b, length): float (b, length).
Score = Callable[[Tensor, Tensor], Tensor]


class Distillation(Protocol):
    """How far a student's ranking is from its teacher's."""

    def loss(
        self, batch: ItemLists, positives: Tensor, negatives: Tensor, student: Score
    ) -> Tensor:
        """Return one loss a list, float, shape (b,), each of the size of one user's.

        Args:
            batch: positives and sampled negatives of some users.
            positives: the student's scores of the positives, float, shape (b, length).
            negatives: of the negatives.
            student: scores other items.
        """
        ...


@dataclass(frozen=True)
class ListNet:
    """T^2 times eq. 15: the positives ranked among themselves, and the negatives.

    Attributes:
        teacher: its scores.
        temperature: T.
    """

    teacher: Score
    temperature: float

    def loss(
        self,
        batch: ItemLists,
        positives: Tensor,
        negatives: Tensor,
        student: Score,  # noqa: ARG002
    ) -> Tensor:
        """Return both cross entropies' sum."""
        T, mask = self.temperature, batch.mask
        taught = [self.teacher(batch.users, rows) for rows in (batch.positives, batch.negatives)]
        above = listnet_loss(positives, taught[0], mask, T)
        return T**2 * (above + listnet_loss(negatives, taught[1], mask, T))


@dataclass(frozen=True)
class SoftTargets:
    """T^2 times the cross entropy of preferences in a mean pair (`soft_target_loss`).

    Attributes:
        teacher: its scores.
        temperature: T.
    """

    teacher: Score
    temperature: float

    def loss(
        self,
        batch: ItemLists,
        positives: Tensor,
        negatives: Tensor,
        student: Score,  # noqa: ARG002
    ) -> Tensor:
        """Return the mean over the pairs of each list."""
        taught = self.teacher(batch.users, batch.positives)
        taught = taught - self.teacher(batch.users, batch.negatives)
        losses = soft_target_loss(positives - negatives, taught, self.temperature) * batch.mask
        return self.temperature**2 * losses.sum(1) / batch.mask.sum(1)


@dataclass(frozen=True, eq=False)
class RankDistil:
    """The teacher's best unobserved items as positives (`rank_distil_loss`).

    A place weighs as its position does and, unless `sharpness` is 0, as far as the student ranks
    its item too low (`discrepancy_weights`, here by the sampled negatives); the weights of a list
    have sum 1. The original waits some epochs before the second part; a student that starts as its
    teacher has ranks to compare from the beginning.

    Attributes:
        top: int64, shape (n_users, K), item rows, best first; `NO_ITEM` after the last.
        n_items: of the catalogue.
        decay: lambda, places until a position weighs 1/e.
        sharpness: mu of the discrepancy.
    """

    top: Tensor
    n_items: int
    decay: float
    sharpness: float

    def loss(
        self,
        batch: ItemLists,
        positives: Tensor,  # noqa: ARG002
        negatives: Tensor,
        student: Score,
    ) -> Tensor:
        """Return the weighted loss of each user's list."""
        top = self.top[batch.users]
        scores = student(batch.users, top.clamp(min=0))
        weights = position_weights(top.shape[1], self.decay, top.device) * (top != NO_ITEM)
        if self.sharpness:
            weights = weights * discrepancy_weights(
                scores.detach(), negatives.detach(), batch.mask, self.n_items, self.sharpness
            )
        weights = weights / weights.sum(1, keepdim=True).clamp(min=torch.finfo(weights.dtype).tiny)
        return rank_distil_loss(scores, weights)
