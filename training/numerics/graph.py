"""The user-item graph of the training interactions, and steps of propagation over it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from hashrec.training.data.interactions import Interactions
from hashrec.training.numerics.device import csr_of, sparse_product
from hashrec.training.numerics.embeddings import Embeddings


def laplacian(train: Interactions, device: torch.device) -> Tensor:
    """Build L = D^-1/2 A D^-1/2 of the bipartite graph (definition 2 of the paper).

    Nodes are the users, then the items. Only training interactions are edges: an edge of the test
    part would leak the answers to the model.

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
    return csr_of(
        starts.to(device), tails[order].to(device), weights[order].to(device), (n_nodes, n_nodes)
    )


class _SymmetricProduct(torch.autograd.Function):
    """L X for a fixed symmetric L, whose gradient is L again.

    Autograd's own rule would transpose L at every step, which costs more than the product.
    """

    @staticmethod
    def forward(ctx: Any, L: Tensor, X: Tensor) -> Tensor:
        ctx.L = L
        return sparse_product(L, X)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[None, Tensor]:
        return None, sparse_product(ctx.L, grad_outputs[0].contiguous())


def neighbour_sum(L: Tensor, X: Tensor) -> Tensor:
    """Return L X: for each node the sum of its neighbours' rows, weighted by L.

    Args:
        L: `laplacian`, shape (n, n).
        X: float32, shape (n, d).
    """
    product: Any = _SymmetricProduct.apply(L, X)  # its type stub knows no tensor
    return product


def propagate(L: Tensor, X: Tensor) -> Tensor:
    """Return (I + L) X, the linear part of eq. 6; see `neighbour_sum`."""
    return X + neighbour_sum(L, X)


def embeddings_of_nodes(factors: Tensor, n_users: int) -> Embeddings:
    """Split the factors of the nodes into users and items, on the CPU.

    Args:
        factors: float32, shape (n_users + n_items, d).
        n_users: nodes that are users.
    """
    rows = factors.detach().cpu().numpy()
    return Embeddings(users=rows[:n_users], items=rows[n_users:])
