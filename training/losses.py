"""Losses as pure functions of scores; masks cut padding away."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def bpr_loss(margins: Tensor) -> Tensor:
    """Return -ln sigmoid(margin), elementwise (eq. 1 and 14).

    Args:
        margins: score of the positive less score of the negative.
    """
    return functional.softplus(-margins)


def listnet_loss(
    student_scores: Tensor, teacher_scores: Tensor, mask: Tensor, temperature: float
) -> Tensor:
    """Return the cross entropy between two rankings' top-one distributions (one sum of eq. 15).

    Args:
        student_scores: float, shape (b, length).
        teacher_scores: float, shape (b, length).
        mask: bool, shape (b, length), False at padding; each row has a True.
        temperature: T, which both score lists are divided by.

    Returns:
        float, shape (b,); its gradient shrinks as 1 / T^2, which eq. 16 makes up for.
    """
    target = torch.softmax((teacher_scores / temperature).masked_fill(~mask, -torch.inf), dim=1)
    # Padding is taken out after the softmax as well: 0 times minus infinity is no number.
    log_chance = torch.log_softmax(
        (student_scores / temperature).masked_fill(~mask, -torch.inf), dim=1
    ).masked_fill(~mask, 0)
    return -(target * log_chance).sum(1)
