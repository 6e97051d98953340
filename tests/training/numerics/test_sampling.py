from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hashrec.index.errors import EmptyDataError
from hashrec.training.numerics.sampling import PairSampler
from tests.training.pairs import interactions_of, random_interactions

CPU = torch.device("cpu")


def random(seed=0):
    return torch.Generator().manual_seed(seed)


def pairs_of(train):
    return set(zip(train.user_rows.tolist(), train.item_rows.tolist(), strict=True))


@given(
    seed=st.integers(0, 10_000),
    n_users=st.integers(1, 8),
    n_items=st.integers(2, 10),
    density=st.floats(0.05, 0.95),
    n_batches=st.integers(1, 9),
)
@settings(max_examples=40, deadline=None)
def test_an_epoch_meets_every_pair_once_and_no_negative_is_a_positive(
    seed, n_users, n_items, density, n_batches
):
    train = random_interactions(n_users, n_items, density, seed)
    counts = np.bincount(train.user_rows, minlength=n_users)
    usable = {(u, i) for u, i in pairs_of(train) if counts[u] < n_items}
    if not usable:
        return
    met, drawn = [], []
    batches = list(PairSampler(train, CPU).triples(n_batches, random(seed)))
    for batch in batches:
        met += zip(batch.users.tolist(), batch.positives.tolist(), strict=True)
        drawn += zip(batch.users.tolist(), batch.negatives.tolist(), strict=True)
    assert len(batches) <= n_batches
    assert len(met) == len(usable)
    assert set(met) == usable
    assert not set(drawn) & pairs_of(train)
    assert all(0 <= item < n_items for _, item in drawn)


@given(
    seed=st.integers(0, 10_000),
    density=st.floats(0.05, 0.95),
    length=st.integers(1, 7),
    n_batches=st.integers(1, 5),
)
@settings(max_examples=40, deadline=None)
def test_lists_hold_every_pair_once_in_lists_of_one_user(seed, density, length, n_batches):
    train = random_interactions(6, 12, density, seed)
    sampler = PairSampler(train, CPU)
    met, shares = [], Counter()
    for batch in sampler.lists(length, n_batches, random(seed)):
        assert batch.positives.shape == batch.negatives.shape == (len(batch.users), length)
        assert batch.mask[:, 0].all()
        for row, user in enumerate(batch.users.tolist()):
            real = batch.mask[row]
            met += [(user, item) for item in batch.positives[row][real].tolist()]
            drawn = {(user, item) for item in batch.negatives[row][real].tolist()}
            assert not drawn & pairs_of(train)
            shares[user] += batch.shares[row].item()
    assert len(met) == len(sampler)
    assert len(set(met)) == len(met)
    assert all(share == pytest.approx(1) for share in shares.values())


def test_positives_are_dealt_evenly_into_as_few_lists_as_hold_them():
    train = interactions_of([(0, item) for item in range(9)], 1, 20)
    (batch,) = PairSampler(train, CPU).lists(4, 1, random())
    assert sorted(batch.mask.sum(1).tolist()) == [3, 3, 3]


def test_negatives_are_uniform_over_the_missing_items():
    train = interactions_of([(0, 1), (0, 4), (1, 0)], 2, 6)
    users = torch.tensor([0, 1]).repeat_interleave(40_000)
    drawn = PairSampler(train, CPU).negatives(users, random()).reshape(2, -1)
    frequency = torch.stack([torch.bincount(row, minlength=6) for row in drawn]) / 40_000
    expected = torch.tensor([[1, 0, 1, 1, 0, 1], [0, 1, 1, 1, 1, 1]]) / torch.tensor([[4], [5]])
    # five standard deviations of a frequency of a quarter
    torch.testing.assert_close(frequency, expected, atol=0.011, rtol=0)
    assert (frequency[expected == 0] == 0).all()


def test_single_missing_item_is_always_the_one_drawn():
    train = interactions_of([(0, 0), (0, 1), (0, 3)], 1, 4)
    drawn = PairSampler(train, CPU).negatives(torch.zeros(50, dtype=torch.int64), random())
    assert drawn.unique().tolist() == [2]


def test_user_who_has_every_item_is_left_out():
    train = interactions_of([(0, 0), (0, 1), (1, 1), (3, 0)], 4, 2)
    (batch,) = PairSampler(train, CPU).triples(1, random())
    met = zip(batch.users.tolist(), batch.positives.tolist(), batch.negatives.tolist(), strict=True)
    assert sorted(met) == [(1, 1, 0), (3, 0, 1)]


@pytest.mark.parametrize("pairs", [[], [(0, 0), (0, 1)]])
def test_data_without_a_missing_item_is_refused(pairs):
    with pytest.raises(EmptyDataError, match="both an item and a missing item"):
        PairSampler(interactions_of(pairs, 1, 2), CPU)


def test_same_seed_draws_the_same_epoch_and_another_seed_another():
    sampler = PairSampler(random_interactions(20, 30, 0.3, seed=1), CPU)

    def epoch(seed):
        return [
            torch.stack([b.users, b.positives, b.negatives])
            for b in sampler.triples(3, random(seed))
        ]

    assert all(map(torch.equal, epoch(1), epoch(1)))
    assert not all(map(torch.equal, epoch(1), epoch(2)))


def test_pairs_are_told_from_those_that_are_not_there():
    train = random_interactions(9, 7, 0.4, seed=1)
    sampler = PairSampler(train, CPU)
    users, items = torch.arange(9)[:, None], torch.arange(7)
    assert np.array_equal(sampler.has(users, items).numpy(), train.matrix().toarray() > 0)


def test_other_items_of_a_pairs_user_are_drawn_evenly():
    train = interactions_of([(0, 1), (0, 2), (0, 4), (0, 5), (1, 3)], 2, 6)
    sampler = PairSampler(train, CPU)
    others = sampler.others(torch.tensor([1, 4]), 9_000, torch.Generator().manual_seed(0))
    found, counts = others[0].unique(return_counts=True)
    assert found.tolist() == [1, 4, 5], "not the pair's own item, 2"
    np.testing.assert_allclose(counts / 9_000, 1 / 3, atol=0.02)
    assert others[1].unique().tolist() == [3], "the only one there is"
