"""Distillation losses: a student learns a teacher's ranking from lists of items."""

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
    """A distance between the rankings of student and teacher."""

    def loss(
        self, batch: ItemLists, positives: Tensor, negatives: Tensor, student: Score
    ) -> Tensor:
        """Return one loss per list, float, shape (b,), each on the scale of one user.

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
        """Return the sum of both cross entropies."""
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

    A place has a weight by position and, unless `sharpness` is 0, by how much too low the student
    ranks its item (`discrepancy_weights`, by the sampled negatives); the weights of a list have
    sum 1. The original adds the second factor after some epochs; here the student starts as its
    teacher, so ranks are comparable from the start.

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
