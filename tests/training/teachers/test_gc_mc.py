from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import sparse

from hashrec.index.errors import ConfigError
from hashrec.training.numerics.graph import laplacian
from hashrec.training.progress import QuietProgress
from hashrec.training.teachers.gc_mc import GcMc, GraphAutoencoder
from tests.training.numerics.test_graph import dense_laplacian
from tests.training.pairs import interactions_of, random_interactions

pytestmark = pytest.mark.usefixtures("one_thread")

CPU = torch.device("cpu")


@pytest.fixture
def train():
    return random_interactions(9, 7, 0.4, seed=1)


def network_of():
    return GraphAutoencoder(
        9,
        7,
        hidden_dim=5,
        dim=3,
        n_bases=2,
        init_scale=0.5,
        random=torch.Generator().manual_seed(2),
    )


def fit(train, progress=None, **settings):
    model = GcMc(hidden_dim=16, factor_dim=8, epochs=20, batches_per_epoch=2, **settings)
    return model.fit(train, seed=0, device=CPU, progress=progress or QuietProgress())


def test_scores_are_those_of_the_dense_equations(train):
    network = network_of()
    W, Theta_U, Theta_V, P, a = (p.detach().double().numpy() for p in network.parameters())
    hidden = np.maximum(dense_laplacian(train) @ W, 0)
    Q = a[0] * P[0] + a[1] * P[1]
    expected = (hidden[:9] @ Theta_U) @ Q @ (hidden[9:] @ Theta_V).T
    factors = network(laplacian(train, CPU)).detach().numpy()
    np.testing.assert_allclose(factors[:9] @ factors[9:].T, expected, rtol=1e-4, atol=1e-5)


def test_node_that_is_dropped_sends_nothing(train):
    network, L = network_of(), laplacian(train, CPU)
    kept = torch.ones(16, 1)
    kept[9 + 2] = 0
    with torch.no_grad():
        without = network(L, kept)
        network.messages[9 + 2] = 0
        torch.testing.assert_close(without, network(L))


def test_every_weight_has_a_part_in_the_loss(train):
    network = network_of()
    network(laplacian(train, CPU)).square().sum().backward()
    assert all(weight.grad.abs().sum() > 0 for weight in network.parameters())


def test_loss_falls(train):
    progress = QuietProgress()
    assert fit(train, progress, dropout=0.2, validate_every=10).dim == 8
    (curves,) = progress.history.values()
    assert len(curves["loss"]) == 20
    assert curves["loss"][-1] < curves["loss"][0]
    assert len(curves["ndcg@20"]) == 2


def test_item_without_a_user_says_nothing_about_a_new_one():
    train = interactions_of([(0, 0), (0, 1), (1, 1)], 2, 3)
    scorer = fit(train)
    histories = sparse.csr_matrix([[1, 0, 0], [1, 0, 1]], dtype=np.float32)
    alone, beside = scorer.fold_in(histories)
    np.testing.assert_allclose(beside, alone / np.sqrt(2), rtol=1e-5)
    assert not scorer.item_weights(np.array([2])).any()


@pytest.mark.parametrize("dropout", [1, -0.1])
def test_dropout_is_a_chance_below_one(dropout):
    with pytest.raises(ConfigError, match=f"dropout: .*got {dropout}"):
        GcMc(dropout=dropout)


def test_messages_that_are_kept_make_up_for_those_left_out(train, monkeypatch):
    factors = []
    forward = GraphAutoencoder.forward

    def watched(self, L, kept=None):
        factors.extend([] if kept is None else kept.flatten().tolist())
        return forward(self, L, kept)

    monkeypatch.setattr(GraphAutoencoder, "forward", watched)
    fit(train, dropout=0.75)
    assert set(factors) == {0.0, 4.0}
    assert np.mean(factors) == pytest.approx(1, abs=0.3)
