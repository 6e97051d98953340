"""CH: codes of the rows and columns of a matrix that approximate its entries and features.

Liu, He, Deng and Lang, "Collaborative Hashing", CVPR 2014.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from pydantic import NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt
from torch import Tensor

from hashrec.training.data.interactions import Interactions
from hashrec.training.models.hash_model import CodeWidth, HashCodes, codes_of_signs
from hashrec.training.models.parts.binarize import signs
from hashrec.training.models.parts.bit_descent import descend
from hashrec.training.models.parts.rotation import best_rotation, learned_rotation
from hashrec.training.numerics.device import deterministic, generator
from hashrec.training.numerics.hyperparameters import Hyperparameters
from hashrec.training.numerics.implicit_squares import ImplicitSquares, Positives, inner
from hashrec.training.numerics.scorer import Csr, Scorer
from hashrec.training.numerics.spectral import degree_scaled, right_singular_vectors
from hashrec.training.progress import Progress, QuietProgress

_ROTATIONS = 20  # of the start, in which the codes follow the features alone


class Ch(Hyperparameters):
    """Collaborative hashing: codes B, D of both sides approximate a matrix S and their features.

    Codes of n bits agree in a share m_ui = 1/2 + b_u^T d_i / 2n of them. With features U and V of
    the rows and the columns of S, minimise over codes, rotations R and T, and the scale sigma

        lambda / N sum_ui (s_ui - sigma m_ui)^2
            + |B - U R|^2 / (n n_users) + |D - V T|^2 / (n n_items),

    with R R^T = T T^T = I and N the number of pairs. One after the other: each bit of B in order,
    then of D (`descend`), R and T by a singular value decomposition, sigma in closed form. Each is
    exact, so the objective falls. The original sets all bits of a side at once, and drops a term
    that is constant where bits are uncorrelated; that can raise it.

    **Implicit form.** The original takes a dense matrix. Here s is 1 for an observed pair and
    `rest` for the others, and observed pairs weigh more, as in iALS. Sums over all pairs need n x n
    matrices only. U and V are the leading singular vectors, times the roots of the singular values,
    of D_u^-1/2 X D_i^-1/2, with X the binary matrix and D the degrees; each is scaled to a mean
    square of 1.

    Attributes:
        n_bits: width of the codes, a multiple of 8.
        reconstruction: lambda.
        rest: s of an unobserved pair. 0 is the least value that codes can express; .5 is neutral.
        weight: of an observed pair; other pairs weigh 1.
        passes: over the matrix, to find the singular vectors.
        iterations: each improves codes, rotations and scale.
    """

    needs_teacher: ClassVar[bool] = False
    default_teacher: ClassVar[str] = "ials"

    n_bits: CodeWidth = 192
    reconstruction: PositiveFloat = 1000.0
    rest: NonNegativeFloat = 0.5
    weight: PositiveFloat = 8.0
    passes: PositiveInt = 4
    iterations: NonNegativeInt = 10

    def fit(
        self,
        train: Interactions,
        teacher: Scorer | None,  # noqa: ARG002 - learns from the interactions alone
        *,
        seed: int,
        device: torch.device,
        progress: Progress,
    ) -> HashCodes:
        """Start with rotated features, then alternate; see `HashModel.fit`."""
        train.require_any()
        with deterministic(device):
            random = generator(device, seed, 14)
            sides = self._start(train.matrix(), random, progress)
            squares = ImplicitSquares(1.0, self.rest, self.weight)
            scale = scale_of_agreements(squares, sides)
            for _ in progress.track("CH iterations", self.iterations):
                for side, other in (sides, sides[::-1]):
                    self.improve(side, other, scale)
                for side in sides:
                    side.rotation = best_rotation(side.features, side.codes)
                scale = scale_of_agreements(squares, sides)
                error = squares.loss(sides[0].positives, *agreements(sides, scale))
                loss = self.reconstruction * error / (train.n_users * train.n_items)
                progress.log(loss=loss + sum(side.quantisation_error() for side in sides))
        return codes_of_signs(train, *(side.codes for side in sides))

    def improve(self, side: RotatedSide, other: RotatedSide, scale: float) -> None:
        """Set each bit of one side to its best value, everything else fixed."""
        ours = self._of_inner_products(scale)
        pull = 4 * self.n_bits * len(other.codes) / (self.reconstruction * scale**2)
        wanted = ours.wanted(side.positives, other.codes) + pull * side.turned()
        heavier = (side.positives, self.weight)
        descend(side.codes, other.codes, wanted, heavier=heavier)

    def _start(self, X: Csr, random: torch.Generator, progress: Progress) -> list[RotatedSide]:
        """Return both sides with one common rotation that minimises the loss of signs."""
        device = random.device
        features = singular_features(X, self.n_bits, self.passes, random, progress)
        both = torch.cat(features)
        R = learned_rotation(
            both,
            self.n_bits,
            iterations=_ROTATIONS,
            random=random,
            progress=QuietProgress(),  # the start is not part of the job's report
            loop="CH start",
        )
        return [
            RotatedSide(Positives.of(pairs, device), F, R, signs(F @ R))
            for pairs, F in zip((X, X.T.tocsr()), features, strict=True)
        ]

    def _of_inner_products(self, scale: float) -> ImplicitSquares:
        """Return the same squares, over (sigma / 2n)^2, as squares of b^T d."""
        n = self.n_bits
        return ImplicitSquares((2 / scale - 1) * n, (2 * self.rest / scale - 1) * n, self.weight)


@dataclass(eq=False)
class RotatedSide:
    """The users, or the items, during learning.

    Attributes:
        positives: the pairs that are there, seen from this side.
        features: float32, shape (n, rank), rank at most n_bits.
        rotation: float32, shape (rank, n_bits), orthonormal rows.
        codes: +-1 as float32, shape (n, n_bits).
    """

    positives: Positives
    features: Tensor
    rotation: Tensor
    codes: Tensor

    def turned(self) -> Tensor:
        """Return the features in the codes' space, shape (n, n_bits)."""
        return self.features @ self.rotation

    def quantisation_error(self) -> float:
        """Return the mean square of codes less turned features."""
        return (self.codes - self.turned()).square().mean().item()


def singular_features(
    X: Csr, rank: int, passes: int, random: torch.Generator, progress: Progress
) -> list[Tensor]:
    """Return U and V, float32, shapes (n_users, r) and (n_items, r), r at most `rank`."""
    S = degree_scaled(X)
    right, values = right_singular_vectors(
        S, rank, passes=passes, random=random, progress=progress, loop="CH features"
    )
    root = np.sqrt(np.maximum(values, 1e-6 * values.max(initial=1e-6)))
    sides = (torch.from_numpy(side).to(random.device) for side in (S @ right / root, right * root))
    return [side / side.square().mean().sqrt() for side in sides]


def agreements(sides: list[RotatedSide], scale: float = 1.0) -> tuple[Tensor, Tensor]:
    """Return factors with inner products sigma m: shares of bits that agree, times sigma."""
    P, Q = (
        torch.nn.functional.pad(side.codes, (0, 1), value=side.codes.shape[1] ** 0.5)
        / (2 * side.codes.shape[1]) ** 0.5
        for side in sides
    )
    return scale * P, Q


def scale_of_agreements(squares: ImplicitSquares, sides: list[RotatedSide]) -> float:
    """Return the sigma where sum_ui w_ui (s_ui - sigma m_ui)^2 is least."""
    P, Q = agreements(sides)
    positives = sides[0].positives
    return inner(P, squares.wanted(positives, Q)) / inner(P, squares.reached(positives, P, Q))
