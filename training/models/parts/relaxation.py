"""Factors of implicit feedback near a given set: the relaxed problems of DCF, BCCF and PPH."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from hashrec.training.numerics.implicit_squares import (
    ImplicitSquares,
    Positives,
    conjugate_gradients,
)
from hashrec.training.numerics.scorer import Csr
from hashrec.training.progress import Progress

_STEPS = 3  # of conjugate gradients, warm-started from the last iteration


def relaxed_factors(
    X: Csr,
    width: int,
    squares: ImplicitSquares,
    *,
    pulls: tuple[float, float],
    nearest: Callable[[Tensor], Tensor],
    balance: float = 0.0,
    iterations: int,
    random: torch.Generator,
    progress: Progress,
    loop: str,
) -> tuple[Tensor, Tensor]:
    """Improve P and Q in turn.

    Minimise

        L(P, Q) + sum_F (pull_F dist(F, S)^2 + balance |F^T 1|^2 / n_F),    F = P, Q.

    A side is improved by conjugate gradients with the nearest point of S fixed; then that point is
    updated. Neither step raises the objective.

    Args:
        X: binary float32 CSR, users x items.
        width: columns of P and Q.
        squares: L.
        pulls: weights of the distances of P and of Q to S.
        nearest: the point of S nearest to F, of the shape of F.
        balance: weight of the mean vectors' squared length, summed over rows.
        iterations: each over the users and over the items.
        random: of the start; on the device that computes.
        progress: shows the iterations and records the objective, by pair.
        loop: as what it shows them.

    Returns:
        P and Q, float32, shapes (n_users, width) and (n_items, width).
    """
    device = random.device
    sides = [Positives.of(side, device) for side in (X, X.T.tocsr())]
    size = (abs(squares.target) / width) ** 0.5  # of an entry, as if all pairs were observed
    F = [size * torch.randn((n, width), generator=random, device=device) for n in X.shape]
    S = [nearest(factors) for factors in F]
    for _ in progress.track(loop, iterations):
        objective = 0.0
        for side, positives in enumerate(sides):
            pull, level = pulls[side], balance / len(F[side])
            F[side] = _improved(
                F[side],
                F[1 - side],
                S[side],
                squares=squares,
                positives=positives,
                pull=pull,
                level=level,
            )
            S[side] = nearest(F[side])
            objective += pull * (F[side] - S[side]).square().sum().item()
            objective += level * F[side].sum(0).square().sum().item()
        objective += squares.loss(sides[0], *F)
        progress.log(loss=objective / (len(F[0]) * len(F[1])))
    return F[0], F[1]


def _improved(
    P: Tensor,
    Q: Tensor,
    nearest: Tensor,
    *,
    squares: ImplicitSquares,
    positives: Positives,
    pull: float,
    level: float,
) -> Tensor:
    """Return a better P, with Q and the point of S fixed."""

    def normal(P: Tensor) -> Tensor:
        return squares.reached(positives, P, Q) + pull * P + level * P.sum(0)

    wanted = squares.wanted(positives, Q) + pull * nearest
    return conjugate_gradients(normal, wanted, P, squares.curvature(positives, Q) + pull, _STEPS)
