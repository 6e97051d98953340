"""Listwise distillation: codes whose Hamming ranking reproduces a teacher's, for every user."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt
from torch import Tensor

from hashrec.index.arrays.codes import BinaryCodes
from hashrec.index.model.encoder import Encoder, UserEncoder
from hashrec.training.data.interactions import Interactions
from hashrec.training.models.encoding import fit_item_encoder
from hashrec.training.models.hash_model import CodeWidth, HashCodes, require_teacher
from hashrec.training.models.listwise_descent import descend
from hashrec.training.models.refining import fit_refiner
from hashrec.training.numerics.binarize import signs
from hashrec.training.numerics.device import (
    csr_tensor,
    deterministic,
    generator,
    product_dtype,
    sparse_product,
)
from hashrec.training.numerics.hyperparameters import Hyperparameters
from hashrec.training.numerics.ranked_lists import RankedLists, list_length
from hashrec.training.numerics.row_adam import RowAdam
from hashrec.training.numerics.scorer import Csr, LinearScorer, Scorer
from hashrec.training.numerics.spectral import right_singular_vectors, scaled
from hashrec.training.progress import Progress

_LEAST_STEPS = 6  # of an epoch: small data come in small batches
_START_RMS = 0.1
_START_SCALE = 0.06  # c at 192 bits, where it stays
_SPECTRAL_PASSES = 4


@dataclass(eq=False)
class Student:
    """Everything that is learned before it is rounded to codes.

    Attributes:
        A: float32, shape (n_items, n_bits): what an item says about those who have it.
        V: float32, shape (n_items, n_bits): its signs are the items' codes.
        scale: c.
    """

    A: Tensor
    V: Tensor
    scale: float

    def state_dict(self) -> dict[str, Any]:
        """Return everything; see `Stateful`."""
        return {"A": self.A, "V": self.V, "scale": self.scale}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Learn on from there."""
        self.A.copy_(state_dict["A"])
        self.V.copy_(state_dict["V"])
        self.scale = state_dict["scale"]


