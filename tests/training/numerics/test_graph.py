from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hashrec.training.numerics.graph import laplacian, propagate
from tests.training.pairs import interactions_of, random_interactions

CPU = torch.device("cpu")


def dense_laplacian(train):
    """Follow definition 2 literally, in float64."""
    n_users, n_items = train.n_users, train.n_items
    adjacency = np.zeros((n_users + n_items, n_users + n_items))
    adjacency[train.user_rows, n_users + train.item_rows] = 1
    adjacency += adjacency.T
    degree = adjacency.sum(1)
    inverse_root = np.divide(1, np.sqrt(degree), out=np.zeros(len(degree)), where=degree > 0)
    return inverse_root[:, None] * adjacency * inverse_root


def test_one_user_with_two_items_by_hand():
    # degrees: user 2, items 1 and 1, so both edges weigh 1 / sqrt(2)
    L = laplacian(interactions_of([(0, 0), (0, 1)], 1, 2), CPU).to_dense()
    w = 2**-0.5
    torch.testing.assert_close(L, torch.tensor([[0, w, w], [w, 0, 0], [w, 0, 0]]))


@given(seed=st.integers(0, 10_000), n_users=st.integers(1, 12), n_items=st.integers(1, 12))
@settings(max_examples=30, deadline=None)
def test_laplacian_is_the_definition_on_any_graph(seed, n_users, n_items):
    train = random_interactions(n_users, n_items, 0.3, seed)
    L = laplacian(train, CPU).to_dense().double().numpy()
    np.testing.assert_allclose(L, dense_laplacian(train), atol=1e-6)
    np.testing.assert_array_equal(L, L.T)


def test_node_without_an_interaction_keeps_its_own_features():
    train = interactions_of([(0, 0)], 2, 2)
    X = torch.arange(8.0).reshape(4, 2)
    moved = propagate(laplacian(train, CPU), X)
    torch.testing.assert_close(moved[[1, 3]], X[[1, 3]])
    torch.testing.assert_close(moved[0], X[0] + X[2])


def test_pair_that_comes_twice_is_one_edge():
    once = laplacian(interactions_of([(0, 0), (0, 1)], 1, 2), CPU).to_dense()
    twice = laplacian(interactions_of([(0, 0), (0, 0), (0, 1)], 1, 2), CPU).to_dense()
    torch.testing.assert_close(once, twice)


def test_propagation_is_identity_plus_laplacian_forward_and_backward():
    train = random_interactions(9, 7, 0.4, seed=1)
    L = laplacian(train, CPU)
    dense = torch.eye(16) + torch.from_numpy(dense_laplacian(train)).float()
    weights = torch.randn(16, 3, generator=torch.Generator().manual_seed(2))
    X = torch.randn(16, 3, generator=torch.Generator().manual_seed(3))
    sparse_X, dense_X = X.clone().requires_grad_(), X.clone().requires_grad_()

    moved, expected = propagate(L, sparse_X), dense @ dense_X
    torch.testing.assert_close(moved, expected)
    (moved * weights).sum().backward()
    (expected * weights).sum().backward()
    torch.testing.assert_close(sparse_X.grad, dense_X.grad)


def test_gradient_is_that_of_finite_differences():
    train = random_interactions(4, 3, 0.5, seed=4)
    L = laplacian(train, CPU).double()
    X = torch.randn(7, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    assert torch.autograd.gradcheck(lambda X: propagate(L, X), X.requires_grad_())
