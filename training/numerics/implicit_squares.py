"""Squared error over all user-item pairs, at the cost of the observed pairs.

Hu, Koren and Volinsky, "Collaborative Filtering for Implicit Feedback Datasets", ICDM 2008. All
unobserved pairs have the same target and weight. Their sum is therefore the sum over all pairs,
which inner products of d x d matrices give, minus a sum over the observed pairs. No users x items
matrix is built, and nothing is sampled.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from hashrec.training.numerics.device import csr_tensor, sparse_product
from hashrec.training.numerics.scorer import Csr


@dataclass(frozen=True, eq=False)
class Positives:
    """The observed pairs, seen from one side.

    Attributes:
        matrix: float32 CSR of ones, shape (n, m); a row is a user, or an item.
        rows: int64, shape (n_pairs,), the row of each pair.
    """

    matrix: Tensor
    rows: Tensor

    @classmethod
    def of(cls, X: Csr, device: torch.device) -> Positives:
        """Move a binary matrix to a device."""
        rows = np.repeat(np.arange(X.shape[0]), X.getnnz(1))
        return cls(csr_tensor(X, device), torch.from_numpy(rows).to(device))

    @property
    def columns(self) -> Tensor:
        """The column of each pair, int64, shape (n_pairs,)."""
        return self.matrix.col_indices()

    def counts(self) -> Tensor:
        """Return the number of pairs of each row, float32, shape (n, 1)."""
        return self.matrix.crow_indices().diff().float()[:, None]

    def block(self, rows: slice) -> Positives:
        """Return the pairs of some rows, now numbered from 0."""
        ends = self.matrix.crow_indices()[rows.start : rows.stop + 1]
        pairs = slice(int(ends[0]), int(ends[-1]))
        shape = (len(ends) - 1, self.matrix.shape[1])
        ones = self.matrix.values()[pairs]
        matrix = _csr(ends - ends[0], self.columns[pairs], ones, shape)
        return Positives(matrix, self.rows[pairs] - rows.start)

    def weighted(self, values: Tensor) -> Tensor:
        """Return the CSR matrix with other values than ones, float32, shape (n_pairs,)."""
        return _csr(self.matrix.crow_indices(), self.columns, values, self.matrix.shape)

    def products(self, P: Tensor, Q: Tensor) -> Tensor:
        """Return p^T q of each pair, float32, shape (n_pairs,).

        Args:
            P: float32, shape (n, d).
            Q: float32, shape (m, d).
        """
        nothing = self.weighted(torch.zeros_like(self.matrix.values()))
        return torch.sparse.sampled_addmm(nothing, P, Q.T, beta=0).values()


@dataclass(frozen=True)
class ImplicitSquares:
    """L(P, Q) = sum_ui w_ui (s_ui - p_u^T q_i)^2 over all pairs.

    The loss is the same from both sides: P belongs to the rows of the `Positives` given.

    Attributes:
        target: s of an observed pair.
        rest: s of every other pair.
        weight: w of an observed pair; other pairs weigh 1.
    """

    target: float
    rest: float
    weight: float

    @classmethod
    def of_target_1(cls, X: Csr, weight: float, rest: float | None) -> ImplicitSquares:
        """Return squares with a target of 1 for the pairs in a matrix.

        Args:
            X: binary CSR, shape (n, m).
            weight: w of its pairs.
            rest: s of the others. None centres: the weighted mean of all targets is 0, and the
                first factor can describe popularity instead of the share of missing pairs.
        """
        if rest is not None:
            return cls(1.0, rest, weight)
        n_others = max(1, X.shape[0] * X.shape[1] - X.nnz)
        return cls(1.0, -weight * X.nnz / n_others, weight)

    def loss(self, positives: Positives, P: Tensor, Q: Tensor) -> float:
        """Return L."""
        there = positives.products(P, Q).double()
        beyond = self.weight * (self.target - there).square() - (self.rest - there).square()
        n_pairs = len(P) * len(Q)
        squares = inner(P.T @ P, Q.T @ Q) + n_pairs * self.rest**2
        return squares - 2 * self.rest * inner(P.sum(0), Q.sum(0)) + beyond.sum().item()

    def wanted(self, positives: Positives, Q: Tensor) -> Tensor:
        """Return sum_i w_ui s_ui q_i, shape (n, d)."""
        there = sparse_product(positives.matrix, Q)
        return (self.weight * self.target - self.rest) * there + self.rest * Q.sum(0)

    def reached(self, positives: Positives, P: Tensor, Q: Tensor) -> Tensor:
        """Return sum_i w_ui (p_u^T q_i) q_i, shape (n, d): dL / dP is 2 (reached - wanted)."""
        there = sparse_product(positives.weighted(positives.products(P, Q)), Q)
        return P @ (Q.T @ Q) + (self.weight - 1) * there

    def curvature(self, positives: Positives, Q: Tensor) -> Tensor:
        """Return the mean factor by which `reached` multiplies a row, shape (n, 1)."""
        return (len(Q) + (self.weight - 1) * positives.counts()) * Q.square().mean()

    def noise(self, X: Csr) -> float:
        """Return the strength of a ridge that suppresses noise: `noise_norm` in the units of L."""
        return self.weight * abs(self.target) * noise_norm(X)


def noise_norm(X: Csr) -> float:
    """Estimate the largest singular value of the noise in a binary matrix.

    If a share s of the entries were 1 by chance, it would be sqrt(s) (sqrt(n_users) +
    sqrt(n_items)).
    """
    n_users, n_items = X.shape
    return math.sqrt(X.nnz / (n_users * n_items)) * (math.sqrt(n_users) + math.sqrt(n_items))


def conjugate_gradients(
    normal: Callable[[Tensor], Tensor], right: Tensor, start: Tensor, diagonal: Tensor, steps: int
) -> Tensor:
    """Take a few steps towards the P for which `normal(P) = right`.

    There <P, normal(P)> / 2 - <P, right> is least, and each step lowers it.

    Args:
        normal: linear in all of P, symmetric and positive definite.
        right: float32, shape (n, d).
        start: float32, shape (n, d).
        diagonal: float32, shape (n, 1), the approximate factor by which `normal` multiplies a row.
        steps: at most.
    """
    P = start.clone()
    residual = right - normal(P)
    direction = residual / diagonal
    energy = inner(residual, direction)
    for _ in range(steps):
        if energy <= 0:
            break
        image = normal(direction)
        step = energy / inner(direction, image)
        P += step * direction
        residual -= step * image
        steepest = residual / diagonal
        before, energy = energy, inner(residual, steepest)
        direction = steepest + energy / before * direction
    return P


def inner(left: Tensor, right: Tensor) -> float:
    """Return the inner product of two tensors, in float64."""
    return (left.double() * right).sum().item()


def _csr(ends: Tensor, columns: Tensor, values: Tensor, shape: tuple[int, ...]) -> Tensor:
    # The matrix was checked before; another check would cost as much as a product.
    return torch.sparse_csr_tensor(ends, columns, values, tuple(shape), check_invariants=False)
