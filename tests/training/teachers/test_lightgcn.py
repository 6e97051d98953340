from __future__ import annotations

import numpy as np
import pytest
import torch

from hashrec.index.errors import ConfigError
from hashrec.training.data.synthetic import synthetic_catalogue
from hashrec.training.numerics.device import generator
from hashrec.training.numerics.graph import laplacian
from hashrec.training.numerics.sampling import PairSampler
from hashrec.training.progress import QuietProgress
from hashrec.training.teachers.lightgcn import LightGcn, mean_of_layers
from tests.training.numerics.test_graph import dense_laplacian
from tests.training.pairs import interactions_of, random_interactions

pytestmark = pytest.mark.usefixtures("one_thread")

CPU = torch.device("cpu")


@pytest.fixture
def train():
    return random_interactions(9, 7, 0.4, seed=1)


def fit(train, progress=None, **settings):
    model = LightGcn(**{"factor_dim": 4, "epochs": 15, "batches_per_epoch": 2} | settings)
    return model.fit(train, seed=5, device=CPU, progress=progress or QuietProgress())


def test_one_user_with_one_item_by_hand():
    # the one edge weighs 1: every layer exchanges the two rows, and four layers see each twice
    L = laplacian(interactions_of([(0, 0)], 1, 1), CPU)
    E = torch.tensor([[1.0, 2.0], [5.0, -2.0]])
    torch.testing.assert_close(mean_of_layers(L, E, 3), torch.tensor([[3.0, 0.0], [3.0, 0.0]]))
    torch.testing.assert_close(mean_of_layers(L, E, 0), E)


@pytest.mark.parametrize("n_layers", [0, 1, 3])
def test_factors_are_the_mean_of_powers_of_the_dense_laplacian(train, n_layers):
    E = torch.randn(16, 3, generator=torch.Generator().manual_seed(2))
    L = dense_laplacian(train)
    powers = [np.linalg.matrix_power(L, k) for k in range(n_layers + 1)]
    expected = np.mean(powers, axis=0) @ E.double().numpy()
    factors = mean_of_layers(laplacian(train, CPU), E, n_layers)
    np.testing.assert_allclose(factors, expected, atol=1e-6)


def test_fit_takes_the_steps_of_adam_on_the_objective_written_out(train):
    """Follow the loop on dense matrices in float64, row by row."""
    model = LightGcn(
        factor_dim=3, layers=2, epochs=2, batches_per_epoch=3, regularization=0.3, learning_rate=0.1
    )
    learned = model.fit(train, seed=5, device=CPU, progress=QuietProgress())

    L = torch.from_numpy(dense_laplacian(train))
    P = (torch.eye(16, dtype=torch.float64) + L + L @ L) / 3
    sampler = PairSampler(train, CPU)
    E = 0.1 * torch.randn((16, 3), generator=generator(CPU, 5, 0))
    E = E.double().requires_grad_()
    adam = torch.optim.Adam([E], lr=0.1)
    for epoch in range(2):
        adam.param_groups[0]["lr"] = 0.1 * (1 + np.cos(np.pi * epoch / 2)) / 2
        for batch in sampler.triples(3, generator(CPU, 5, 1, epoch)):
            loss = torch.zeros((), dtype=torch.float64)
            rows = (batch.users, 9 + batch.positives, 9 + batch.negatives)
            for u, i, j in zip(*(part.tolist() for part in rows), strict=True):
                F = P @ E
                loss = loss - torch.log(torch.sigmoid(F[u] @ F[i] - F[u] @ F[j]))
                loss = loss + 0.15 * (E[u] @ E[u] + E[i] @ E[i] + E[j] @ E[j])
            (E.grad,) = torch.autograd.grad(loss, [E])
            adam.step()
    factors = (P @ E).detach().numpy()
    np.testing.assert_allclose(learned.users, factors[:9], rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(learned.items, factors[9:], rtol=1e-3, atol=1e-4)


def test_loss_falls_and_is_logged_once_a_pass(train):
    progress = QuietProgress()
    assert fit(train, progress).dim == 4
    (curves,) = progress.history.values()
    assert list(curves) == ["loss"]
    assert len(curves["loss"]) == 15
    assert curves["loss"][-1] < curves["loss"][0]


def test_regularization_shrinks_the_factors(train):
    sizes = [np.linalg.norm(fit(train, regularization=strength).users) for strength in (0, 1)]
    assert sizes[1] < sizes[0]


def test_curve_on_pairs_held_out_is_logged_every_few_passes_and_rises():
    data = synthetic_catalogue(n_users=150, n_items=90, n_interactions=3_000, seed=1).interactions
    progress = QuietProgress()
    fit(data, progress, factor_dim=16, epochs=30, batches_per_epoch=8, validate_every=10)
    (curves,) = progress.history.values()
    assert len(curves["loss"]) == 30
    assert len(curves["recall@20"]) == len(curves["ndcg@20"]) == 3
    assert curves["ndcg@20"][-1] > curves["ndcg@20"][0]


def test_pairs_that_are_held_out_for_the_curve_are_not_learned_from(train):
    assert not np.array_equal(fit(train, validate_every=99).users, fit(train).users)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"layers": 0}, "layers: .*got 0"),
        ({"validate_every": -1}, "validate_every: .*got -1"),
        ({"learning_rate": float("inf")}, "learning_rate: .*finite"),
    ],
)
def test_bad_setting_is_named_with_its_value(settings, reason):
    with pytest.raises(ConfigError, match=reason):
        LightGcn(**settings)
