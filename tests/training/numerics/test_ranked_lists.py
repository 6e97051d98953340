from __future__ import annotations

import numpy as np
import pytest
import torch

from hashrec.training.numerics.embeddings import Embeddings
from hashrec.training.numerics.ranked_lists import RankedLists, rank_weights
from hashrec.training.numerics.top_items import NO_ITEM
from tests.training.pairs import interactions_of

CPU = torch.device("cpu")


def perplexity_of(weights):
    weights = weights.astype(np.float64)
    return np.exp(-(weights * np.log(weights)).sum())


@pytest.mark.parametrize(
    ("length", "perplexity"), [(4, 1.5), (40, 10), (200, 50), (1000, 3), (80, 79)]
)
def test_weights_fall_with_rank_and_have_the_perplexity_asked_for(length, perplexity):
    weights = rank_weights(length, perplexity)
    assert weights.sum() == pytest.approx(1, abs=1e-5)
    assert (np.diff(weights) < 0).all()
    assert perplexity_of(weights) == pytest.approx(perplexity, rel=1e-3)


def test_weights_are_a_power_of_the_rank_moved_by_two():
    weights = rank_weights(50, 12).astype(np.float64)
    exponents = np.log(weights[0] / weights[1:]) / np.log(np.arange(4, 53) / 3)
    np.testing.assert_allclose(exponents, exponents[0], rtol=1e-4)


@pytest.mark.parametrize("perplexity", [8, 8.5, 1000])
def test_perplexity_of_the_length_or_more_weighs_all_ranks_alike(perplexity):
    np.testing.assert_allclose(rank_weights(8, perplexity), 1 / 8, rtol=1e-6)


def test_perplexity_of_one_puts_all_but_everything_on_the_first_place():
    assert rank_weights(20, 1.0)[0] > 0.999


@pytest.fixture
def lists():
    """Everyone likes i0 best, then i1, i2, i3; u0 has nothing, u1 two of them, u2 all."""
    train = interactions_of([(1, 0), (1, 2), (2, 0), (2, 1), (2, 2), (2, 3)], 3, 4)
    teacher = Embeddings(np.ones((3, 1), np.float32), np.float32([[4], [3], [2], [1]]))
    return RankedLists.of(teacher, train, length=3, perplexity=2, device=CPU)


def test_lists_hold_the_best_items_that_a_user_has_not(lists):
    assert lists.length == 3
    assert lists.items.tolist() == [[0, 1, 2], [1, 3, NO_ITEM], [NO_ITEM] * 3]


def test_short_list_shares_the_whole_probability_among_its_items(lists):
    full = rank_weights(3, 2)
    items, weights = lists.of_users(torch.arange(3))
    assert items.tolist() == [[0, 1, 2], [1, 3, 0], [0, 0, 0]]
    np.testing.assert_allclose(weights[0], full, rtol=1e-6)
    np.testing.assert_allclose(weights[1], [*full[:2] / full[:2].sum(), 0], rtol=1e-6)


def test_user_without_a_list_has_no_probability(lists):
    assert lists.of_users(slice(2, 3))[1].tolist() == [[0, 0, 0]]


def test_asking_for_users_leaves_the_lists_as_they_are(lists):
    before = lists.items.clone(), lists.weights.clone()
    lists.of_users(slice(0, 3))
    assert torch.equal(lists.items, before[0])
    assert torch.equal(lists.weights, before[1])


def test_lists_are_no_longer_than_the_catalogue():
    teacher = Embeddings(np.ones((2, 1), np.float32), np.ones((3, 1), np.float32))
    train = interactions_of([(0, 0)], 2, 3)
    lists = RankedLists.of(teacher, train, length=100, perplexity=50, device=CPU)
    assert lists.length == 3
    np.testing.assert_allclose(lists.weights, 1 / 3, rtol=1e-6)
