"""Encoders of new users and items: linear maps fitted to the codes of any hash model.

A model that already codes users linearly brings its own weights and fits only the items' part.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from hashrec.index.arrays.codes import BinaryCodes
from hashrec.index.model.encoder import Encoder, ItemEncoder, UserEncoder, length_scale
from hashrec.training.data.interactions import Interactions
from hashrec.training.numerics.scorer import Csr

Matrix = NDArray[np.float32]

# Candidate penalties, in units of the mean diagonal of H^T H.
RIDGES = (0.1, 0.3, 1.0, 3.0, 10.0)
ITEM_RIDGE = 0.01  # of the mean diagonal; a map of users' codes has few columns and needs little
JUDGED_SHARE = 0.1  # of the users, held out to choose the penalty
MOST_TRIED_ON = 50_000  # users; more do not change the choice
MAX_ITERATIONS = 60
TOLERANCE = 1e-3  # of the residual, relative to the right side: far below what changes a sign
_FREE = 1e-3  # penalty of a bias: small, but keeps the equations definite
_BITS_AT_ONCE = 64  # bounds the memory of the users' side: 256 MB for a million users


def fit_encoder(train: Interactions, users: BinaryCodes, items: BinaryCodes) -> Encoder:
    """Fit both encoders to the codes of a model.

    Args:
        train: the training interactions of the codes.
        users: codes of its users.
        items: codes of its items.
    """
    return Encoder(fit_user_encoder(train, users), fit_item_encoder(train, users, items))


def fit_user_encoder(
    train: Interactions, users: BinaryCodes, ridge: float | None = None
) -> UserEncoder:
    """Fit users' codes by their histories with ridge regression.

    With H the histories, each divided by its length^(3/4), and C the +-1 codes, minimise

        |H A + 1 b^T - C|^2 + ridge mean(diag(H^T H)) |A|^2

    by conjugate gradients on the normal equations, all bits side by side. A step is two sparse
    products, so a fit takes O(n_interactions n_bits) time, and no items x items matrix exists.
    Users without an interaction are left out. The same data and codes give the same map bit for
    bit.

    Args:
        train: the training interactions of the codes.
        users: codes of its users.
        ridge: None chooses the one of `RIDGES` whose signs agree best with the codes of a tenth of
            the users, after a fit to the others.
    """
    H, known = _histories(train)
    codes = users[known]
    if ridge is None:
        ridge = _best_ridge(H, codes)
    A = np.hstack([_ridge_regression(H, signs, ridge) for signs in _parts(codes)])
    return UserEncoder.quantised(A[:-1], A[-1])


def fit_item_encoder(train: Interactions, users: BinaryCodes, items: BinaryCodes) -> ItemEncoder:
    """Fit items' codes to the sums of their users' codes with ridge regression."""
    n_users = train.popularity()
    known = np.flatnonzero(n_users)
    Xt = train.matrix().T.tocsr()
    sums = np.hstack([Xt @ signs for signs in _parts(users)])  # exact: integers
    F = sums[known] / np.sqrt(n_users[known, None].astype(np.float64))
    F = np.hstack([F, np.ones((len(F), 1))])
    gram = F.T @ F
    penalty = np.full(len(gram), ITEM_RIDGE * np.diag(gram)[:-1].mean())
    penalty[-1] = _FREE
    M = np.linalg.solve(gram + np.diag(penalty), F.T @ items[known].to_signs())
    return ItemEncoder.quantised(M[:-1], M[-1])


def solve_columns(normal: Callable[[Matrix], Matrix], right: Matrix, diagonal: Matrix) -> Matrix:
    """Solve `normal(X) = right` column by column, by conjugate gradients from zero.

    Args:
        normal: multiplies by a symmetric positive definite matrix.
        right: float32, shape (n, n_columns).
        diagonal: float32, shape (n, 1), of that matrix; the preconditioner.
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


def _histories(train: Interactions) -> tuple[Csr, NDArray[np.integer]]:
    """Return the scaled histories with a column of ones, and the user rows that have one."""
    known, rows, lengths = np.unique(train.user_rows, return_inverse=True, return_counts=True)
    values = (1 / length_scale(lengths)).astype(np.float32)[rows]
    H = sparse.csr_matrix((values, (rows, train.item_rows)), shape=(len(known), train.n_items))
    return sparse.hstack([H, np.ones((len(known), 1), dtype=np.float32)], format="csr"), known


def _ridge_regression(H: Csr, C: Matrix, ridge: float) -> Matrix:
    """Return the weights, and in the last row the bias, shape (n_items + 1, n_columns)."""
    Ht = H.T.tocsr()
    squares = np.asarray(H.multiply(H).sum(axis=0), dtype=np.float64).T
    penalty = np.full_like(squares, ridge * squares[:-1].mean())
    penalty[-1] = _FREE
    shift = penalty.astype(np.float32)
    return solve_columns(
        lambda A: Ht @ (H @ A) + shift * A, Ht @ C, (squares + penalty).astype(np.float32)
    )


def _best_ridge(H: Csr, codes: BinaryCodes) -> float:
    """Return the penalty whose fit to some users agrees best with the codes of others."""
    step = max(1, len(codes) // MOST_TRIED_ON)
    tried = np.arange(0, len(codes), step)
    judged = tried % (step * round(1 / JUDGED_SHARE)) == 0
    fitted, judged = tried[~judged], tried[judged]
    if not len(fitted):
        return 1.0
    first_bits = next(_parts(codes))

    def agreement(ridge: float) -> float:
        A = _ridge_regression(H[fitted], first_bits[fitted], ridge)
        return float(((H[judged] @ A >= 0) == (first_bits[judged] > 0)).mean())

    return max(RIDGES, key=agreement)


def _parts(codes: BinaryCodes) -> Iterator[Matrix]:
    """Return the +-1 codes, some bits at a time."""
    for first in range(0, codes.n_bits // 8, _BITS_AT_ONCE // 8):
        part = np.ascontiguousarray(codes.packed[:, first : first + _BITS_AT_ONCE // 8])
        yield BinaryCodes(part).to_signs().astype(np.float32)


def _inner(left: Matrix, right: Matrix) -> NDArray[np.float64]:
    return np.einsum("ij,ij->j", left, right, dtype=np.float64)


def _ratio(above: NDArray[np.float64], below: NDArray[np.float64]) -> Matrix:
    """Divide; return 0 for a finished column, whose divisor is 0."""
    return np.divide(above, below, out=np.zeros_like(above), where=below > 0).astype(np.float32)
