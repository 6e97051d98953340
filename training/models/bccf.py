"""BCCF: relaxed factors with balanced columns, binarised by medians or by a rotation.

Zhou and Zha, "Learning Binary Codes for Collaborative Filtering", KDD 2012.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor

from hashrec.training.data.interactions import Interactions
from hashrec.training.models.hash_model import CodeWidth, HashCodes, codes_of_signs
from hashrec.training.models.parts.relaxation import relaxed_factors
from hashrec.training.models.parts.rotation import learned_rotation
from hashrec.training.numerics.device import deterministic, generator
from hashrec.training.numerics.hyperparameters import Hyperparameters
from hashrec.training.numerics.implicit_squares import ImplicitSquares
from hashrec.training.numerics.scorer import Scorer
from hashrec.training.progress import Progress


class Bccf(Hyperparameters):
    """Binary codes for collaborative filtering: factors first, codes from them afterwards.

    Two codes agree in a share of 1/2 + p^T q / 2n of their n bits, which is to be the rating,
    scaled to [0, 1]. With P and Q real, and bits that are as often +1 as -1 asked for softly,

        sum_ui (r_ui - 1/2 - p_u^T q_i / 2n)^2 + lambda (|P^T 1|^2 + |Q^T 1|^2).

    **Implicit form.** The original sums over ratings. Here the sum is over all pairs, weighted as
    in iALS; the target of the inner product is n for an observed pair and `rest` times n for
    others. The original does not bound the factors as codes are bounded; here a ridge, stated as in
    `Ials`, does. The scale of P and Q does not matter, so n is 1 here.

    **Binarisation.** `median` compares each column with its median, so that every bit is balanced.
    `rotation` turns P and Q together, which leaves inner products as they are, to where signs lose
    least: the B in {-1, +1} and R, R R^T = I, that minimise |B - F R|^2 in turn, F being P above Q.

    Attributes:
        n_bits: width of the codes, a multiple of 8.
        binarizer: as above.
        balance: lambda; 1 holds down the mean of the rows as much again as the ridge does.
        regularization: of the ridge, relative to the noise in the data.
        weight: of an observed pair; other pairs weigh 1.
        rest: target of an unobserved pair, relative to the target of an observed pair. -1 is the
            other end of the range, like the lowest rating; 0 is neutral. None centres: the
            weighted mean of all targets is 0.
        iterations: of the factors, each over the users and over the items.
        rotations: of the binarisation, each improves B, then R.
    """

    needs_teacher: ClassVar[bool] = False
    default_teacher: ClassVar[str] = "ials"

    n_bits: CodeWidth = 192
    binarizer: Literal["median", "rotation"] = "rotation"
    balance: NonNegativeFloat = 2.0
    regularization: PositiveFloat = 0.7
    weight: PositiveFloat = 15.0
    rest: float | None = None
    iterations: PositiveInt = 10
    rotations: PositiveInt = 30

    def fit(
        self,
        train: Interactions,
        teacher: Scorer | None,  # noqa: ARG002 - learns from the interactions alone
        *,
        seed: int,
        device: torch.device,
        progress: Progress,
    ) -> HashCodes:
        """Fit factors, then binarise; see `HashModel.fit`."""
        train.require_any()
        X = train.matrix()
        squares = ImplicitSquares.of_target_1(X, self.weight, self.rest)
        pull = self.regularization * squares.noise(X)
        with deterministic(device):
            P, Q = relaxed_factors(
                X,
                self.n_bits,
                squares,
                pulls=(pull, pull),
                nearest=torch.zeros_like,
                balance=self.balance * pull,
                iterations=self.iterations,
                random=generator(device, seed, 10),
                progress=progress,
                loop="BCCF factors",
            )
            if self.binarizer == "median":
                P, Q = above_median(P), above_median(Q)
            else:
                R = learned_rotation(
                    torch.cat([P, Q]),
                    self.n_bits,
                    iterations=self.rotations,
                    random=generator(device, seed, 11),
                    progress=progress,
                    loop="BCCF rotations",
                )
                P, Q = P @ R, Q @ R
        return codes_of_signs(train, P, Q)


def above_median(factors: Tensor) -> Tensor:
    """Return each column less its median: half of the entries, up to ties, are positive.

    Args:
        factors: float32, shape (n, d).
    """
    ordered = factors.sort(dim=0).values
    n = len(ordered)
    return factors - (ordered[(n - 1) // 2] + ordered[n // 2]) / 2
