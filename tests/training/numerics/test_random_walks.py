from __future__ import annotations

import numpy as np
import pytest
import torch

from hashrec.training.numerics.random_walks import Neighbourhoods, Walks
from tests.training.pairs import interactions_of, random_interactions

pytestmark = pytest.mark.usefixtures("one_thread")

CPU = torch.device("cpu")


def walks_of(train):
    return Walks(train.matrix(), CPU)


def near(train, size=3, n_walks=2_000, n_steps=1, seed=0):
    random = torch.Generator().manual_seed(seed)
    return Neighbourhoods.of(
        walks_of(train), size=size, n_walks=n_walks, n_steps=n_steps, random=random
    )


def test_one_step_leads_to_items_with_the_chances_of_the_walk():
    """D_i^-1 X^T D_u^-1 X, on a graph small enough to count."""
    X = random_interactions(6, 4, 0.5, seed=2).matrix().toarray().astype(float)
    chances = (X / X.sum(0)).T @ (X / X.sum(1, keepdims=True))
    starts = torch.arange(4).repeat_interleave(20_000)
    ends = walks_of(random_interactions(6, 4, 0.5, seed=2)).step(
        starts, torch.Generator().manual_seed(1)
    )
    counted = np.zeros((4, 4))
    np.add.at(counted, (starts.numpy(), ends.numpy()), 1 / 20_000)
    np.testing.assert_allclose(counted, chances, atol=0.015)


def test_neighbours_by_hand():
    # i0 - u0 - i1, i2 and i0 - u1 - i2: of the steps from i0, i2 gets 1/6 + 1/4, i1 gets 1/6
    train = interactions_of([(0, 0), (0, 1), (0, 2), (1, 0), (1, 2), (2, 3)], 3, 5)
    found = near(train)
    assert found.rows[0].tolist() == [2, 1, 0]
    np.testing.assert_allclose(found.weights[0], [5 / 7, 2 / 7, 0], atol=0.03)
    # i3's only user has nothing else, i4 has no user
    assert found.rows[3:].tolist() == [[3, 3, 3], [4, 4, 4]]
    assert not found.weights[3:].any()


def test_walks_that_lead_nowhere_find_nothing():
    found = near(interactions_of([(0, 0), (1, 1)], 2, 2))
    assert found.rows.tolist() == [[0, 0, 0], [1, 1, 1]]
    assert not found.weights.any()


def test_items_visited_equally_often_come_by_row_and_the_last_are_cut():
    train = interactions_of([(0, item) for item in range(40)], 1, 40)
    found = near(train, size=39, n_walks=30)
    for item, rows in enumerate(found.rows.tolist()):
        shares = found.weights[item].tolist()
        visited = [(-share, row) for share, row in zip(shares, rows, strict=True) if share]
        assert visited == sorted(visited)
        assert item not in {row for _, row in visited}
    cut = near(train, size=5, n_walks=30)
    assert torch.equal(cut.rows, found.rows[:, :5])
    torch.testing.assert_close(cut.weights.sum(1), torch.ones(40))


def test_longer_walks_reach_further():
    chain = interactions_of([(u, i) for u in range(5) for i in (u, u + 1)], 5, 6)
    assert set(near(chain, size=5).rows[0].tolist()) == {0, 1}
    assert set(near(chain, size=5, n_steps=3).rows[0].tolist()) == {0, 1, 2, 3}


def test_seed_decides_the_neighbours_and_the_number_walked_at_once_does_not_change_their_form(
    monkeypatch,
):
    train = random_interactions(20, 30, 0.2, seed=3)
    first, second = near(train, n_walks=5), near(train, n_walks=5)
    assert torch.equal(first.rows, second.rows)
    assert torch.equal(first.weights, second.weights)
    assert not torch.equal(first.rows, near(train, n_walks=5, seed=1).rows)
    monkeypatch.setattr("hashrec.training.numerics.random_walks._AT_ONCE", 20)
    in_parts = near(train, n_walks=2_000)
    assert in_parts.rows.shape == (30, 3)
    np.testing.assert_allclose(in_parts.weights, near(train).weights, atol=0.05)
