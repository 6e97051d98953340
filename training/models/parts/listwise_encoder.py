"""The encoder stage of `listwise`: what it learns, and the gradient of a batch of users."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hashrec.training.models.parts.binarize import signs
from hashrec.training.numerics.device import csr_tensor, product_dtype, sparse_product
from hashrec.training.numerics.scorer import Csr


@dataclass(eq=False)
class Student:
    """The learned parameters, before they are rounded to codes.

    Attributes:
        A: float32, shape (n_items, n_bits): contribution of an item to its users.
        V: float32, shape (n_items, n_bits): its signs are the items' codes.
        scale: c.
    """

    A: Tensor
    V: Tensor
    scale: float

    def state_dict(self) -> dict[str, Any]:
        """Return all parameters; see `Stateful`."""
        return {"A": self.A, "V": self.V, "scale": self.scale}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore parameters from `state_dict`."""
        self.A.copy_(state_dict["A"])
        self.V.copy_(state_dict["V"])
        self.scale = state_dict["scale"]


@dataclass(frozen=True, eq=False)
class Gradient:
    """Of the mean loss of a batch's users.

    Attributes:
        A: shape (own items, n_bits), by the rows of the batch's own items.
        V: shape (drawn items, n_bits), by the rows of the drawn items.
        log_scale: dL / dlog c.
        loss: the sum over the users, not the mean; shape ().
    """

    A: Tensor
    V: Tensor
    log_scale: float
    loss: Tensor


@dataclass(frozen=True, eq=False)
class HistoryBatch:
    """Some users' histories, and the items that their softmax runs over.

    Attributes:
        own: int64, item rows that at least one of the users has, ascending.
        histories: CSR, shape (b, len(own)), 1 / sqrt(|H_u|) where a user has an item.
        items: CSR, shape (len(own), b), the same the other way round.
        drawn: int64, item rows of the softmax, at least one, ascending.
        taken: user and drawn item, by position, of each pair to leave out of it.
    """

    own: Tensor
    histories: Tensor
    items: Tensor
    drawn: Tensor
    taken: tuple[Tensor, Tensor]

    @classmethod
    def of(cls, histories: Csr, drawn: Tensor, device: torch.device) -> HistoryBatch:
        """Cut the users' rows down to the items that are in them."""
        own, columns = np.unique(histories.indices, return_inverse=True)
        owners = np.repeat(np.arange(histories.shape[0]), histories.getnnz(1))
        rows = torch.from_numpy(histories.indices).long().to(device)
        position = torch.searchsorted(drawn, rows).clamp_(max=len(drawn) - 1)
        is_drawn = drawn[position] == rows
        small = type(histories)(
            (histories.data, columns, histories.indptr), shape=(histories.shape[0], len(own))
        )
        return cls(
            torch.from_numpy(own).long().to(device),
            csr_tensor(small, device),
            csr_tensor(small.T.tocsr(), device),
            drawn,
            (torch.from_numpy(owners).to(device)[is_drawn], position[is_drawn]),
        )

    def gradient(
        self, student: Student, chances: Tensor, listed: Tensor, weights: Tensor
    ) -> Gradient:
        """Return the loss of the batch and its gradient.

        Args:
            student: what is learned.
            chances: w, of every item to be drawn, shape (n_items,).
            listed: int64, shape (b, length), the users' lists.
            weights: float32, shape (b, length), the users' targets.
        """
        c, n = student.scale, len(listed)
        own, drawn = student.A[self.own], student.V[self.drawn]
        encoded = sparse_product(self.histories, own)
        P, Q = signs(encoded), signs(drawn)
        dtype = product_dtype(P.device, P.shape[1])
        p, q = P.to(dtype), Q.to(dtype)
        scores = (p @ q.T).float().mul_(c).sub_(chances[self.drawn].log())
        scores[self.taken] = -math.inf

        positions = torch.full((len(chances),), -1, device=P.device)
        positions[self.drawn] = torch.arange(len(self.drawn), device=P.device)
        places = positions[listed]
        targets = torch.where(places >= 0, weights / chances[listed], 0.0)
        known = targets.sum(1, keepdim=True)
        targets /= known.clamp(min=1e-12)
        places.clamp_(min=0)

        softmax = torch.log_softmax(scores, 1)
        of_lists = torch.where(targets > 0, softmax.gather(1, places), 0.0)
        loss = -(targets * (of_lists + chances[listed].log())).sum()
        difference = softmax.exp_().scatter_add_(1, places, -targets)
        # A user without a drawn item of the list contributes nothing in this step.
        difference = torch.where(known > 0, difference, 0.0).to(dtype)
        of_users = (difference @ q).float() * (c / n)
        of_items = (difference.T @ p).float() * (c / n)
        return Gradient(
            A=sparse_product(self.items, of_users * window(encoded)),
            V=of_items * window(drawn),
            log_scale=(of_users * P).sum().item(),
            loss=loss,
        )


def window(x: Tensor) -> Tensor:
    """Return 1 - tanh^2(x / 2 rms(x)), the factor of a gradient that passes through a sign."""
    return 1 - torch.tanh(x / (2 * x.square().mean().sqrt().clamp(min=1e-12))).square()


def draw_chances(popularity: NDArray[np.integer], n: int) -> NDArray[np.float32]:
    """Return each item's probability to be drawn, in proportion to the root of its popularity.

    Args:
        popularity: users of each item.
        n: mean number of items drawn; all items are drawn if there are at most n.
    """
    if n >= len(popularity):
        return np.ones(len(popularity), dtype=np.float32)
    weights = np.sqrt(np.maximum(popularity, 0.5))
    chances = np.zeros(len(popularity))
    free = np.ones(len(popularity), dtype=bool)
    while True:  # chances capped at 1 pass their surplus to the others
        chances[free] = weights[free] * ((n - (~free).sum()) / weights[free].sum())
        over = free & (chances > 1)
        if not over.any():
            return np.minimum(chances, 1).astype(np.float32)
        chances[over], free = 1, free & ~over
