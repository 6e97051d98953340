"""The smoothest signals on the user-item graph: singular vectors of a scaled matrix."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hashrec.training.numerics.device import csr_tensor, sparse_product
from hashrec.training.numerics.scorer import Csr
from hashrec.training.progress import Progress

_OVERSAMPLING = 16  # directions followed beyond those kept


def scaled(left: NDArray[np.floating], X: Csr, right: NDArray[np.floating]) -> Csr:
    """Return diag(left) X diag(right), float32 CSR."""
    product = X.copy()
    product.data *= (np.repeat(left, X.getnnz(1)) * right[X.indices]).astype(np.float32)
    return product


def degrees(X: Csr, axis: int) -> NDArray[Any]:
    """Return the sums of the columns (axis 0) or rows (axis 1); an empty one counts 1.

    Of a binary X they are the integer numbers of its entries.
    """
    counts = np.maximum(X.getnnz(axis), 1)
    if (X.data == 1).all():
        return counts
    sums = np.asarray(X.sum(axis, dtype=np.float64)).ravel()
    return np.where(sums > 0, sums, 1.0)


def degree_scaled(X: Csr) -> Csr:
    """Return D_u^-1/2 X D_i^-1/2 of X with degrees D; empty rows and columns count 1."""
    d_users, d_items = degrees(X, 1), degrees(X, 0)
    return scaled(d_users**-0.5, X, d_items**-0.5)


def right_singular_vectors(
    X: Csr, rank: int, *, passes: int, random: torch.Generator, progress: Progress, loop: str
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the leading right singular vectors of X and their singular values, largest first.

    Args:
        X: float32 CSR, shape (n_rows, n_columns).
        rank: number of vectors, at most.
        passes: of subspace iteration, from a random start.
        random: on the device that computes.
        progress: shows the passes.
        loop: as what it shows them.

    Returns:
        float32, shapes (n_columns, r) and (r,) with r the smallest of `rank`, rows and columns.
    """
    smallest = min(X.shape)
    device = random.device
    forward, backward = csr_tensor(X, device), csr_tensor(X.T.tocsr(), device)
    width = min(rank + _OVERSAMPLING, smallest)
    basis = torch.randn((X.shape[1], width), generator=random, device=device)
    basis = torch.linalg.qr(basis).Q
    for _ in progress.track(loop, passes):
        basis = torch.linalg.qr(sparse_product(backward, sparse_product(forward, basis))).Q
    image = sparse_product(forward, basis).double()
    squares, E = torch.linalg.eigh(image.T @ image)
    leading = squares.argsort(descending=True)[: min(rank, smallest)]
    vectors = basis @ E[:, leading].float()
    values = squares[leading].clamp(min=0).sqrt().float()
    return vectors.cpu().numpy(), values.cpu().numpy()
