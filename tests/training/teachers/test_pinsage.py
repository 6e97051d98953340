from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import sparse

from hashrec.index.errors import ConfigError
from hashrec.training.numerics.device import generator
from hashrec.training.numerics.random_walks import Neighbourhoods, Walks
from hashrec.training.numerics.row_adam import RowAdam
from hashrec.training.numerics.sampling import PairSampler
from hashrec.training.progress import QuietProgress
from hashrec.training.teachers.pinsage import PairBatch, PinSage
from hashrec.training.teachers.pinsage_network import Network
from tests.training.pairs import interactions_of, random_interactions

pytestmark = pytest.mark.usefixtures("one_thread")

CPU = torch.device("cpu")


@pytest.fixture
def train():
    return random_interactions(30, 20, 0.2, seed=1)


def near_of(train, size=3):
    random = generator(CPU, 0)
    return Neighbourhoods.of(
        Walks(train.matrix(), CPU), size=size, n_walks=20, n_steps=2, random=random
    )


def batch_of(train, pairs, n_hard=2, seed=0):
    return PairBatch.draw(
        PairSampler(train, CPU),
        Walks(train.matrix(), CPU),
        pairs,
        n_pooled=4,
        n_shared=6,
        n_hard=n_hard,
        hard_steps=3,
        random=generator(CPU, seed),
    )


def fit(train, progress=None, **settings):
    quick = {"factor_dim": 8, "neighbours": 3, "epochs": 6, "batch_size": 32, "negatives": 10}
    model = PinSage(**quick | {"learning_rate": 0.003} | settings)
    return model.fit(train, seed=0, device=CPU, progress=progress or QuietProgress())


def test_embeddings_are_algorithm_2_written_out(train):
    near = near_of(train)
    network = Network(near, 2, 4, generator(CPU, 1))
    x = torch.randn((20, 4), generator=generator(CPU, 2))

    def dense(layer, inputs):
        W, b = (p.detach().double().numpy() for p in layer.parameters())
        return inputs @ W + b

    def relu(values):
        return np.maximum(values, 0)

    h = x.double().numpy()
    for layer in network.convolutions:
        before = h.copy()
        for node in range(20):
            n = sum(
                alpha * relu(dense(layer.message, before[v]))
                for alpha, v in zip(near.weights[node].tolist(), near.rows[node], strict=True)
            )
            z = relu(dense(layer.update, np.concatenate([before[node], n])))
            h[node] = z / max(np.linalg.norm(z), 1e-12)
    expected = dense(network.out, relu(dense(network.hidden, h)))
    np.testing.assert_allclose(network.everything(x), expected, rtol=1e-4, atol=1e-5)

    some = torch.tensor([2, 3, 11])
    layers = network.needed(some)
    with torch.no_grad():
        embedded = network(layers, x[layers[0]])
    np.testing.assert_allclose(embedded, expected[some], rtol=1e-4, atol=1e-5)


def test_step_needs_a_number_of_items_that_the_size_of_the_graph_does_not_change():
    for n_items in (500, 4_000):
        train = random_interactions(n_items, n_items, 4 / n_items, seed=0)
        network = Network(near_of(train), 2, 4, generator(CPU, 1))
        batch = batch_of(train, torch.arange(5))
        assert len(batch.items) <= 5 * (4 + 1 + 2) + 6
        layers = network.needed(batch.items)
        assert len(layers[1]) <= len(batch.items) * 4
        assert len(layers[0]) <= len(batch.items) * 4**2
        assert set(near_of(train).rows[layers[1]].ravel().tolist()) <= set(layers[0].tolist())


def test_batch_pools_other_items_of_the_user_and_says_which_negatives_are_none(train):
    sampler, pairs = PairSampler(train, CPU), torch.arange(len(train))
    batch = batch_of(train, pairs)
    has = train.matrix().toarray() > 0
    users = sampler.users.numpy()
    pooled, hard, shared = (
        batch.items[part].numpy() for part in (batch.pooled, batch.hard, batch.shared)
    )
    assert torch.equal(batch.items[batch.positives], sampler.items)
    assert has[users[:, None], pooled].all()
    alone = has[users].sum(1) == 1
    assert ((pooled == sampler.items.numpy()[:, None]).any(1) == alone).all()
    of_all = np.broadcast_to(shared, (len(users), 6))
    negatives = np.concatenate([hard, of_all], axis=1)
    assert np.array_equal(batch.wrong.numpy(), ~has[users[:, None], negatives])