class Listwise(Hyperparameters):
    """Codes p_u, q_i in {-1, +1}^n whose softmax follows the ranking of a teacher.

    Each user's target t_u is a distribution over the teacher's best items outside training that
    falls with rank (`rank_weights`): only the order of the teacher's scores counts. With scores
    s_ui = c p_u^T q_i and pi_u their softmax over all items that the user does not have, minimise
    the cross entropy

        L = sum_u (log sum_i exp(s_ui) - sum_i t_ui s_ui),

    which differs from sum_u KL(t_u | pi_u) by a constant (ListNet, Cao et al., ICML 2007, with the
    teacher's ranking in place of relevance).

    **Encoder stage.** q_i = sign(V_i), and a user's code is a function of the history H_u alone,

        p_u = sign(sum_(i in H_u) A_i / sqrt(|H_u|)),

    so users who come later are coded as those who were there. The gradients

        dL/dp_u = c sum_i (pi_ui - t_ui) q_i,    dL/dq_i = c sum_u (pi_ui - t_ui) p_u

    go straight through the sign, times 1 - tanh^2(x / 2 rms(x)): entries far beyond the others
    are settled. A and V start from the smoothest signals on the graph, each row brought to one norm
    and all turned by a random rotation. Adam moves the rows that a batch touches. In large
    catalogues a step sees about `sampled_items` items, drawn with a probability w_i that grows with
    the root of their popularity; scores less log w_i and targets over w_i make up for the others.

    **Descent stage.** Codes of users, now free, and of items are improved bit by bit on the same
    loss (`listwise_descent`), over the list and the nearest other items.

    Time is O(epochs n_users sampled_items n_bits) and O(rounds flips n_users candidates n_bits),
    memory O(n_users candidates + n_items n_bits).

    Attributes:
        n_bits: width of the codes, a multiple of 8.
        perplexity: number of items that a target is spread over; more for dense data. Lists are
            twice as long, and at least 100 items.
        epochs: passes over the users in the encoder stage.
        learning_rate: of Adam for V, at the start; it falls to zero along half a cosine. A has
            twice that.
        batch_users: most users in a step.
        sampled_items: in a step; all, if there are no more.
        descent_rounds: of the descent stage; 0 leaves it out.
        flips: most bits of a user flipped in a round.
        near_items: candidates of the descent beside the list.
    """

    needs_teacher: ClassVar[bool] = True
    default_teacher: ClassVar[str] = "graph-filter"

    n_bits: CodeWidth = 192
    perplexity: PositiveFloat = Field(default=50.0, ge=1)
    epochs: PositiveInt = 40
    learning_rate: PositiveFloat = 0.05
    batch_users: PositiveInt = 1024
    sampled_items: PositiveInt = 6000
    descent_rounds: NonNegativeInt = 4
    flips: PositiveInt = 6
    near_items: PositiveInt = 400

    def fit(
        self,
        train: Interactions,
        teacher: Scorer | None,
        *,
        seed: int,
        device: torch.device,
        progress: Progress,
    ) -> HashCodes:
        """Minimise L; see `HashModel.fit`."""
        teacher = require_teacher(teacher, train)
        train.require_any()
        lists = RankedLists.of(
            teacher,
            train,
            length=list_length(self.perplexity),
            perplexity=self.perplexity,
            device=device,
        )
        with deterministic(device):
            codes, scale = self._fit(train, lists, seed, device, progress)
        if not isinstance(teacher, LinearScorer):
            return codes
        refiner = fit_refiner(
            teacher,
            train,
            codes.encoder.users,
            codes.items,
            scale=scale,
            seed=seed,
            progress=progress,
        )
        return replace(codes, refiner=refiner)

    def _fit(
        self,
        train: Interactions,
        lists: RankedLists,
        seed: int,
        device: torch.device,
        progress: Progress,
    ) -> tuple[HashCodes, float]:
        """Learn, and return the codes and the last c."""
        X = train.matrix()
        student = self._start(X, seed, device, progress)
        histories = _weighted(X)
        self._learn(student, histories, lists, seed, progress)
        users = torch.cat(
            [
                signs(sparse_product(csr_tensor(part, device), student.A))
                for start in range(0, train.n_users, self.batch_users)
                for part in (histories[start : start + self.batch_users],)
            ]
        )
        items = signs(student.V)
        scale = descend(
            users,
            items,
            lists,
            X,
            student.scale,
            rounds=self.descent_rounds,
            flips=self.flips,
            n_near=self.near_items,
            progress=progress,
        )
        user_codes = BinaryCodes.from_signs(users.cpu().numpy())
        item_codes = BinaryCodes.from_signs(items.cpu().numpy())
        encoder = Encoder(
            UserEncoder.quantised(student.A.cpu().numpy()),
            fit_item_encoder(train, user_codes, item_codes),
        )
        return HashCodes(user_codes, item_codes, encoder), scale

    def _start(self, X: Csr, seed: int, device: torch.device, progress: Progress) -> Student:
        """Return rotated spectral factors, all rows of one norm, and a scale to start from."""
        random = generator(device, seed, 6)
        d_users, d_items = (np.maximum(X.getnnz(axis), 1) for axis in (1, 0))
        vectors, values = right_singular_vectors(
            scaled(d_users**-0.5, X, d_items**-0.5),
            self.n_bits,
            passes=_SPECTRAL_PASSES,
            random=random,
            progress=progress,
            loop="Spectral start passes",
        )
        factors = torch.from_numpy(vectors * np.sqrt(values)).to(device)
        frame = torch.randn((self.n_bits, factors.shape[1]), generator=random, device=device)
        V = factors @ torch.linalg.qr(frame).Q.T
        V *= _START_RMS * math.sqrt(self.n_bits) / V.norm(dim=1, keepdim=True).clamp(min=1e-9)
        return Student(V.clone(), V, _START_SCALE * math.sqrt(192 / self.n_bits))

    def _learn(
        self,
        student: Student,
        histories: Csr,
        lists: RankedLists,
        seed: int,
        progress: Progress,
    ) -> None:
        """Run the encoder stage; changes the student in place."""
        device = student.V.device
        n_users = histories.shape[0]
        size = min(self.batch_users, math.ceil(n_users / _LEAST_STEPS))
        per_epoch = math.ceil(n_users / size)
        chances = torch.from_numpy(draw_chances(histories.getnnz(0), self.sampled_items)).to(device)
        of_A, of_V = RowAdam(student.A), RowAdam(student.V)
        for epoch in progress.track("Listwise epochs", self.epochs, (student, of_A, of_V)):
            random = generator(device, seed, 7, epoch)
            order = torch.randperm(n_users, generator=random, device=device)
            loss = torch.zeros((), device=device)
            for start in range(0, n_users, size):
                users = order[start : start + size].sort().values
                dice = torch.rand(len(chances), generator=random, device=device)
                drawn = (dice < chances).nonzero().squeeze(1)
                if not len(drawn):
                    continue
                batch = Batch.of(histories[users.cpu().numpy()], drawn, device)
                gradient = batch.gradient(student, chances, *lists.of_users(users))
                done = (epoch + start / size / per_epoch) / self.epochs
                rate = self.learning_rate * (1 + math.cos(math.pi * done)) / 2
                of_A.step(batch.own, gradient.A, 2 * rate)
                of_V.step(batch.drawn, gradient.V, rate)
                student.scale *= 1 - 0.1 * min(max(gradient.log_scale, -1.0), 1.0)
                loss += gradient.loss
            progress.log(loss=loss.item() / n_users, scale=student.scale)


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
class Batch:
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
    def of(cls, histories: Csr, drawn: Tensor, device: torch.device) -> Batch:
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
        # A user none of whose list was drawn says nothing in this step.
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
    """Return 1 - tanh^2(x / 2 rms(x)), what a gradient keeps on its way through a sign."""
    return 1 - torch.tanh(x / (2 * x.square().mean().sqrt().clamp(min=1e-12))).square()


def draw_chances(popularity: NDArray[np.integer], n: int) -> NDArray[np.float32]:
    """Return each item's probability to be drawn, in proportion to the root of its popularity.

    Args:
        popularity: users of each item.
        n: number of items to be drawn on average; all, if there are no more.
    """
    if n >= len(popularity):
        return np.ones(len(popularity), dtype=np.float32)
    weights = np.sqrt(np.maximum(popularity, 0.5))
    chances = np.zeros(len(popularity))
    free = np.ones(len(popularity), dtype=bool)
    while True:  # those that reach 1 leave their surplus to the others
        chances[free] = weights[free] * ((n - (~free).sum()) / weights[free].sum())
        over = free & (chances > 1)
        if not over.any():
            return np.minimum(chances, 1).astype(np.float32)
        chances[over], free = 1, free & ~over


def _weighted(X: Csr) -> Csr:
    """Divide each user's row by the root of its length."""
    lengths = np.maximum(X.getnnz(1), 1)
    return scaled(lengths**-0.5, X, np.ones(X.shape[1]))
