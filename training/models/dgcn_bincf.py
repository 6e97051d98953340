"""DGCN-BinCF, the paper's student, and BinCF, the same without distillation (eq. 1, 15 to 18)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor
from torch.nn.functional import embedding

from index.codes import BinaryCodes
from training.binarize import bernoulli_code, distance_to_binary, expected_noise_energy
from training.data.interactions import Interactions
from training.device import deterministic, generator
from training.embeddings import Embeddings
from training.encoding import fit_encoder
from training.factorization import factors_of
from training.hyperparameters import Hyperparameters
from training.losses import bpr_loss, listnet_loss
from training.models.hash_model import CodeWidth, HashCodes, require_teacher
from training.models.start import factors_of_width
from training.progress import Progress
from training.sampling import ItemLists, PairSampler
from training.scorer import Scorer


@dataclass(frozen=True, eq=False)
class Factors:
    """Rows of users and of items, float32, each (n, d) with the same d: (P, Q), (U, V) or codes."""

    users: Tensor
    items: Tensor

    def scores(self, user_rows: Tensor, item_rows: Tensor) -> Tensor:
        """Return inner products of each user with each item of its list.

        Args:
            user_rows: int64, shape (b,).
            item_rows: int64, shape (b, length).

        Returns:
            float32, shape (b, length).
        """
        # embedding, not indexing: its gradient is summed row by row, in parallel, in a fixed order.
        users, items = embedding(user_rows, self.users), embedding(item_rows, self.items)
        return (items @ users[:, :, None]).squeeze(2)


class DgcnBinCf(Hyperparameters):
    """Binarized collaborative filtering that distils a teacher's rankings into codes.

    Its codes are the signs of P and Q, which start as the teacher's factors.

    Attributes:
        n_bits: width of the codes, a multiple of 8; the paper's is three times the teacher's D.
        binarizer: `bernoulli` learns through sampled codes and a straight-through gradient
            (eq. 17), `relaxed` through tanh(P) and a penalty on its distance from +-1 (eq. 18).
        alpha: weight of the distilled rankings (eq. 16).
        temperature: T, softens the rankings that are compared (eq. 15).
        tau: temperature of the noise (section 4.2).
        nu: weight of the expected noise energy (eq. 17 and 18).
        beta: weight of the distance from +-1 (eq. 18); without effect under `bernoulli`.
        score_scale: what an inner product of codes is multiplied by in every loss. None is
            1 / sqrt(n_bits), at which random codes score with unit variance; 1 is the paper as
            printed, where scores swamp the sigmoid and the signs come out much worse.
        list_length: most positives, and most sampled negatives, in one list of eq. 15.
        epochs: passes over the training pairs.
        batches_per_epoch: steps in a pass; fixed, so that a pass is linear in interactions.
        learning_rate: of Adam, at the start; it falls to zero along half a cosine.
    """

    needs_teacher: ClassVar[bool] = True
    default_teacher: ClassVar[str] = "gcn-cf"

    n_bits: CodeWidth = 192
    binarizer: Literal["bernoulli", "relaxed"] = "relaxed"
    alpha: NonNegativeFloat = 10.0
    temperature: PositiveFloat = 1.0
    tau: PositiveFloat = 0.2
    nu: NonNegativeFloat = 0.001
    beta: NonNegativeFloat = 0.001
    score_scale: PositiveFloat | None = None
    list_length: PositiveInt = 32
    epochs: PositiveInt = 20
    batches_per_epoch: PositiveInt = 32
    learning_rate: PositiveFloat = 0.05

    def fit(
        self,
        train: Interactions,
        teacher: Scorer | None,
        *,
        seed: int,
        device: torch.device,
        progress: Progress,
    ) -> HashCodes:
        """Minimise eq. 17 or eq. 18 with Adam; see `HashModel.fit`."""
        factors = factors_of(
            require_teacher(teacher, train),
            self.n_bits,
            seed=seed,
            device=device,
            progress=progress,
        )
        with deterministic(device):
            return self._fit(train, factors, seed, device, progress)

    def _fit(
        self,
        train: Interactions,
        teacher: Embeddings,
        seed: int,
        device: torch.device,
        progress: Progress,
    ) -> HashCodes:
        sampler = PairSampler(train, device)
        start = factors_of_width(teacher, self.n_bits, seed)
        P = torch.tensor(start.users, device=device, requires_grad=True)
        Q = torch.tensor(start.items, device=device, requires_grad=True)
        taught = Factors(
            torch.tensor(teacher.users, device=device), torch.tensor(teacher.items, device=device)
        )
        adam = torch.optim.Adam([P, Q], lr=self.learning_rate, fused=True)
        decay = torch.optim.lr_scheduler.CosineAnnealingLR(adam, self.epochs)
        for epoch in progress.track(f"{type(self).__name__} epochs", self.epochs):
            random = generator(device, seed, 2, epoch)
            total = torch.zeros((), device=device)
            for batch in sampler.lists(self.list_length, self.batches_per_epoch, random):
                bounded = Factors(torch.tanh(P), torch.tanh(Q))
                loss = self._ranking_loss(self._codes(bounded, random), taught, batch)
                # The penalties count once an epoch; a batch carries its part of them.
                loss = loss + batch.mask.sum() / len(sampler) * self._penalty(bounded)
                adam.zero_grad(set_to_none=True)
                loss.backward()
                adam.step()
                total += loss.detach()
            decay.step()
            progress.log(loss=total.item() / len(sampler))
        user_codes = BinaryCodes.from_signs(P.detach().cpu().numpy())
        item_codes = BinaryCodes.from_signs(Q.detach().cpu().numpy())
        return HashCodes(user_codes, item_codes, fit_encoder(train, user_codes, item_codes))

    def _codes(self, bounded: Factors, random: torch.Generator) -> Factors:
        """Return what is scored in training: sampled codes, or tanh(P) and tanh(Q) themselves."""
        if self.binarizer == "relaxed":
            return bounded
        return Factors(
            bernoulli_code(bounded.users, self.tau, random),
            bernoulli_code(bounded.items, self.tau, random),
        )

    def _ranking_loss(self, codes: Factors, taught: Factors, batch: ItemLists) -> Tensor:
        """Return eq. 16 summed over a batch: BPR, and ListNet over positives and over negatives."""
        scale = self.n_bits**-0.5 if self.score_scale is None else self.score_scale
        positives = scale * codes.scores(batch.users, batch.positives)
        negatives = scale * codes.scores(batch.users, batch.negatives)
        loss = (bpr_loss(positives - negatives) * batch.mask).sum()
        if self.alpha == 0:
            return loss
        T, mask = self.temperature, batch.mask
        distilled = listnet_loss(
            positives, taught.scores(batch.users, batch.positives), mask, T
        ) + listnet_loss(negatives, taught.scores(batch.users, batch.negatives), mask, T)
        # In eq. 15 a user has one list: the lists that this one is dealt into share its weight.
        return loss + self.alpha * T**2 * (batch.shares @ distilled)

    def _penalty(self, bounded: Factors) -> Tensor:
        """Return the penalties of eq. 17, or of eq. 18, over all users and items."""
        penalty = torch.zeros((), device=bounded.users.device)
        for x in (bounded.users, bounded.items):
            penalty = penalty + self.nu * expected_noise_energy(x, self.tau).sum()
            if self.binarizer == "relaxed":
                penalty = penalty + self.beta * distance_to_binary(x).sum()
        return penalty


class BinCf(DgcnBinCf):
    """Eq. 1 with the same binarization and the same start, and nothing distilled (section 5.4)."""

    alpha: NonNegativeFloat = Field(default=0.0, le=0)
