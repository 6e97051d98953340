"""iALS: matrix factorisation for implicit feedback by alternating least squares.

Hu, Koren and Volinsky, "Collaborative Filtering for Implicit Feedback Datasets", ICDM 2008. The
engine is the `implicit` library.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import torch
from implicit.cpu.als import AlternatingLeastSquares
from numpy.typing import NDArray
from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt
from threadpoolctl import threadpool_limits

from hashrec.training.data.interactions import Interactions
from hashrec.training.numerics.embeddings import Embeddings
from hashrec.training.numerics.hyperparameters import Hyperparameters
from hashrec.training.numerics.implicit_squares import noise_norm
from hashrec.training.numerics.scorer import Csr
from hashrec.training.numerics.spectral import degrees
from hashrec.training.progress import Progress

# The number of BLAS threads is a setting of the process: one thread at a time may change it.
_LIMITS = threading.Lock()


@dataclass(frozen=True, eq=False)
class IalsScores(Embeddings):
    """Factors of iALS; new users get the exact solution for the item factors (`user_factors`).

    Attributes:
        additions: float32, shape (n_items, d), what an item adds to the factors of a user with
            otherwise average items.
        engine: holds the same item factors, the penalty and the weight.
    """

    additions: NDArray[np.float32]
    engine: AlternatingLeastSquares = field(repr=False)

    def fold_in(self, histories: Csr) -> NDArray[np.float32]:
        """Solve for the new users' factors; see `FoldInScorer.fold_in`."""
        return user_factors(self.engine, histories) @ self.items.T

    def item_weights(self, item_rows: NDArray[np.integer]) -> NDArray[np.float32]:
        """Return the linear part of `fold_in`; see `LinearScorer`."""
        return self.additions[item_rows] @ self.items.T


class Ials(Hyperparameters):
    """Factors with p_u^T q_i near 1 for an observed pair and near 0 for other pairs.

    Minimise sum_ui c_ui (x_ui - p_u^T q_i)^2 + lambda (|P|^2 + |Q|^2), where c_ui is alpha times
    the strength of the pair if x_ui = 1, and 1 if x_ui = 0. With one side fixed the other has a
    closed form,

        p_u = (Q^T C_u Q + lambda I)^-1 Q^T C_u x_u.

    Iterations approach it by warm-started conjugate gradients; at the end all users are solved
    exactly, so that new users are treated like known users.

    The effect of a penalty depends on the size of the data, so lambda is relative to the noise that
    it has to suppress: about the largest singular value of the noise in a matrix in which a share
    s = n / (n_users n_items) of the entries is 1,

        lambda = regularization * alpha * sqrt(s) (sqrt(n_users) + sqrt(n_items)).

    Attributes:
        factors: width of p_u and q_i.
        regularization: relative to the data, as above.
        alpha: weight of an observed pair.
        iterations: each over the users and over the items.
    """

    uses_strengths: ClassVar[bool] = True

    factors: PositiveInt = 64
    regularization: NonNegativeFloat = 0.4
    alpha: PositiveFloat = 15.0
    iterations: PositiveInt = 15

    def fit(
        self,
        train: Interactions,
        *,
        seed: int,
        device: torch.device,  # noqa: ARG002 - the engine works on the CPU
        progress: Progress,
    ) -> IalsScores:
        """Alternate; see `Teacher.fit`. The number of threads does not change the factors."""
        train.require_any()
        X = train.weighted_matrix()
        # The engine has its own threads, one per user; BLAS threads would compete with them.
        with _LIMITS, threadpool_limits(1, "blas"):
            engine = AlternatingLeastSquares(
                factors=self.factors,
                regularization=self.penalty(X),
                alpha=self.alpha,
                iterations=1,
                calculate_training_loss=True,
                num_threads=torch.get_num_threads(),
                random_state=seed,
            )
            for _ in progress.track("iALS iterations", self.iterations):
                # One iteration per call; each call continues from the current factors.
                engine.fit(
                    X,
                    show_progress=False,
                    callback=lambda _iteration, _seconds, loss: progress.log(loss=loss),
                )
        engine.user_factors = user_factors(engine, X)
        return IalsScores(
            engine.user_factors, engine.item_factors, additions(engine, X), engine=engine
        )

    def penalty(self, X: Csr) -> float:
        """Return lambda for a users x items matrix."""
        return self.regularization * self.alpha * noise_norm(X)


def additions(engine: AlternatingLeastSquares, X: Csr) -> NDArray[np.float32]:
    """Return what each item adds to a user's factors, with C_u replaced by its mean over users.

    That leaves p_u = alpha (Q^T C Q + lambda I)^-1 Q^T x_u, which is linear in x_u.

    Args:
        engine: a fitted model.
        X: float32 CSR, what it was fitted to.

    Returns:
        float32, shape (n_items, factors).
    """
    Q = engine.item_factors.astype(np.float64)
    counts = X.getnnz(0)
    is_binary = (X.data == 1).all()
    excess = (engine.alpha - 1) * counts if is_binary else engine.alpha * degrees(X, 0) - counts
    C = 1 + excess / X.shape[0]
    gram = Q.T @ (C[:, None] * Q) + engine.regularization * np.eye(Q.shape[1])
    return (engine.alpha * np.linalg.solve(gram, Q.T).T).astype(np.float32)


def user_factors(engine: AlternatingLeastSquares, histories: Csr) -> NDArray[np.float32]:
    """Return the exact best factors of users for fixed item factors, float32, shape (b, factors).

    Args:
        engine: a fitted model.
        histories: float32 CSR, shape (b, n_items).
    """
    with _LIMITS, threadpool_limits(1, "blas"):
        return engine.recalculate_user(np.arange(histories.shape[0]), histories)
