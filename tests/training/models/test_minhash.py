from __future__ import annotations

import numpy as np
import pytest
import torch

from hashrec.index.arrays.codes import BinaryCodes
from hashrec.training.models.minhash import MinHash, min_hash_signs, random_keys
from hashrec.training.numerics.device import generator
from hashrec.training.progress import QuietProgress
from tests.training.pairs import interactions_of, random_interactions

CPU = torch.device("cpu")
N_BITS = 4096
FIVE_DEVIATIONS = 5 * 0.5 / N_BITS**0.5  # of a mean of so many coin tosses, at most


def hashed_users(train, **settings):
    model = MinHash(n_bits=N_BITS, **settings)
    signs = model.user_signs(train, generator(CPU, 0), QuietProgress())
    return BinaryCodes.from_signs(signs.numpy())


def fit(train, seed=0, **settings):
    progress = QuietProgress()
    return MinHash(**settings).fit(train, None, seed=seed, device=CPU, progress=progress)


def agreements(codes):
    return 1 - codes.hamming(codes) / codes.n_bits


def similarities(train):
    X = train.matrix().toarray()
    shared = X @ X.T
    lengths = X.sum(1)
    return shared / (lengths[:, None] + lengths - shared)


@pytest.mark.parametrize("hashes_per_bit", [1, 2, 3])
def test_agreement_of_users_estimates_their_jaccard_similarity(hashes_per_bit):
    train = random_interactions(12, 20, 0.5, seed=2)
    users = hashed_users(train, hashes_per_bit=hashes_per_bit)
    expected = (1 + similarities(train) ** hashes_per_bit) / 2
    assert np.abs(agreements(users) - expected).max() < FIVE_DEVIATIONS


def test_users_with_the_same_items_have_the_same_code_and_others_agree_by_half_a_chance():
    train = interactions_of([(0, 0), (0, 1), (1, 0), (1, 1), (2, 2), (2, 3)], 3, 4)
    agreement = agreements(hashed_users(train))
    assert agreement[0, 1] == 1
    assert agreement[0, 2] == pytest.approx(0.5, abs=FIVE_DEVIATIONS)


def test_min_hash_is_the_sign_of_the_first_item_in_the_random_order():
    # items 0, 1, 2 stand in places 2, 0, 1 with signs -1, +1, -1
    keys = torch.tensor([2 * 2 + 0, 2 * 0 + 1, 2 * 1 + 0])
    user_rows = torch.tensor([0, 0, 1, 1, 2])
    item_rows = torch.tensor([0, 1, 2, 0, 0])
    signs = min_hash_signs(keys[item_rows], user_rows, 4)
    assert signs.tolist() == [1, -1, -1, 1]


def test_keys_are_a_random_order_with_balanced_signs():
    keys = random_keys(10_000, generator(CPU, 0))
    assert sorted((keys >> 1).tolist()) == list(range(10_000))
    # five standard deviations of the mean of 10,000 coin tosses
    assert (keys & 1).double().mean().item() == pytest.approx(0.5, abs=0.025)


@pytest.mark.parametrize("shift", [0.0, 1.5])
def test_item_code_is_the_vote_of_its_users_less_that_of_the_mean_user(shift):
    train = random_interactions(30, 12, 0.3, seed=4)
    codes = fit(train, n_bits=136, shift=shift)
    P = codes.users.to_signs().astype(np.float64)
    X = train.matrix().toarray()
    audience = X.sum(0)
    needed = shift * (audience**2).sum() / audience.sum()
    votes = X.T @ P - needed * P.mean(0)
    assert np.array_equal(codes.items.to_signs(), np.where(votes >= 0, 1, -1))


def test_shift_changes_no_ranking_by_inner_products_with_the_votes():
    train = random_interactions(30, 12, 0.3, seed=4)
    P = fit(train, n_bits=136).users.to_signs().astype(np.float64)
    votes = train.matrix().toarray().T @ P
    differences = P @ votes.T - P @ (votes - 7 * P.mean(0)).T
    np.testing.assert_allclose(differences, differences[:, :1].repeat(12, axis=1))


def test_user_without_an_interaction_has_the_code_of_the_mean_user():
    train = random_interactions(30, 12, 0.3, seed=4)
    codes = fit(train.where(train.user_rows != 5), n_bits=64).users.to_signs()
    mean = np.delete(codes, 5, axis=0).mean(0)
    assert np.array_equal(codes[5], np.where(mean >= 0, 1, -1))
