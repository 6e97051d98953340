"""Losses as pure functions of scores; masks exclude padding."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from hashrec.training.numerics.sampling import Triples


def bpr_loss(margins: Tensor) -> Tensor:
    """Return -ln sigmoid(margin), elementwise (eq. 1 and 14).

    Args:
        margins: score of the positive less score of the negative.
    """
    return functional.softplus(-margins)


def bpr_of_triples(factors: Tensor, triples: Triples, n_users: int) -> Tensor:
    """Return the sum of `bpr_loss` over triples, whose scores are inner products of factors.

    Args:
        factors: float, shape (n_nodes, d), of the users and then the items.
        triples: the terms of the sum.
        n_users: nodes that are users.
    """
    # On a GPU the gradient of `embedding` repeats bit for bit; the gradient of indexing does not.
    items = functional.embedding(n_users + triples.positives, factors)
    items = items - functional.embedding(n_users + triples.negatives, factors)
    return bpr_loss((functional.embedding(triples.users, factors) * items).sum(1)).sum()


def penalty_of_triples(factors: Tensor, triples: Triples, n_users: int) -> Tensor:
    """Return the sum of |u|^2 + |i|^2 + |j|^2 over triples, the usual L2 penalty of BPR.

    Args:
        factors: float, shape (n_nodes, d), of the users and then the items.
        triples: the terms of the sum.
        n_users: nodes that are users.
    """
    items = torch.cat([triples.positives, triples.negatives])
    nodes = torch.cat([triples.users, n_users + items])
    occurrences = torch.bincount(nodes, minlength=len(factors)).to(factors.dtype)
    return occurrences @ factors.square().sum(1)


def regularised_bpr(factors: Tensor, triples: Triples, n_users: int, weight: float) -> Tensor:
    """Return `bpr_of_triples` and `weight` times `penalty_of_triples` of the same factors."""
    penalty = penalty_of_triples(factors, triples, n_users)
    return bpr_of_triples(factors, triples, n_users) + weight * penalty


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
        float, shape (b,); its gradient shrinks as 1 / T^2, which eq. 16 compensates.
    """
    target = torch.softmax((teacher_scores / temperature).masked_fill(~mask, -torch.inf), dim=1)
    # Padding is also removed after the softmax: 0 times minus infinity is NaN.
    log_chance = torch.log_softmax(
        (student_scores / temperature).masked_fill(~mask, -torch.inf), dim=1
    ).masked_fill(~mask, 0)
    return -(target * log_chance).sum(1)


def soft_target_loss(
    student_margins: Tensor, teacher_margins: Tensor, temperature: float
) -> Tensor:
    """Return the cross entropy of the preference between two items, elementwise.

    Hinton, Vinyals and Dean, "Distilling the Knowledge in a Neural Network", 2015, for the two
    classes of a pair, whose softmax at temperature T is a sigmoid: with p = sigmoid(teacher / T) it
    is -p ln sigmoid(student / T) - (1 - p) ln sigmoid(-student / T).

    Args:
        student_margins: score of one item less score of the other.
        teacher_margins: of the same shape.
        temperature: T.
    """
    return functional.binary_cross_entropy_with_logits(
        student_margins / temperature,
        torch.sigmoid(teacher_margins / temperature),
        reduction="none",
    )


def rank_distil_loss(scores: Tensor, weights: Tensor) -> Tensor:
    """Return -sum_r w_r ln sigmoid(s_r): the teacher's best items as positives.

    Tang and Wang, "Ranking Distillation", KDD 2018.

    Args:
        scores: the student's, of the teacher's list, float, shape (b, K).
        weights: of the same shape.

    Returns:
        float, shape (b,).
    """
    return (weights * functional.softplus(-scores)).sum(1)


def position_weights(length: int, decay: float, device: torch.device) -> Tensor:
    """Return w_r in proportion to exp(-r / decay), r = 1 .. length, of sum 1, shape (length,)."""
    return torch.softmax(-torch.arange(1.0, length + 1, device=device) / decay, dim=0)


def discrepancy_weights(
    scores: Tensor, sampled: Tensor, mask: Tensor, n_items: int, sharpness: float
) -> Tensor:
    """Return w_r = tanh(max(0, sharpness (r' - r))), large for items ranked too low.

    The student's rank of the r-th item in the teacher's list is estimated from sampled items:
    r' = 1 + floor(n_items times the share of them that score higher).

    Args:
        scores: the student's, of the teacher's list, float, shape (b, K).
        sampled: its scores of sampled items, float, shape (b, n).
        mask: bool, shape (b, n), False at padding; each row has a True.
        n_items: all that are ranked.
        sharpness: mu of the paper.
    """
    higher = (sampled[:, None, :] > scores[:, :, None]) & mask[:, None, :]
    estimated = (n_items * higher.sum(2) / mask.sum(1, keepdim=True)).floor()
    places = torch.arange(scores.shape[1], device=scores.device)
    return torch.tanh(sharpness * (estimated - places)).clamp(min=0)
