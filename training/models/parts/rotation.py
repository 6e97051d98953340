"""Rotations that leave signs near to factors: orthogonal Procrustes, as ITQ, BCCF and CH use it.

Gong and Lazebnik, "Iterative Quantization: A Procrustean Approach to Learning Binary Codes",
CVPR 2011.
"""

from __future__ import annotations

import torch
from torch import Tensor

from hashrec.training.models.parts.binarize import signs
from hashrec.training.progress import Progress


def learned_rotation(
    X: Tensor,
    n_bits: int,
    *,
    iterations: int,
    random: torch.Generator,
    progress: Progress,
    loop: str,
) -> Tensor:
    """Return R, R R^T = I, float32, shape (d, n_bits), that leaves |sign(X R) - X R|^2 small.

    Args:
        X: float32, shape (n, d), d <= n_bits.
        n_bits: columns of R.
        iterations: each improves the codes, then R.
        random: of the initial R; on the device of X.
        progress: shows the iterations and records `quantisation_error`.
        loop: as what it shows them.
    """
    R = random_frame(X.shape[1], n_bits, random)
    for _ in progress.track(loop, iterations):
        R = best_rotation(X, signs(X @ R))
        progress.log(loss=quantisation_error(X, R))
    return R


def random_frame(n_rows: int, n_columns: int, random: torch.Generator) -> Tensor:
    """Return random orthonormal rows, float32, shape (n_rows, n_columns), n_rows <= n_columns."""
    tall = torch.randn((n_columns, n_rows), generator=random, device=random.device)
    return torch.linalg.qr(tall).Q.T


def best_rotation(X: Tensor, B: Tensor) -> Tensor:
    """Return the R with R R^T = I that minimises |B - X R|^2 (orthogonal Procrustes)."""
    S, _, Th = torch.linalg.svd((X.T @ B).double(), full_matrices=False)
    return (S @ Th).float()


def quantisation_error(X: Tensor, R: Tensor) -> float:
    """Return |sign(X R) - s X R|^2 over its number of entries, s X R having a mean square of 1.

    The scale does not decide which R is best. It makes the error 2 - 2 sum |X R| / (sqrt(entries)
    |X|): 0 if all entries are +-1, 2 - 2 sqrt(2 / pi) = .404 if they are Gaussian.
    """
    turned = X @ R
    size = turned.double().norm().item()
    if not size:
        return 1.0
    return 2 - 2 * turned.abs().double().sum().item() / (size * turned.numel() ** 0.5)
