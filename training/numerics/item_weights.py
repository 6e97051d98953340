"""Linear autoencoders: scores X B with item weights B, whose diagonal is zero."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hashrec.index.errors import ConfigError
from hashrec.training.data.interactions import Interactions
from hashrec.training.numerics.device import csr_tensor, sparse_product
from hashrec.training.numerics.scorer import Csr, HistoryScorer

_BLOCK = 1 << 22  # entries of a product in memory at once: 16 MiB
_TILE = 256  # columns of B in one product, so that rows of popular items stay in the cache


def unchanged(T: Tensor) -> Tensor:
    """Return the scores as they are."""
    return T


@dataclass(frozen=True, eq=False)
class ItemWeightScorer(HistoryScorer):
    """Scores f(X B), user by user; a new user is a new row of X.

    Attributes:
        B: float32, shape (n_items, n_items), on the device that scores.
        transform: f, of each row separately; may work in place.
    """

    B: Tensor
    transform: Callable[[Tensor], Tensor] = unchanged

    def fold_in(self, histories: Csr) -> NDArray[np.float32]:
        """Score every item for new users; see `FoldInScorer.fold_in`."""
        return self.transform(_product(csr_tensor(histories, self.B.device), self.B)).cpu().numpy()

    def item_weights(self, item_rows: NDArray[np.integer]) -> NDArray[np.float32]:
        """Return rows of B, of scores before they are transformed; see `LinearScorer`."""
        return self.B[torch.from_numpy(item_rows).long().to(self.B.device)].cpu().numpy()


def _product(X: Tensor, B: Tensor) -> Tensor:
    """Return X B for a sparse X, which reads a row of B for each entry, tile by tile of columns."""
    product = torch.empty((X.shape[0], B.shape[1]), device=B.device)
    n_tiles = max(1, B.shape[1] // _TILE)
    for columns in np.array_split(np.arange(B.shape[1]), n_tiles):
        tile = slice(int(columns[0]), int(columns[-1]) + 1)
        product[:, tile] = sparse_product(X, B[:, tile])
    return product


def history_matrix(train: Interactions, max_items: int) -> Csr:
    """Return X with the strengths of its pairs, for models that invert a matrix of items x items.

    Raises:
        EmptyDataError: `train` has no interactions.
        ConfigError: there are more than `max_items` items.
    """
    train.require_any()
    if train.n_items > max_items:
        gigabytes = 8 * train.n_items**2 / 1e9
        raise ConfigError(
            f"EASE inverts a matrix of items x items: {train.n_items:,} items need "
            f"{gigabytes:.1f} GB and are more than max_items = {max_items:,}; choose "
            "--teacher graph-filter, drop rare items with --k-core, or raise max_items"
        )
    return train.weighted_matrix()


def gram(X: Csr, user_weights: NDArray[np.floating], device: torch.device) -> Tensor:
    """Return G = X^T diag(user_weights) X, dense float32, shape (n_items, n_items).

    Args:
        X: float32 CSR, shape (n_users, n_items).
        user_weights: shape (n_users,).
        device: of G.
    """
    weighted = X.copy()
    weighted.data *= np.repeat(user_weights, X.getnnz(1)).astype(np.float32)
    transposed = X.T.tocsr()
    n_items = X.shape[1]
    G = torch.empty((n_items, n_items), device=device)
    step = max(1, _BLOCK // n_items)
    for start in range(0, n_items, step):
        rows = slice(start, start + step)
        G[rows] = torch.from_numpy((transposed[rows] @ weighted).toarray()).to(device)
    return G


def item_weights(G: Tensor, penalty: float | NDArray[np.floating]) -> Tensor:
    """Return the B that minimises |X - X B|^2 + tr(B^T Lambda B) under diag(B) = 0.

    The stationary point is (G + Lambda) B = G - diag(gamma), so with P = (G + Lambda)^-1

        B = I - P diag(1 / P_jj).

    Args:
        G: X^T X, float32, shape (n_items, n_items); overwritten, because B reuses its memory.
        penalty: the diagonal of Lambda, one number or one an item.

    Raises:
        ConfigError: G + Lambda is not positive definite in float32.
    """
    G.diagonal().add_(torch.as_tensor(penalty, dtype=torch.float32, device=G.device))
    failed_at = torch.zeros((), dtype=torch.int32, device=G.device)
    torch.linalg.cholesky_ex(G, out=(G, failed_at))
    if failed_at.item():
        raise ConfigError(
            "EASE: the items x items matrix cannot be inverted in float32; raise regularization"
        )
    B = torch.cholesky_inverse(G)
    B /= -B.diagonal().clone()
    B.fill_diagonal_(0)
    return B
