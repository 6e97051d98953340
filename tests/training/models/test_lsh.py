from __future__ import annotations

import numpy as np
import pytest
import torch

from hashrec.training.models.lsh import Lsh, augment, sign_projections
from hashrec.training.numerics.device import generator
from hashrec.training.numerics.embeddings import Embeddings
from hashrec.training.numerics.factor_forms import balanced, standardised_rows
from hashrec.training.progress import QuietProgress
from tests.training.pairs import random_interactions

CPU = torch.device("cpu")


def five_deviations(n_bits):
    """Of a mean of so many coin tosses, at most."""
    return 5 * 0.5 / n_bits**0.5


def cosines(X, Y):
    lengths = np.linalg.norm(X, axis=1)[:, None] * np.linalg.norm(Y, axis=1)
    return X @ Y.T / lengths


@pytest.fixture
def train():
    return random_interactions(20, 15, 0.4, seed=1)


@pytest.fixture
def teacher(train, rng):
    lengths = rng.uniform(0.2, 3, (train.n_items, 1))
    return Embeddings(
        users=rng.standard_normal((train.n_users, 6)).astype(np.float32),
        items=(lengths * rng.standard_normal((train.n_items, 6))).astype(np.float32),
    )


def fit(model, train, teacher):
    return model.fit(train, teacher, seed=0, device=CPU, progress=QuietProgress())


def shares_apart(codes):
    return codes.users.hamming(codes.items) / codes.users.n_bits


def test_share_of_bits_apart_is_the_angle_over_pi(rng):
    X, Y = rng.standard_normal((30, 5)), rng.standard_normal((40, 5))
    A = torch.randn((5, 4096), generator=generator(CPU, 0))
    apart = sign_projections(X, A).hamming(sign_projections(Y, A)) / 4096
    assert np.abs(apart - np.arccos(cosines(X, Y)) / np.pi).max() < five_deviations(4096)


def test_opposite_vectors_have_opposite_codes_and_length_is_not_seen(rng):
    X = rng.standard_normal((7, 5))
    A = torch.randn((5, 64), generator=generator(CPU, 0))
    code = sign_projections(X, A)
    assert np.array_equal(np.diag(code.hamming(sign_projections(-X, A))), np.full(7, 64))
    assert np.array_equal(code.packed, sign_projections(8 * X, A).packed)


def test_augmented_cosine_is_the_inner_product_over_both_lengths(rng):
    users, items = rng.standard_normal((9, 4)), rng.standard_normal((11, 4))
    longest = np.linalg.norm(items, axis=1).max()
    expected = users @ items.T / (np.linalg.norm(users, axis=1)[:, None] * longest)
    x, y = augment(users, items)
    np.testing.assert_allclose(cosines(x, y), expected, atol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(y, axis=1), longest)


@pytest.mark.parametrize("augmented", [True, False])
def test_codes_of_a_teacher_estimate_the_angles_between_its_factors(train, teacher, augmented):
    codes = fit(Lsh(n_bits=512, augmented=augmented), train, teacher)
    users, items = balanced(standardised_rows(teacher))
    if augmented:
        users, items = augment(users, items)
    expected = np.arccos(cosines(users, items)) / np.pi
    assert np.abs(shares_apart(codes) - expected).max() < five_deviations(512)


def test_only_augmented_codes_rank_a_long_item_before_a_short_one_of_the_same_direction(train):
    users = np.ones((train.n_users, 2), dtype=np.float32)
    items = np.full((train.n_items, 2), (-1, 0), dtype=np.float32)
    items[0], items[1] = [3, 0], [12, 0]  # mean 0: nothing moves
    taught = Embeddings(users=users, items=items)
    distance = {
        augmented: fit(Lsh(n_bits=256, augmented=augmented), train, taught)
        for augmented in (True, False)
    }
    apart = {which: shares_apart(codes)[0] for which, codes in distance.items()}
    assert apart[True][1] < apart[True][0] < apart[True][2]
    assert apart[False][1] == apart[False][0] < apart[False][2]
