"""Other forms of a teacher's factors: rows standardised, sides balanced, another width."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hashrec.training.numerics.embeddings import Embeddings


def standardised_rows(embeddings: Embeddings) -> Embeddings:
    """Return factors of the scores with each user's row at mean 0 and variance 1.

    The mean of row u is U_u^T mean(V) and, once V is centred, its variance U_u^T (V^T V / n) U_u:
    the score matrix is never formed. A user with equal scores for all items gets a row of zeros.
    """
    V = embeddings.items.astype(np.float64)
    V -= V.mean(axis=0)
    U = embeddings.users.astype(np.float64)
    deviation = np.sqrt(np.maximum(((U @ (V.T @ V / len(V))) * U).sum(axis=1, keepdims=True), 0))
    varies = deviation > 1e-6 * deviation.max(initial=0)
    U = np.divide(U, deviation, out=np.zeros_like(U), where=varies)
    return Embeddings(users=U.astype(np.float32), items=V.astype(np.float32))


def factors_of_width(teacher: Embeddings, width: int, seed: int) -> Embeddings:
    """Return the teacher's factors, or factors of another width with (nearly) the same scores.

    In the paper codes are as wide as the teacher's factors. For another width the score matrix is
    factored again, cut to its `width` largest singular values when it has more, and turned by a
    random frame of orthonormal rows, which keeps every inner product and shares the information
    between all bits.

    Args:
        teacher: factors of width d.
        width: number of columns wanted.
        seed: of the random frame.
    """
    if width == teacher.dim:
        return teacher
    users, items = balanced(teacher)
    users, items = users[:, :width], items[:, :width]
    tall = np.random.default_rng(seed).standard_normal((width, users.shape[1]))
    frame = np.linalg.qr(tall)[0].T
    return Embeddings(
        users=(users @ frame).astype(np.float32), items=(items @ frame).astype(np.float32)
    )


def balanced(teacher: Embeddings) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Write U V^T as (A sqrt S) (B sqrt S)^T, its singular value decomposition, largest first.

    Two thin QR decompositions leave a d x d matrix to decompose: the score matrix is never formed.
    """
    user_basis, user_weights = np.linalg.qr(teacher.users.astype(np.float64))
    item_basis, item_weights = np.linalg.qr(teacher.items.astype(np.float64))
    left, singular, right = np.linalg.svd(user_weights @ item_weights.T)
    root = np.sqrt(singular)
    n = len(singular)
    return user_basis @ (left[:, :n] * root), item_basis @ (right[:n].T * root)
