"""EASE, the linear autoencoder with a closed form, and the low-rank factors of its scores.

Harald Steck, "Embarrassingly Shallow Autoencoders for Sparse Data", WWW 2019.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt
from scipy import sparse
from torch import Tensor

from index.errors import ConfigError, EmptyDataError
from training.data.interactions import Interactions
from training.device import deterministic, generator
from training.embeddings import Embeddings
from training.hyperparameters import Hyperparameters
from training.progress import Progress

Csr = Any  # scipy.sparse.csr_matrix, whose type stubs know neither its shape nor its rows

_BLOCK = 1 << 22  # entries of the score matrix that exist at the same time: 16 MiB
_OVERSAMPLING = 16  # directions followed beyond those kept


class Ease(Hyperparameters):
    """Factors of a transformed EASE score matrix.

    1. Long histories say less about each pair in them, so user u counts d_u^-a of its d_u items:
       X_w = diag(d)^-a X, G = X_w^T X_w.
    2. Item weights B minimise |X_w - X_w B|^2 + tr(B^T Lambda B) under diag(B) = 0. The
       stationary point is (G + Lambda) B = G - diag(gamma), so that with P = (G + Lambda)^-1

           B = I - P diag(1 / P_jj),    Lambda_jj = r mean(diag G) (d_j / mean d)^b.

    3. The scores T = X B are made comparable between users, row by row, which leaves each user's
       ranking of positive scores as it is: Z_u = (S_u - mean S_u) / std S_u, S = max(T, 0)^e.
    4. Z is cut to its largest singular values. That takes out noise: the factors rank better than
       the matrix they come from.

    Step 4 is a randomised SVD: subspace iteration on Z^T Z from a random start. Z exists in blocks
    of users, made anew in each pass. Memory is two float32 matrices of items x items, here and on
    the device, and the factors; time is
    O(n_items^3 + passes n_items (n_interactions + n_users rank)).

    Attributes:
        user_exponent: a.
        item_exponent: b, more for items that many have.
        regularization: r.
        score_exponent: e.
        rank: singular values kept, if there are as many.
        passes: over the users, to find the singular vectors.
        max_items: refuse larger catalogues, whose matrix would not fit or take too long to invert.
    """

    user_exponent: NonNegativeFloat = 0.35
    item_exponent: NonNegativeFloat = 0.75
    regularization: PositiveFloat = 2.5
    score_exponent: PositiveFloat = 0.5
    rank: PositiveInt = 64
    passes: PositiveInt = 4
    max_items: PositiveInt = 30_000

    def fit(
        self, train: Interactions, *, seed: int, device: torch.device, progress: Progress
    ) -> Embeddings:
        """Solve for B, then factor the scores; see `Teacher.fit`.

        Raises:
            ConfigError: there are more than `max_items` items.
        """
        if not len(train):
            raise EmptyDataError("training data", "no interactions to learn from")
        if train.n_items > self.max_items:
            gigabytes = 8 * train.n_items**2 / 1e9
            raise ConfigError(
                f"EASE inverts a matrix of items x items: {train.n_items:,} items need "
                f"{gigabytes:.1f} GB and are more than max_items = {self.max_items:,}; choose "
                "--teacher gcn-cf, drop rare items with --k-core, or raise max_items"
            )
        with deterministic(device):
            B = self.item_weights(train, device)
            return self._factors(_binary(train), B, generator(device, seed, 3), progress)

    def item_weights(self, train: Interactions, device: torch.device) -> Tensor:
        """Return B of step 2, float32, shape (n_items, n_items), with a diagonal of zeros."""
        X = _binary(train)
        d_users, d_items = (np.maximum(X.getnnz(axis), 1) for axis in (1, 0))
        weighted = sparse.diags(d_users ** (-2 * self.user_exponent), dtype=np.float32) @ X
        G = _product(X.T.tocsr(), weighted.tocsr(), device)
        relative = (d_items / d_items.mean()) ** self.item_exponent
        penalty = self.regularization * G.diagonal().mean().item() * relative
        G.diagonal().add_(torch.from_numpy(penalty.astype(np.float32)).to(device))
        return _without_own_item(G)

    def standardised_scores(self, T: Tensor) -> Tensor:
        """Turn scores T into Z of step 3, in place; a row of equal scores becomes zeros."""
        S = T.clamp_(min=0).pow_(self.score_exponent)
        S -= S.mean(1, keepdim=True)
        return S.div_(S.square().mean(1, keepdim=True).sqrt_().clamp_(min=1e-12))

    def _factors(
        self, X: Csr, B: Tensor, random: torch.Generator, progress: Progress
    ) -> Embeddings:
        """Return U and V of Z = U V^T (step 4), each with columns of norm sqrt(singular value)."""
        n_users, n_items = X.shape
        rank = min(self.rank, n_users, n_items)
        width = min(rank + _OVERSAMPLING, n_users, n_items)
        basis = torch.randn((n_items, width), generator=random, device=B.device)
        basis = torch.linalg.qr(basis).Q
        for _ in progress.track("EASE passes", self.passes):
            image = torch.zeros_like(basis)  # Z^T Z basis
            energy, kept = 0.0, 0.0
            for _, scores in _scores(X, B):
                Z = self.standardised_scores(scores)
                projected = Z @ basis
                image.addmm_(Z.T, projected)
                energy += Z.square().sum().item()
                kept += projected.square().sum().item()
            basis = torch.linalg.qr(image).Q
            progress.log(loss=1 - kept / energy if energy else 0.0)
        users = torch.empty((n_users, width), device=B.device)
        for rows, scores in _scores(X, B):
            users[rows] = self.standardised_scores(scores) @ basis
        # Within the subspace the SVD is exact: U^T U = E diag(s^2) E^T.
        squares, E = torch.linalg.eigh((users.T @ users).double())
        leading = squares.argsort(descending=True)[:rank]
        root = squares[leading].clamp(min=1e-12).pow(0.25)
        return Embeddings(
            users=(users @ (E[:, leading] / root).float()).cpu().numpy(),
            items=(basis @ (E[:, leading] * root).float()).cpu().numpy(),
        )


def _binary(train: Interactions) -> Csr:
    X = train.matrix()
    X.data[:] = 1  # a pair that comes twice is one
    return X


def _blocks(n_rows: int, n_columns: int) -> Iterator[slice]:
    step = max(1, _BLOCK // n_columns)
    return (slice(start, min(start + step, n_rows)) for start in range(0, n_rows, step))


def _product(left: Csr, right: Csr, device: torch.device) -> Tensor:
    """Return the dense product of two sparse matrices, float32."""
    product = torch.empty((left.shape[0], right.shape[1]), device=device)
    for rows in _blocks(*product.shape):
        product[rows] = torch.from_numpy((left[rows] @ right).toarray()).to(device)
    return product


def _without_own_item(regularised: Tensor) -> Tensor:
    """Return I - P diag(1 / P_jj) with P the inverse of a positive definite matrix, in its place.

    Raises:
        ConfigError: the matrix is not positive definite in float32.
    """
    failed_at = torch.zeros((), dtype=torch.int32, device=regularised.device)
    torch.linalg.cholesky_ex(regularised, out=(regularised, failed_at))
    if failed_at.item():
        raise ConfigError(
            "EASE: the items' matrix cannot be inverted in float32; raise regularization"
        )
    B = torch.cholesky_inverse(regularised)
    B /= -B.diagonal().clone()
    B.fill_diagonal_(0)
    return B


def _scores(X: Csr, B: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Yield T = X B in blocks of users."""
    for rows in _blocks(*X.shape):
        yield rows, _to_torch(X[rows], B.device) @ B


def _to_torch(X: Csr, device: torch.device) -> Tensor:
    with warnings.catch_warnings():
        # PyTorch calls all of sparse CSR beta; the product used here is tested against a dense one.
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
        return torch.sparse_csr_tensor(
            torch.from_numpy(X.indptr.astype(np.int64)),
            torch.from_numpy(X.indices.astype(np.int64)),
            torch.from_numpy(X.data),
            X.shape,
            check_invariants=True,
        ).to(device)
