"""How new users and items will be coded: linear maps fitted to the codes that a model learned.

Any hash model can use them, whatever its codes are made from. A model that codes users linearly
itself brings its own weights and fits only the items' part.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from index.codes import BinaryCodes
from index.encoder import ITEM_PRIOR, Encoder, ItemEncoder, UserEncoder
from training.data.interactions import Interactions

Matrix = NDArray[np.float32]

MAX_ITERATIONS = 60
TOLERANCE = 1e-3  # of the residual, relative to the right side: far below what a sign notices
_BITS_AT_ONCE = 64  # bounds the memory of the users' side: 256 MB for a million users
ITEM_RIDGE = 1.0


def fit_encoder(
    train: Interactions, users: BinaryCodes, items: BinaryCodes, *, ridge: float = 1.0
) -> Encoder:
    """Fit both maps to the codes of a model.

    Args:
        train: what the codes were learned from.
        users: codes of its users.
        items: codes of its items.
        ridge: see `fit_user_encoder`.
    """
    return Encoder(fit_user_encoder(train, users, ridge), fit_item_encoder(train, users, items))


def fit_user_encoder(train: Interactions, users: BinaryCodes, ridge: float = 1.0) -> UserEncoder:
    """Fit users' codes by their histories with ridge regression.

    With H the histories, each divided by the root of its length, and C the +-1 codes, minimise

        |H A + 1 b^T - C|^2 + ridge |A|^2

    by conjugate gradients on the normal equations, all bits side by side. A step is two sparse
    products, so a fit takes O(n_interactions n_bits) time, and no items x items matrix exists.
    Users without an interaction are left out.
    """
    known, rows, lengths = np.unique(train.user_rows, return_inverse=True, return_counts=True)
    H = sparse.csr_matrix(
        ((1 / np.sqrt(lengths[rows])).astype(np.float32), (rows, train.item_rows)),
        shape=(len(known), train.n_items),
    )
    H = sparse.hstack([H, np.ones((len(known), 1), dtype=np.float32)], format="csr")
    Ht = H.T.tocsr()
    penalty = np.full((train.n_items + 1, 1), ridge, dtype=np.float32)
    penalty[-1] = 1e-3  # the bias is free, or nearly: this keeps the equations definite
    parts: list[Matrix] = []
    for first in range(0, users.n_bits, _BITS_AT_ONCE):
        C = users[known].to_signs()[:, first : first + _BITS_AT_ONCE].astype(np.float32)

        def normal(A: Matrix) -> Matrix:
            return Ht @ (H @ A) + penalty * A

        diagonal = np.asarray(H.multiply(H).sum(axis=0)).reshape(-1, 1) + penalty
        parts.append(conjugate_gradients(normal, Ht @ C, diagonal.astype(np.float32)))
    A = np.hstack(parts)
    return UserEncoder.quantised(A[:-1], A[-1])


def conjugate_gradients(
    normal: Callable[[Matrix], Matrix], right: Matrix, diagonal: Matrix
) -> Matrix:
    """Solve `normal(X) = right` for each column, preconditioned by the diagonal.

    Args:
        normal: multiplies by a symmetric positive definite matrix.
        right: float32, shape (n, n_columns).
        diagonal: float32, shape (n, 1), of that matrix.
    """
    X = np.zeros_like(right)
    residual = right.copy()
    direction = residual / diagonal
    energy = _inner(residual, direction)
    enough = TOLERANCE**2 * energy
    for _ in range(MAX_ITERATIONS):
        if (energy <= enough).all():
            break
        image = normal(direction)
        step = _ratio(energy, _inner(direction, image))
        X += step * direction
        residual -= step * image
        steepest = residual / diagonal
        before, energy = energy, _inner(residual, steepest)
        direction *= _ratio(energy, before)
        direction += steepest
    return X


def fit_item_encoder(
    train: Interactions, users: BinaryCodes, items: BinaryCodes, ridge: float = ITEM_RIDGE
) -> ItemEncoder:
    """Fit items' codes by the codes of their users with ridge regression."""
    signs = users.to_signs().astype(np.float32)
    n_users = train.popularity()
    known = np.flatnonzero(n_users)
    sums = (train.matrix().T.tocsr()[known] @ signs).astype(np.float64)
    X = sums / (n_users[known, None] + ITEM_PRIOR)
    X = np.hstack([X, np.ones((len(X), 1))])
    C = items[known].to_signs().astype(np.float64)
    gram = X.T @ X
    gram[np.diag_indices(len(gram) - 1)] += ridge
    M = np.linalg.solve(gram + 1e-6 * np.eye(len(gram)), X.T @ C)
    return ItemEncoder.quantised(M[:-1], M[-1])


def _inner(left: Matrix, right: Matrix) -> NDArray[np.float64]:
    return np.einsum("ij,ij->j", left, right, dtype=np.float64)


def _ratio(above: NDArray[np.float64], below: NDArray[np.float64]) -> Matrix:
    """Divide, 0 where a column is done and there is nothing to divide by."""
    return np.divide(above, below, out=np.zeros_like(above), where=below > 0).astype(np.float32)
