"""Factors of any teacher's scores, by a randomised singular value decomposition.

Halko, Martinsson and Tropp, "Finding Structure with Randomness", SIAM Review 2011.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hashrec.index.arrays.ids import spread
from hashrec.training.numerics.device import deterministic, generator
from hashrec.training.numerics.embeddings import Embeddings
from hashrec.training.numerics.scorer import Scorer
from hashrec.training.progress import Progress

_BLOCK = 1 << 22  # entries of the score matrix in memory at once: 16 MiB
_OVERSAMPLING = 16  # directions followed beyond those kept


def factors_of(
    scorer: Scorer,
    rank: int,
    *,
    seed: int,
    device: torch.device,
    progress: Progress,
    passes: int = 4,
) -> Embeddings:
    """Return a teacher's own factors of any width, or else a truncated SVD of its scores.

    Args:
        scorer: what to factor.
        rank: singular values kept, at most; used only if the teacher has no factors.
        seed: of the random start.
        device: where the products are made.
        progress: shows the passes.
        passes: over all scores; more passes bring the factors nearer to the optimum.
    """
    if isinstance(scorer, Embeddings):
        return scorer
    return truncated_svd(scorer, rank, seed=seed, device=device, progress=progress, passes=passes)


def truncated_svd(
    scorer: Scorer,
    rank: int,
    *,
    seed: int,
    device: torch.device,
    progress: Progress,
    passes: int = 4,
    most_users: int | None = None,
) -> Embeddings:
    """Return U and V with U V^T nearest to the scores Z, columns of norm sqrt(singular value).

    Subspace iteration on Z^T Z from a random start. Z is computed in blocks of users in each
    pass, so memory is that of the factors. The subspace of the items can be found from a sample of
    the users; all users are then projected on it once, with the best factors within it.

    Args:
        scorer: what to factor.
        rank: singular values kept, if there are as many.
        seed: of the random start.
        device: where the products are made.
        progress: shows the passes.
        passes: over the sampled users.
        most_users: size of the sample, evenly spread over all rows; None takes all users.
    """
    most_users = scorer.n_users if most_users is None else most_users
    sample = np.array(spread(scorer.n_users, most_users), dtype=np.int64)
    with deterministic(device):
        random = generator(device, seed, 3)
        return _truncated_svd(scorer, rank, sample, passes, random=random, progress=progress)


def _truncated_svd(
    scorer: Scorer,
    rank: int,
    sample: NDArray[np.int64],
    passes: int,
    *,
    random: torch.Generator,
    progress: Progress,
) -> Embeddings:
    n_users, n_items, device = scorer.n_users, scorer.n_items, random.device
    rank = min(rank, n_users, n_items)
    width = min(rank + _OVERSAMPLING, n_users, n_items)
    basis = torch.randn((n_items, width), generator=random, device=device)
    basis = torch.linalg.qr(basis).Q
    for _ in progress.track("Factorisation passes", passes):
        image = torch.zeros_like(basis)  # Z^T Z basis
        energy, kept = 0.0, 0.0
        for Z in _blocks(scorer, sample, device):
            projected = Z @ basis
            image.addmm_(Z.T, projected)
            energy += Z.square().sum().item()
            kept += projected.square().sum().item()
        basis = torch.linalg.qr(image).Q
        progress.log(loss=1 - kept / energy if energy else 0.0)
    users = torch.cat([Z @ basis for Z in _blocks(scorer, np.arange(n_users), device)])
    # Within the subspace the SVD is exact: U^T U = E diag(s^2) E^T.
    squares, E = torch.linalg.eigh((users.T @ users).double())
    leading = squares.argsort(descending=True)[:rank]
    root = squares[leading].clamp(min=1e-12).pow(0.25)
    return Embeddings(
        users=(users @ (E[:, leading] / root).float()).cpu().numpy(),
        items=(basis @ (E[:, leading] * root).float()).cpu().numpy(),
    )


def _blocks(scorer: Scorer, rows: NDArray[np.int64], device: torch.device) -> Iterator[Tensor]:
    """Yield some users' rows of Z in blocks."""
    step = max(1, _BLOCK // scorer.n_items)
    for start in range(0, len(rows), step):
        yield torch.from_numpy(scorer.scores(rows[start : start + step])).to(device)
