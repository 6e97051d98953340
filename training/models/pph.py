"""PPH: factors of one norm, whose directions and lengths become bits.

Zhang, Wang, Ruan and Si, "Preference Preserving Hashing for Efficient Recommendation", SIGIR 2014.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import PositiveFloat, PositiveInt
from torch import Tensor

from hashrec.training.data.interactions import Interactions
from hashrec.training.models.hash_model import CodeWidth, HashCodes, codes_of_signs
from hashrec.training.models.parts.binarize import signs
from hashrec.training.models.parts.relaxation import relaxed_factors
from hashrec.training.numerics.device import deterministic, generator
from hashrec.training.numerics.hyperparameters import Hyperparameters
from hashrec.training.numerics.implicit_squares import ImplicitSquares
from hashrec.training.numerics.scorer import Scorer
from hashrec.training.progress import Progress

MAGNITUDE_BITS = 2


class Pph(Hyperparameters):
    """Preference preserving hashing: similarity of directions is made to stand for preference.

    A code has no length, so an inner product loses that of the factors it stands for. The factors
    are therefore asked to have one norm, sqrt(c),

        sum_ui (r_ui - p_u^T q_i)^2 + lambda sum_F sum_x (|x|^2 - c)^2,    x a row of F = P, Q,

    with ratings moved to [-c, c], the range of such inner products. Here the constraint's term is
    (|x| - sqrt(c))^2: at a norm near to sqrt(c) it is the original's over 4c, and it is the squared
    distance to the nearest vector of that norm, which makes each step a linear system.

    **Implicit form.** The original sums over ratings. Here the sum is over all pairs, weighted as
    in iALS; the target is c for an observed pair and `rest` times c for others. As scales do not
    matter, c is 1.

    **Code.** The first n_bits - 2 bits are the phase, the signs of as many factors. The last two
    are the magnitude: the first of them says that a norm is not below the mean norm of the items
    less a deviation, the second that it is above the mean and a deviation. A user's length changes
    no ranking of items; theirs are both +1. So an item's magnitude adds -2, 0 or 2 to the inner
    product of the phases, and Hamming distance ranks by phase and magnitude together.

    Attributes:
        n_bits: width of the codes, a multiple of 8.
        constraint: lambda, relative to the noise in the data, as in `Ials`.
        weight: of an observed pair; other pairs weigh 1.
        rest: target of an unobserved pair, relative to the target of an observed pair. -1 is the
            other end of the range, like the lowest rating; 0 is neutral. None centres: the
            weighted mean of all targets is 0.
        iterations: each over the users and over the items.
    """

    needs_teacher: ClassVar[bool] = False
    default_teacher: ClassVar[str] = "ials"

    n_bits: CodeWidth = 192
    constraint: PositiveFloat = 4.0
    weight: PositiveFloat = 15.0
    rest: float | None = None
    iterations: PositiveInt = 30

    def fit(
        self,
        train: Interactions,
        teacher: Scorer | None,  # noqa: ARG002 - learns from the interactions alone
        *,
        seed: int,
        device: torch.device,
        progress: Progress,
    ) -> HashCodes:
        """Fit factors, then quantise; see `HashModel.fit`."""
        train.require_any()
        X = train.matrix()
        squares = ImplicitSquares.of_target_1(X, self.weight, self.rest)
        pull = self.constraint * squares.noise(X)
        with deterministic(device):
            P, Q = relaxed_factors(
                X,
                self.n_bits - MAGNITUDE_BITS,
                squares,
                pulls=(pull, pull),
                nearest=of_norm_1,
                iterations=self.iterations,
                random=generator(device, seed, 12),
                progress=progress,
                loop="PPH factors",
            )
            both = torch.ones((len(P), MAGNITUDE_BITS), device=device)
            users, items = torch.cat([P, both], 1), torch.cat([Q, magnitude_bits(Q)], 1)
        return codes_of_signs(train, users, items)


def of_norm_1(factors: Tensor) -> Tensor:
    """Return the nearest rows of norm 1; a row of zeros stays zero."""
    return factors / factors.norm(dim=1, keepdim=True).clamp(min=1e-12)


def magnitude_bits(items: Tensor) -> Tensor:
    """Return the two bits of each item's norm, +-1, shape (n_items, 2)."""
    norms = items.norm(dim=1)
    deviation = norms.std(correction=0)
    low, high = norms.mean() - deviation, norms.mean() + deviation
    return torch.stack([signs(norms - low), -signs(high - norms)], dim=1)
