"""Listwise distillation: codes whose Hamming ranking reproduces a teacher's, for every user."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import ClassVar

import numpy as np
import torch
from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt

from hashrec.index.model.encoder import Encoder, UserEncoder
from hashrec.training.data.interactions import Interactions
from hashrec.training.models.hash_model import (
    CodeWidth,
    HashCodes,
    packed_signs,
    require_teacher,
)
from hashrec.training.models.parts.binarize import signs
from hashrec.training.models.parts.encoding import fit_item_encoder
from hashrec.training.models.parts.listwise_descent import descend_listwise
from hashrec.training.models.parts.listwise_encoder import HistoryBatch, Student, draw_chances
from hashrec.training.models.parts.refining import fit_refiner
from hashrec.training.numerics.device import (
    csr_tensor,
    deterministic,
    generator,
    sparse_product,
)
from hashrec.training.numerics.hyperparameters import Hyperparameters
from hashrec.training.numerics.ranked_lists import RankedLists, list_length
from hashrec.training.numerics.row_adam import RowAdam
from hashrec.training.numerics.scorer import Csr, LinearScorer, Scorer
from hashrec.training.numerics.spectral import degree_scaled, right_singular_vectors, scaled
from hashrec.training.progress import Progress

_LEAST_STEPS = 6  # in an epoch: small data are split into small batches
_START_RMS = 0.1
_START_SCALE = 0.06  # c at 192 bits, where it stays
_SPECTRAL_PASSES = 4


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

        p_u = sign(sum_(i in H_u) w_ui A_i / |w_u|),

    with the strengths w_ui of the pairs, all 1 unless the data say otherwise, so users who come
    later are coded as those who were there. The gradients

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
        sampled_items: items in a step; all items if there are at most that many.
        descent_rounds: of the descent stage; 0 leaves it out.
        flips: bits of a user flipped in a round, at most.
        near_items: candidates of the descent in addition to the list.
    """

    needs_teacher: ClassVar[bool] = True
    uses_strengths: ClassVar[bool] = True
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
        student = self._start(train.weighted_matrix(), seed, device, progress)
        histories = _histories(train, X)
        self._learn(student, histories, lists, seed, progress)
        users = torch.cat(
            [
                signs(sparse_product(csr_tensor(part, device), student.A))
                for start in range(0, train.n_users, self.batch_users)
                for part in (histories[start : start + self.batch_users],)
            ]
        )
        items = signs(student.V)
        scale = descend_listwise(
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
        user_codes, item_codes = packed_signs(users), packed_signs(items)
        encoder = Encoder(
            UserEncoder.quantised(student.A.cpu().numpy()),
            fit_item_encoder(train, user_codes, item_codes),
        )
        return HashCodes(user_codes, item_codes, encoder), scale

    def _start(self, X: Csr, seed: int, device: torch.device, progress: Progress) -> Student:
        """Return rotated spectral factors, all rows of one norm, and a scale to start from."""
        random = generator(device, seed, 6)
        vectors, values = right_singular_vectors(
            degree_scaled(X),
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
                batch = HistoryBatch.of(histories[users.cpu().numpy()], drawn, device)
                gradient = batch.gradient(student, chances, *lists.of_users(users))
                done = (epoch + start / size / per_epoch) / self.epochs
                rate = self.learning_rate * (1 + math.cos(math.pi * done)) / 2
                of_A.step(batch.own, gradient.A, 2 * rate)
                of_V.step(batch.drawn, gradient.V, rate)
                student.scale *= 1 - 0.1 * min(max(gradient.log_scale, -1.0), 1.0)
                loss += gradient.loss
            progress.log(loss=loss.item() / n_users, scale=student.scale)


def _histories(train: Interactions, X: Csr) -> Csr:
    """Return the strengths of each user's items, divided by their norm: the root of their number.

    Args:
        train: the interactions.
        X: their binary matrix.
    """
    ones = np.ones(X.shape[1])
    if train.strengths is None:
        return scaled(np.maximum(X.getnnz(1), 1) ** -0.5, X, ones)
    strong = train.weighted_matrix()
    norms = np.sqrt(np.asarray(strong.multiply(strong).sum(1), dtype=np.float64)).ravel()
    return scaled(1 / np.where(norms > 0, norms, 1), strong, ones)
