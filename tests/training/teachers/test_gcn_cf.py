from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn.functional import embedding

from hashrec.index.errors import ConfigError
from hashrec.training.numerics.device import generator
from hashrec.training.numerics.graph import laplacian
from hashrec.training.numerics.losses import bpr_loss
from hashrec.training.numerics.sampling import PairSampler
from hashrec.training.progress import QuietProgress
from hashrec.training.teachers.gcn_cf import ACTIVATIONS, GcnCf, GraphFactors, cross
from tests.training.numerics.test_graph import dense_laplacian
from tests.training.pairs import random_interactions

CPU = torch.device("cpu")


@pytest.fixture
def train():
    return random_interactions(9, 7, 0.4, seed=1)


def network_of(train, activation="sigmoid"):
    n_nodes = train.n_users + train.n_items
    return GraphFactors(n_nodes, 3, activation, 0.5, torch.Generator().manual_seed(2))


def test_cross_operation_by_hand():
    # x = (1, 2), w = (3, 1): w^T x = 5, so 5 x + x = (6, 12); with w = 0 a node keeps its x
    X = torch.tensor([[1.0, 2.0], [1.0, 2.0]])
    W = torch.tensor([[3.0, 1.0], [0.0, 0.0]])
    torch.testing.assert_close(cross(X, W), torch.tensor([[6.0, 12.0], [1.0, 2.0]]))


@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
def test_network_is_equations_8_to_13_on_dense_matrices(train, activation):
    network = network_of(train, activation)
    rho = {
        "identity": lambda x: x,
        "leaky_relu": lambda x: np.where(x > 0, x, 0.01 * x),
        "relu": lambda x: np.maximum(x, 0),
        "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
        "tanh": np.tanh,
    }[activation]
    X0, Theta0, Theta1, W1, W2 = (
        p.detach().double().numpy() for p in (network.factors, *network.filters, *network.crosses)
    )
    filtered = np.eye(16) + dense_laplacian(train)

    def normalised(X):
        return (X - X.mean(0)) / np.sqrt(X.var(0) + 1e-5)

    X1 = rho(filtered @ normalised(X0) @ Theta0)
    X2 = np.diag((X1 * W1) @ np.ones(3)) @ X1 + X1
    X3 = np.diag((X2 * W2) @ np.ones(3)) @ X2 + X2
    X4 = rho(filtered @ normalised(X3) @ Theta1)
    factors = network(laplacian(train, CPU)).detach().numpy()
    np.testing.assert_allclose(factors, np.hstack([X0, X1, X4]), rtol=1e-4, atol=1e-5)


def test_every_weight_has_a_part_in_the_loss(train):
    network = network_of(train)
    network(laplacian(train, CPU)).square().sum().backward()
    assert all(weight.grad.abs().sum() > 0 for weight in network.parameters())


def test_fit_takes_the_steps_of_equation_14_each_from_a_fresh_gradient(train):
    """Follow the loop with `torch.autograd.grad`, which cannot carry a gradient over."""
    model = GcnCf(factor_dim=3, epochs=2, batches_per_epoch=3, regularization=0.1)
    embeddings = model.fit(train, seed=5, device=CPU, progress=QuietProgress())

    sampler, L = PairSampler(train, CPU), laplacian(train, CPU)
    network = GraphFactors(16, 3, model.activation, model.init_scale, generator(CPU, 5, 0))
    weights = list(network.parameters())
    adam = torch.optim.Adam(weights, lr=model.learning_rate, fused=True)
    decay = torch.optim.lr_scheduler.CosineAnnealingLR(adam, 2)
    for epoch in range(2):
        for batch in sampler.triples(3, generator(CPU, 5, 1, epoch)):
            factors = network(L)
            u, v, v_neg = (
                embedding(rows, factors)
                for rows in (batch.users, 9 + batch.positives, 9 + batch.negatives)
            )
            loss = bpr_loss((u * v).sum(1) - (u * v_neg).sum(1)).sum()
            loss = loss + 0.1 * (u.square().sum() + v.square().sum() + v_neg.square().sum())
            for weight, gradient in zip(weights, torch.autograd.grad(loss, weights), strict=True):
                weight.grad = gradient
            adam.step()
        decay.step()
    factors = network(L).detach().numpy()
    np.testing.assert_allclose(embeddings.users, factors[:9], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(embeddings.items, factors[9:], rtol=1e-4, atol=1e-5)


def test_factors_are_three_layers_wide_and_the_loss_falls(train):
    progress = QuietProgress()
    embeddings = GcnCf(factor_dim=4, epochs=15, batches_per_epoch=2).fit(
        train, seed=0, device=CPU, progress=progress
    )
    assert embeddings.dim == 12
    (curve,) = (curves["loss"] for curves in progress.history.values())
    assert len(curve) == 15
    assert curve[-1] < curve[0]


def test_regularization_shrinks_the_factors(train):
    def size(strength):
        model = GcnCf(factor_dim=4, epochs=15, batches_per_epoch=2, regularization=strength)
        embeddings = model.fit(train, seed=0, device=CPU, progress=QuietProgress())
        return np.linalg.norm(embeddings.users)

    assert size(1.0) < size(0.0)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"activation": "swish"}, "activation: .*'swish'"),
        ({"epochs": 0}, "epochs: .*got 0"),
        ({"learning_rate": float("nan")}, "learning_rate: .*finite"),
    ],
)
def test_bad_setting_is_named_with_its_value(settings, reason):
    with pytest.raises(ConfigError, match=reason):
        GcnCf(**settings)
