"""DCF: balanced and decorrelated codes, learned bit by bit.

Zhang, Shen, Liu, He, Luan and Chua, "Discrete Collaborative Filtering", SIGIR 2016.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import NonNegativeInt, PositiveFloat, PositiveInt
from torch import Tensor

from hashrec.training.data.interactions import Interactions
from hashrec.training.models.hash_model import CodeWidth, HashCodes, codes_of_signs
from hashrec.training.models.parts.binarize import signs
from hashrec.training.models.parts.bit_descent import descend
from hashrec.training.models.parts.relaxation import relaxed_factors
from hashrec.training.numerics.device import deterministic, generator
from hashrec.training.numerics.hyperparameters import Hyperparameters
from hashrec.training.numerics.implicit_squares import ImplicitSquares, Positives
from hashrec.training.numerics.scorer import Scorer
from hashrec.training.progress import Progress

_TINY = 1e-10  # of the largest eigenvalue; directions of the codes below it count as missing


class Dcf(Hyperparameters):
    """Discrete collaborative filtering: codes B, D near to X, Y that are balanced and decorrelated.

    With b_u, d_i in {-1, +1}^n and ratings s_ui moved to the range of b_u^T d_i, minimise (eq. 6)

        sum_ui (s_ui - b_u^T d_i)^2 + alpha |B - X|^2 + beta |D - Y|^2,
        1^T X = 0,  X^T X = n_users I,    1^T Y = 0,  Y^T Y = n_items I.

    The original writes -2 alpha tr(B^T X), the same up to a constant. In turn, each exactly:

    - every bit of B is set to the sign of its field, in order (`descend`), to which X adds alpha x;
      D likewise;
    - X is the nearest to B that is balanced and decorrelated (`delegates`); Y likewise.

    No step raises the objective. The start is the relaxed problem, the same with B and D real: its
    X, Y and the signs of its B, D (eq. 22).

    **Implicit form.** The original sums over ratings. Here the sum is over all pairs, weighted as
    in iALS; the target of the inner product is `target` times n for an observed pair, and `rest`
    times that for others. Sums over all pairs need n x n matrices only.

    Attributes:
        n_bits: width of the codes, a multiple of 8.
        alpha: weight of the users' constraints, relative to the noise in the data, as in `Ials`.
        beta: weight of the items' constraints, likewise.
        target: 1 is the end of the range. With a smaller one, more pairs can be near it at once.
        rest: target of an unobserved pair, relative to the target of an observed pair. -1 is the
            other end of the range, like the lowest rating; 0 is neutral.
        weight: of an observed pair; other pairs weigh 1.
        relaxed_iterations: of the start, each over the users and over the items.
        iterations: of the codes, each a sweep over the users and one over the items.
    """

    needs_teacher: ClassVar[bool] = False
    default_teacher: ClassVar[str] = "ials"

    n_bits: CodeWidth = 192
    alpha: PositiveFloat = 0.01
    beta: PositiveFloat = 0.01
    target: PositiveFloat = 0.3
    rest: float = -1.0
    weight: PositiveFloat = 15.0
    relaxed_iterations: PositiveInt = 5
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
        """Solve the relaxed problem, then descend; see `HashModel.fit`."""
        train.require_any()
        X = train.matrix()
        target = self.target * self.n_bits
        squares = ImplicitSquares(target, self.rest * target, self.weight)
        random = generator(device, seed, 13)
        noise = squares.noise(X)
        pulls = (self.alpha * noise, self.beta * noise)
        with deterministic(device):
            factors = relaxed_factors(
                X,
                self.n_bits,
                squares,
                pulls=pulls,
                nearest=lambda side: delegates(side, random),
                iterations=self.relaxed_iterations,
                random=random,
                progress=progress,
                loop="DCF relaxed",
            )
            positives = [Positives.of(side, device) for side in (X, X.T.tocsr())]
            nearest = [delegates(side, random) for side in factors]
            codes = [signs(side) for side in factors]
            for _ in progress.track("DCF sweeps", self.iterations):
                objective = 0.0
                for side in (0, 1):
                    wanted = squares.wanted(positives[side], codes[1 - side])
                    wanted += pulls[side] * nearest[side]
                    descend(
                        codes[side],
                        codes[1 - side],
                        wanted,
                        heavier=(positives[side], self.weight),
                    )
                    nearest[side] = delegates(codes[side], random)
                    objective += pulls[side] * (codes[side] - nearest[side]).square().sum().item()
                objective += squares.loss(positives[0], *codes)
                progress.log(loss=objective / (train.n_users * train.n_items))
        return codes_of_signs(train, *codes)


def delegates(codes: Tensor, random: torch.Generator) -> Tensor:
    """Return the nearest matrix Y of mean 0, 1^T Y = 0, with uncorrelated columns, Y^T Y = n I.

    With J the centring matrix and J B = P Sigma Q^T its singular value decomposition,
    Y = sqrt(n) P Q^T (eq. 16). Where J B lacks directions, P is completed by random ones,
    orthogonal to 1 and to each other. Of n rows only n - 1 directions can have mean 0: codes wider
    than that get as many uncorrelated directions.

    Args:
        codes: float32, shape (n, n_bits); B, or D, or their relaxed forms.
        random: of the directions that are missing; on the device of the codes.
    """
    n, n_bits = codes.shape
    centred = (codes - codes.mean(0)).double()
    energies, Q = torch.linalg.eigh(centred.T @ centred)
    kept = min(n_bits, n - 1)
    energies, Q = energies.flip(0)[:kept], Q.flip(1)[:, :kept]
    present = int((energies > _TINY * energies[:1].clamp(min=_TINY)).sum())
    P = centred @ (Q[:, :present] / energies[:present].sqrt())
    if present < kept:
        shape = (n, kept - present)
        filling = torch.randn(shape, generator=random, device=random.device).double()
        for _ in range(2):  # one pass is not exact enough if few directions remain
            filling = filling - filling.mean(0) - P @ (P.T @ filling)
            filling = torch.linalg.qr(filling).Q
        P = torch.cat([P, filling], dim=1)
    return (n**0.5 * P @ Q.T).float()
