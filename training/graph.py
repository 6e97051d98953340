"""The user-item graph of the training interactions, and one step of propagation over it."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor

from training.data.interactions import Interactions


def laplacian(train: Interactions, device: torch.device) -> Tensor:
    """Build L = D^-1/2 A D^-1/2 of the bipartite graph (definition 2 of the paper).

    Nodes are the users, then the items. Only training interactions are edges: an edge of the test
    part would hand the answers to the model.

    Returns:
        float32 sparse CSR, shape (n_users + n_items, n_users + n_items), symmetric. A node without
        an interaction has an empty row.
    """
    n_nodes = train.n_users + train.n_items
    edges = train.matrix().tocoo()
    users = torch.from_numpy(edges.row).long()
    items = torch.from_numpy(edges.col).long() + train.n_users
    heads, tails = torch.cat([users, items]), torch.cat([items, users])
    degree = torch.bincount(heads, minlength=n_nodes).float()
    weights = (degree[heads] * degree[tails]).rsqrt()
    order = torch.argsort(heads * n_nodes + tails)
    starts = torch.zeros(n_nodes + 1, dtype=torch.int64)
    torch.cumsum(torch.bincount(heads, minlength=n_nodes), 0, out=starts[1:])
    with warnings.catch_warnings():
        # PyTorch calls all of sparse CSR beta; the product used here is tested against a dense one.
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
        return torch.sparse_csr_tensor(
            starts, tails[order], weights[order], (n_nodes, n_nodes), check_invariants=True
        ).to(device)


class _SymmetricProduct(torch.autograd.Function):
    """L X for a fixed symmetric L, whose gradient is L again.

    Autograd's own rule would transpose L at every step, which costs more than the product.
    """

    @staticmethod
    def forward(ctx: Any, L: Tensor, X: Tensor) -> Tensor:
        ctx.L = L
        return L @ X

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[None, Tensor]:
        return None, ctx.L @ grad_outputs[0].contiguous()


def propagate(L: Tensor, X: Tensor) -> Tensor:
    """Return (I + L) X, the linear part of eq. 6.

    Args:
        L: `laplacian`, shape (n, n).
        X: float32, shape (n, d).
    """
    return X + _SymmetricProduct.apply(L, X)
