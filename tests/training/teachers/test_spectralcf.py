from __future__ import annotations

import numpy as np
import pytest
import torch

from hashrec.index.errors import ConfigError
from hashrec.training.numerics.graph import laplacian
from hashrec.training.progress import QuietProgress
from hashrec.training.teachers.spectralcf import SpectralCf, SpectralFactors, spectral_filter
from tests.training.numerics.test_graph import dense_laplacian
from tests.training.pairs import interactions_of, random_interactions

pytestmark = pytest.mark.usefixtures("one_thread")

CPU = torch.device("cpu")


@pytest.fixture
def train():
    return random_interactions(9, 7, 0.4, seed=1)


def walk(train):
    """Return D^-1 A of the graph, dense, float64; a node without an edge has a row of zeros."""
    A = (dense_laplacian(train) > 0).astype(float)
    return A / np.maximum(A.sum(1, keepdims=True), 1)


def test_user_with_two_items_by_hand():
    # the user's neighbours are both items, theirs is the user: 2 x - the mean of the neighbours
    L = laplacian(interactions_of([(0, 0), (0, 1)], 1, 2), CPU)
    X = torch.tensor([[1.0], [2.0], [6.0]])
    torch.testing.assert_close(spectral_filter(L, X), torch.tensor([[-2.0], [3.0], [11.0]]))


def test_filter_is_the_spectral_one_where_the_eigenvectors_are_orthonormal():
    """All users have two items, all items two users: D^-1 A is symmetric, U U^T is I."""
    ring = [(user, item % 5) for user in range(5) for item in (user, user + 1)]
    train = interactions_of(ring, 5, 5)
    Lambda, U = np.linalg.eigh(np.eye(10) - walk(train))
    X = np.random.default_rng(0).normal(size=(10, 3))
    expected = (U @ U.T + U @ np.diag(Lambda) @ U.T) @ X
    filtered = spectral_filter(laplacian(train, CPU), torch.from_numpy(X).float())
    np.testing.assert_allclose(filtered, expected, atol=1e-5)


def test_layers_are_those_of_the_dense_equation_side_by_side(train):
    network = SpectralFactors(16, 3, 2, 0.5, torch.Generator().manual_seed(2))
    X0, *Thetas = (weights.detach().double().numpy() for weights in network.parameters())
    X1 = 1 / (1 + np.exp(-(2 * np.eye(16) - walk(train)) @ X0 @ Thetas[0]))
    X2 = 1 / (1 + np.exp(-(2 * np.eye(16) - walk(train)) @ X1 @ Thetas[1]))
    factors = network(laplacian(train, CPU)).detach().numpy()
    np.testing.assert_allclose(factors, np.hstack([X0, X1, X2]), rtol=1e-4, atol=1e-5)


def test_gradient_is_that_of_finite_differences(train):
    L = laplacian(train, CPU).double()
    X = torch.randn(16, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    assert torch.autograd.gradcheck(lambda X: spectral_filter(L, X), X.requires_grad_())


def test_every_weight_has_a_part_in_the_loss(train):
    network = SpectralFactors(16, 3, 2, 0.5, torch.Generator().manual_seed(2))
    network(laplacian(train, CPU)).square().sum().backward()
    assert all(weight.grad.abs().sum() > 0 for weight in network.parameters())


def test_factors_are_as_wide_as_all_layers_and_the_loss_falls(train):
    progress = QuietProgress()
    model = SpectralCf(factor_dim=4, epochs=30, batches_per_epoch=2, validate_every=15)
    assert model.fit(train, seed=0, device=CPU, progress=progress).dim == 16
    (curves,) = progress.history.values()
    assert len(curves["loss"]) == 30
    assert curves["loss"][-1] < curves["loss"][0]
    assert len(curves["ndcg@20"]) == 2


def test_bad_setting_is_named_with_its_value():
    with pytest.raises(ConfigError, match=r"layers: .*got 0"):
        SpectralCf(layers=0)
