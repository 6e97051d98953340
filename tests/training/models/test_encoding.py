from __future__ import annotations

import numpy as np
import pytest

from hashrec.index.arrays.codes import BinaryCodes
from hashrec.index.model.encoder import length_scale
from hashrec.training.models.parts.encoding import (
    ITEM_RIDGE,
    RIDGES,
    fit_item_encoder,
    fit_user_encoder,
    solve_columns,
)
from tests.training.pairs import interactions_of, random_interactions


def random_codes(n: int, n_bits: int, seed: int) -> BinaryCodes:
    packed = np.random.default_rng(seed).integers(0, 256, (n, n_bits // 8), dtype=np.uint8)
    return BinaryCodes(packed)


@pytest.fixture(scope="module")
def train():
    return random_interactions(80, 30, 0.2, seed=0)


def least_squares(F: np.ndarray, C: np.ndarray, ridge: float) -> np.ndarray:
    """Ridge regression with a bias that is free but for 0.001, by dense normal equations."""
    F = np.hstack([F, np.ones((len(F), 1))])
    gram = F.T @ F
    penalty = np.full(len(gram), ridge * np.diag(gram)[:-1].mean())
    penalty[-1] = 1e-3
    return np.linalg.solve(gram + np.diag(penalty), F.T @ C)


def relative(weights: np.ndarray) -> np.ndarray:
    """Each bit in units of its largest weight, as an encoder keeps it."""
    return weights[:-1] / np.abs(weights[:-1]).max(axis=0)


@pytest.mark.parametrize("ridge", RIDGES)
def test_the_users_map_is_the_ridge_regression_of_codes_by_histories(train, ridge):
    codes = random_codes(80, 72, seed=1)  # more bits than are solved at once
    X = train.matrix().toarray()
    H = X / length_scale(train.seen().counts())[:, None]
    expected = least_squares(H, codes.to_signs(), ridge)
    encoder = fit_user_encoder(train, codes, ridge)
    assert np.abs(encoder.weights / 127 - relative(expected)).max() < 0.5 / 127 + 0.005
    field = H @ expected[:-1] + expected[-1]
    agree = (encoder.encode(train.seen()).to_signs() > 0) == (field >= 0)
    assert agree[np.abs(field) > 0.05].mean() > 0.995  # what rounding to 8 bits may cost


def test_the_items_map_is_the_ridge_regression_of_codes_by_their_users_codes(train):
    users, items = random_codes(80, 24, seed=1), random_codes(30, 24, seed=2)
    X = train.matrix().toarray()
    F = X.T @ users.to_signs() / np.sqrt(train.popularity())[:, None]
    expected = least_squares(F, items.to_signs(), ITEM_RIDGE)
    encoder = fit_item_encoder(train, users, items)
    assert np.abs(encoder.weights / 127 - relative(expected)).max() < 0.5 / 127 + 1e-6


def noisy_linear_codes(train, n_bits: int, noise: float) -> BinaryCodes:
    rng = np.random.default_rng(5)
    field = train.matrix().toarray() @ rng.normal(size=(train.n_items, n_bits))
    return BinaryCodes.from_signs(field + noise * rng.normal(size=field.shape))


def test_codes_that_are_linear_in_histories_are_found_again_in_users_left_out():
    train = random_interactions(3_000, 40, 0.3, seed=4)
    codes = noisy_linear_codes(train, 16, noise=0)
    encoder = fit_user_encoder(train.where(train.user_rows < 2_700), codes)
    agree = encoder.encode(train.seen()).to_signs() == codes.to_signs()
    assert agree[2_700:].mean() > 0.9  # by chance it would be 0.5


@pytest.mark.parametrize("noise", [0.0, 20.0])
def test_the_penalty_that_suits_users_left_out_is_chosen(noise):
    train = random_interactions(300, 60, 0.2, seed=6)
    codes = noisy_linear_codes(train, 64, noise)
    left_out = np.arange(300) % 10 == 0
    others = train.where(~left_out[train.user_rows])

    def agreement(ridge: float) -> float:
        agree = fit_user_encoder(others, codes, ridge).encode(train.seen()).to_signs()
        return (agree == codes.to_signs())[left_out].mean()

    best = max(RIDGES, key=agreement)
    chosen, expected = fit_user_encoder(train, codes), fit_user_encoder(train, codes, best)
    assert np.array_equal(chosen.weights, expected.weights)
    assert best != RIDGES[0 if noise else -1]


def test_users_and_items_without_an_interaction_are_left_out_of_the_fit():
    pairs = [(0, 0), (0, 1), (1, 1), (2, 0), (2, 1), (2, 2)]
    with_strangers = interactions_of(pairs, n_users=9, n_items=7)
    without = interactions_of(pairs, n_users=3, n_items=3)
    users, items = random_codes(9, 8, seed=1), random_codes(7, 8, seed=2)
    ours = fit_user_encoder(with_strangers, users)
    assert not ours.weights[3:].any()
    other = fit_item_encoder(with_strangers, users, items)
    again = fit_item_encoder(without, users[:3], items[:3])
    assert np.array_equal(other.weights, again.weights)


def test_one_user_is_enough_to_fit_a_map():
    encoder = fit_user_encoder(interactions_of([(0, 1)], 1, 3), random_codes(1, 8, seed=0))
    seen = interactions_of([(0, 1)], 1, 3).seen()
    assert np.array_equal(encoder.encode(seen).packed, random_codes(1, 8, seed=0).packed)


def test_conjugate_gradients_solve_columns_of_any_size_at_once():
    rng = np.random.default_rng(0)
    root = rng.normal(size=(40, 12))
    matrix = (root.T @ root + np.eye(12)).astype(np.float32)
    right = rng.normal(size=(12, 3)).astype(np.float32) * np.float32([1, 1000, 0])
    found = solve_columns(lambda x: matrix @ x, right, np.diag(matrix)[:, None].copy())
    expected = np.linalg.solve(matrix.astype(float), right)
    assert np.abs(found - expected).max(axis=0) == pytest.approx([0, 0, 0], abs=0.2)
    assert np.abs(found - expected)[:, 0].max() < 1e-3 * np.abs(expected[:, 0]).max() * 5
    assert not found[:, 2].any()
