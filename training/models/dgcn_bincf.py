"""DGCN-BinCF, the student of the paper, and BinCF, without distillation (eq. 1, 15 to 18)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor
from torch.nn.functional import embedding

from hashrec.training.data.interactions import Interactions
from hashrec.training.models.hash_model import CodeWidth, HashCodes, codes_of_signs, require_teacher
from hashrec.training.models.parts.binarize import (
    Bernoulli,
    Binarizer,
    Relaxed,
    StraightThrough,
    TanhAnnealing,
)
from hashrec.training.models.parts.distillation import (
    Distillation,
    ListNet,
    RankDistil,
    SoftTargets,
)
from hashrec.training.numerics.device import deterministic, generator
from hashrec.training.numerics.embeddings import Embeddings
from hashrec.training.numerics.factor_forms import factors_of_width
from hashrec.training.numerics.factorization import factors_of
from hashrec.training.numerics.hyperparameters import Hyperparameters
from hashrec.training.numerics.losses import bpr_loss
from hashrec.training.numerics.sampling import ItemLists, PairSampler
from hashrec.training.numerics.scorer import Scorer
from hashrec.training.numerics.top_items import top_items
from hashrec.training.progress import Progress


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
            (eq. 17), `relaxed` through tanh(P) and a penalty on its distance from +-1 (eq. 18),
            `straight-through` through sign(P), `tanh-annealing` through tanh(gamma_t P); see
            `hashrec.training.models.parts.binarize`.
        distillation: what of the teacher's ranking is learned: `listnet` (eq. 15), `kd` its
            preferences between a positive and a negative, `rank-distil` its best unobserved items;
            see `hashrec.training.models.parts.distillation`.
        alpha: weight of the distilled rankings (eq. 16).
        temperature: T, softens what is compared; without effect on `rank-distil`.
        top_k: K, length of the teacher's list; of `rank-distil`, as the next two.
        rank_decay: lambda, places until a position weighs 1/e.
        rank_sharpness: mu, of the weight of what is ranked too low; 0 leaves it out.
        tau: temperature of the noise (section 4.2); of `bernoulli` and `relaxed`.
        nu: weight of the expected noise energy (eq. 17 and 18); of `bernoulli` and `relaxed`.
        beta: weight of the distance from +-1 (eq. 18); of `relaxed`.
        gamma: sharpness in the last epoch; of `tanh-annealing`.
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
    binarizer: Literal["straight-through", "bernoulli", "tanh-annealing", "relaxed"] = "relaxed"
    distillation: Literal["listnet", "rank-distil", "kd"] = "listnet"
    alpha: NonNegativeFloat = 10.0
    temperature: PositiveFloat = 1.0
    top_k: PositiveInt = 10
    rank_decay: PositiveFloat = 1.0
    rank_sharpness: NonNegativeFloat = 0.1
    tau: PositiveFloat = 0.2
    nu: NonNegativeFloat = 0.001
    beta: NonNegativeFloat = 0.001
    gamma: Annotated[float, Field(ge=1)] = 10.0
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
        """Minimise eq. 16 and the penalties of the binarizer with Adam; see `HashModel.fit`."""
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
        binarizer = self._binarizer()
        distillation = self._distillation(train, teacher, device) if self.alpha else None
        adam = torch.optim.Adam([P, Q], lr=self.learning_rate, fused=True)
        decay = torch.optim.lr_scheduler.CosineAnnealingLR(adam, self.epochs)
        loop, state = f"{type(self).__name__} epochs", (P, Q, adam, decay)
        for epoch in progress.track(loop, self.epochs, state):
            random = generator(device, seed, 2, epoch)
            done = epoch / max(1, self.epochs - 1)
            total = torch.zeros((), device=device)
            for batch in sampler.lists(self.list_length, self.batches_per_epoch, random):
                users, items = binarizer.bounded(P, done), binarizer.bounded(Q, done)
                codes = Factors(binarizer.codes(users, random), binarizer.codes(items, random))
                loss = self._ranking_loss(codes, distillation, batch)
                # The penalties count once per epoch; each batch carries its share.
                penalty = binarizer.penalty(users) + binarizer.penalty(items)
                loss = loss + batch.mask.sum() / len(sampler) * penalty
                adam.zero_grad(set_to_none=True)
                loss.backward()
                adam.step()
                total += loss.detach()
            decay.step()
            progress.log(loss=total.item() / len(sampler))
        return codes_of_signs(train, P.detach(), Q.detach())

    def _binarizer(self) -> Binarizer:
        match self.binarizer:
            case "bernoulli":
                return Bernoulli(self.tau, self.nu)
            case "relaxed":
                return Relaxed(self.tau, self.nu, self.beta)
            case "straight-through":
                return StraightThrough()
            case "tanh-annealing":
                return TanhAnnealing(self.gamma)

    def _distillation(
        self, train: Interactions, teacher: Embeddings, device: torch.device
    ) -> Distillation:
        taught = Factors(
            torch.tensor(teacher.users, device=device), torch.tensor(teacher.items, device=device)
        )
        match self.distillation:
            case "kd":
                return SoftTargets(taught.scores, self.temperature)
            case "listnet":
                return ListNet(taught.scores, self.temperature)
            case "rank-distil":
                top, _ = top_items(teacher, train, min(self.top_k, train.n_items))
                rows = torch.from_numpy(top).long().to(device)
                return RankDistil(rows, train.n_items, self.rank_decay, self.rank_sharpness)

    def _ranking_loss(
        self, codes: Factors, distillation: Distillation | None, batch: ItemLists
    ) -> Tensor:
        """Return eq. 16 summed over a batch: BPR plus alpha times the distillation loss."""
        scale = self.n_bits**-0.5 if self.score_scale is None else self.score_scale

        def student(users: Tensor, items: Tensor) -> Tensor:
            return scale * codes.scores(users, items)

        positives = student(batch.users, batch.positives)
        negatives = student(batch.users, batch.negatives)
        loss = (bpr_loss(positives - negatives) * batch.mask).sum()
        if distillation is None:
            return loss
        distilled = distillation.loss(batch, positives, negatives, student)
        # In eq. 15 a user has one list; the lists it is split into share its weight.
        return loss + self.alpha * (batch.shares @ distilled)


class BinCf(DgcnBinCf):
    """Eq. 1 with the same binarization and start, without distillation (section 5.4)."""

    alpha: NonNegativeFloat = Field(default=0.0, le=0)
