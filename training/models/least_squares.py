"""Discrete least squares: codes whose inner products are nearest to a teacher's scores.

Alternating coordinate descent over bits, as in discrete collaborative filtering (Zhang et al.,
SIGIR 2016), here annealed, towards a score of every pair, and with a hinge for what a user does not
want.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import NonNegativeFloat, NonNegativeInt, PositiveInt
from torch import Tensor

from hashrec.training.data.interactions import Interactions
from hashrec.training.models.hash_model import CodeWidth, HashCodes, codes_of_signs, require_teacher
from hashrec.training.models.parts.binarize import signs
from hashrec.training.models.parts.bit_descent import blocks, descend
from hashrec.training.numerics.device import deterministic, generator
from hashrec.training.numerics.embeddings import Embeddings
from hashrec.training.numerics.factor_forms import factors_of_width, standardised_rows
from hashrec.training.numerics.factorization import factors_of
from hashrec.training.numerics.hyperparameters import Hyperparameters
from hashrec.training.numerics.implicit_squares import inner
from hashrec.training.numerics.scorer import Scorer
from hashrec.training.progress import Progress

_PAIRS = 1 << 20  # entries of a users x items matrix in memory at once: 4 MiB


@dataclass(frozen=True, eq=False)
class TargetSide:
    """The users, or the items.

    Attributes:
        codes: +-1 as float32, shape (n, n_bits); changed in place.
        factors: float32, shape (n, rank), of the target.
    """

    codes: Tensor
    factors: Tensor

    @classmethod
    def of(
        cls, start: NDArray[np.float32], factors: NDArray[np.float32], device: torch.device
    ) -> TargetSide:
        """Start from the signs of some factors."""
        return cls(signs(torch.tensor(start, device=device)), torch.tensor(factors, device=device))

    def gram(self) -> Tensor:
        """Return the inner products of the bits, shape (n_bits, n_bits), exact integers."""
        return self.codes.T @ self.codes


class LeastSquares(Hyperparameters):
    """Codes p_u, q_i in {-1, +1}^n and one scale c with c p_u^T q_i near to a target Z_ui.

    The target is the teacher's score matrix with every user's row at mean 0 and variance 1
    (`standardised_rows`); it keeps each user's ranking and stays in factors, Z = U V^T.

    **Annealed stage.** Minimise F = |Z - c P Q^T|^2, a sum over all pairs. With Q and c fixed, the
    part of F that depends on bit d of user u is -2 c p_ud h_ud, so the best bit is the sign of its
    field

        h_ud = R_ud - c sum_(e != d) A_de p_ue,    R = Z Q = U (V^T Q),    A = Q^T Q.

    Bits are visited in order, items by the same rule with the sides exchanged, and after each sweep
    the best scale is c = <R, P> / <P^T P, Q^T Q>. Each step is an exact minimisation, so F falls.
    Descent alone stops in a poor local minimum; noise of deviation c A_dd t on each field, with t
    falling in a straight line from temperature / sqrt(n) to 0, carries it past. No pair is ever
    visited: time is O((n_users + n_items) n_bits (n_bits + rank)) an iteration, and memory that of
    codes and factors.

    **Hinge stage.** How far below its user's mean an unwanted item stands does not matter, and bits
    spent on that are wasted. So a negative target is only an upper bound:

        L = sum_(Z >= 0) (Z - c p^T q)^2 + sum_(Z < 0) max(0, c p^T q - Z)^2.

    L is the least |T - c P Q^T|^2 over targets T that equal Z where Z >= 0 and are at most Z
    elsewhere. The best T is min(Z, c p^T q) where Z < 0 (`hinge_target`), then a sweep descends
    towards T, so L falls as well. T has no small factors: this stage visits all pairs, in blocks,
    and takes O(n_users n_items (n_bits + rank)) an iteration. A few, without noise, are enough.

    Attributes:
        n_bits: width of the codes, a multiple of 8.
        target_rank: width of the factors if the teacher has no factors.
        iterations: of the annealed stage; one is a sweep over the users and one over the items.
        temperature: of the initial noise; 0 is plain descent.
        hinge_iterations: of the hinge stage; 0 leaves it out, for matrices of 10^10 pairs and more.
    """

    needs_teacher: ClassVar[bool] = True
    default_teacher: ClassVar[str] = "denoised-ease"

    n_bits: CodeWidth = 192
    target_rank: PositiveInt = 64
    iterations: PositiveInt = 60
    temperature: NonNegativeFloat = 7.5
    hinge_iterations: NonNegativeInt = 10

    def fit(
        self,
        train: Interactions,
        teacher: Scorer | None,
        *,
        seed: int,
        device: torch.device,
        progress: Progress,
    ) -> HashCodes:
        """Minimise F, then L; see `HashModel.fit`."""
        teacher = require_teacher(teacher, train)
        train.require_any()
        factors = factors_of(teacher, self.target_rank, seed=seed, device=device, progress=progress)
        with deterministic(device):
            return self._fit(train, standardised_rows(factors), seed, device, progress)

    def _fit(
        self,
        train: Interactions,
        target: Embeddings,
        seed: int,
        device: torch.device,
        progress: Progress,
    ) -> HashCodes:
        start = factors_of_width(target, self.n_bits, seed)
        users = TargetSide.of(start.users, target.users, device)
        items = TargetSide.of(start.items, target.items, device)
        n_pairs = len(users.codes) * len(items.codes)
        energy = inner(users.factors.T @ users.factors, items.factors.T @ items.factors)

        scale = best_scale(users, items, projection(users, items))
        for iteration in progress.track("Annealed least squares", self.iterations):
            random = generator(device, seed, 4, iteration)
            noise = self.temperature / math.sqrt(self.n_bits) * (1 - iteration / self.iterations)
            for side, other in ((users, items), (items, users)):
                R = projection(side, other)
                descend(side.codes, other.codes, R, scale, noise=noise, random=random)
                scale = best_scale(side, other, R)
            progress.log(loss=residual(items, users, R, energy, scale) / n_pairs)
        for _ in progress.track("Hinged least squares", self.hinge_iterations):
            for side, other in ((users, items), (items, users)):
                R, energy = hinged_projection(side, other, scale)
                descend(side.codes, other.codes, R, scale)
                scale = best_scale(side, other, R)
            progress.log(loss=residual(items, users, R, energy, scale) / n_pairs)
        return codes_of_signs(train, users.codes, items.codes)


def hinge_target(Z: Tensor, prediction: Tensor) -> Tensor:
    """Return the target nearest to the prediction: Z where Z >= 0, anything up to Z elsewhere."""
    return torch.where(Z < 0, torch.minimum(Z, prediction), Z)


def projection(side: TargetSide, other: TargetSide) -> Tensor:
    """Return R = Z Q, the target times the other side's codes, shape (n, n_bits)."""
    return side.factors @ (other.factors.T @ other.codes)


def hinged_projection(side: TargetSide, other: TargetSide, scale: float) -> tuple[Tensor, float]:
    """Return R = T Q and |T|^2 for the hinge's targets T at the present codes."""
    R = torch.empty_like(side.codes)
    energy = 0.0
    for rows in blocks(len(R), max(1, _PAIRS // len(other.codes))):
        T = hinge_target(
            side.factors[rows] @ other.factors.T, scale * side.codes[rows] @ other.codes.T
        )
        R[rows] = T @ other.codes
        energy += T.square().sum().item()
    return R, energy


def best_scale(side: TargetSide, other: TargetSide, R: Tensor) -> float:
    """Return the c >= 0 that minimises |T - c P Q^T|^2; a negative c would reverse rankings."""
    return max(0.0, inner(R, side.codes) / inner(side.gram(), other.gram()))


def residual(side: TargetSide, other: TargetSide, R: Tensor, energy: float, scale: float) -> float:
    """Return |T - c P Q^T|^2 from R = T Q and energy = |T|^2."""
    modelled = inner(side.gram(), other.gram())
    return energy - 2 * scale * inner(R, side.codes) + scale**2 * modelled