def test_loss_by_hand():
    # one user by one item (1, 0); the positive scores 1, the hard negative 0.95, the others 2 and 0
    z = torch.tensor([[1.0, 0.0], [0.95, 3.0], [2.0, 0.0], [0.0, 1.0]])
    batch = PairBatch(
        items=torch.arange(4),
        pooled=torch.tensor([[0]]),
        positives=torch.tensor([0]),
        hard=torch.tensor([[1]]),
        shared=torch.tensor([2, 3]),
        wrong=torch.tensor([[True, True, True]]),
    )
    # excesses over 1 - 0.1: 0.05, 1.1 and none
    assert batch.loss(z, 0.1).item() == pytest.approx((0.05 + 1.1) / 3, abs=1e-6)
    known = PairBatch(**{**vars(batch), "wrong": torch.tensor([[True, False, True]])})
    assert known.loss(z, 0.1).item() == pytest.approx(0.05 / 2, abs=1e-6)


def test_hard_negatives_grow_with_the_passes_up_to_their_number(train, monkeypatch):
    drawn = []
    draw = PairBatch.draw.__func__

    def watched(cls, *arguments, n_hard, **options):
        drawn.append(n_hard)
        return draw(cls, *arguments, n_hard=n_hard, **options)

    monkeypatch.setattr(PairBatch, "draw", classmethod(watched))
    fit(train, epochs=5, batch_size=1_000, hard_negatives=2)
    assert drawn == [0, 1, 2, 2, 2]


def test_loss_falls(train):
    progress = QuietProgress()
    fit(train, progress, epochs=20, hard_negatives=0, validate_every=10)
    (curves,) = progress.history.values()
    assert len(curves["loss"]) == 20
    assert curves["loss"][-1] < curves["loss"][0]
    assert len(curves["recall@20"]) == 2


def test_user_is_the_mean_of_their_items():
    scorer = fit(interactions_of([(0, 0), (0, 1), (1, 1), (2, 2)], 4, 3))
    np.testing.assert_allclose(scorer.users[0], scorer.items[:2].mean(0), rtol=1e-6)
    assert not scorer.users[3].any()
    histories = sparse.csr_matrix([[0, 1, 1]], dtype=np.float32)
    mean = scorer.item_weights(np.array([1, 2])).mean(0)
    np.testing.assert_allclose(scorer.fold_in(histories)[0], mean, rtol=1e-5, atol=1e-7)


def test_bad_setting_is_named_with_its_value():
    with pytest.raises(ConfigError, match=r"neighbours: .*got 0"):
        PinSage(neighbours=0)


def test_pass_of_some_of_the_pairs_takes_as_many_steps_as_these_need(train, monkeypatch):
    sizes = []
    draw = PairBatch.draw.__func__

    def watched(cls, sampler, walks, pairs, **options):
        sizes.append(len(pairs))
        return draw(cls, sampler, walks, pairs, **options)

    monkeypatch.setattr(PairBatch, "draw", classmethod(watched))
    fit(train, epochs=2, batch_size=25, pairs_per_epoch=50)
    assert sizes == [25, 25] * 2


def test_rates_rise_in_the_first_pass_and_fall_along_half_a_cosine(train, monkeypatch):
    of_features, of_weights = [], []
    step, weights_step = RowAdam.step, torch.optim.Adam.step

    def watched(self, rows, gradient, rate):
        of_features.append(rate)
        step(self, rows, gradient, rate)

    def weights_watched(self):
        of_weights.append(self.param_groups[0]["lr"])
        return weights_step(self)

    monkeypatch.setattr(RowAdam, "step", watched)
    monkeypatch.setattr(torch.optim.Adam, "step", weights_watched)
    fit(train, epochs=2, batch_size=25, pairs_per_epoch=50, learning_rate=0.002)
    falling = [(1 + np.cos(np.pi * done)) / 2 for done in (0, 0.25, 0.5, 0.75)]
    expected = 0.002 * np.array(falling) * (0.5, 1, 1, 1)
    np.testing.assert_allclose(of_weights, expected)
    np.testing.assert_allclose(of_features, 10 * expected)
