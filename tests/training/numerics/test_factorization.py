from __future__ import annotations

import numpy as np
import pytest
import torch

from hashrec.training.numerics.embeddings import Embeddings
from hashrec.training.numerics.factorization import factors_of, truncated_svd
from hashrec.training.progress import QuietProgress

CPU = torch.device("cpu")


class Matrix:
    """Scores that are written out, and that remember how many users were asked for at once."""

    def __init__(self, scores):
        self._scores = scores.astype(np.float32)
        self.n_users, self.n_items = scores.shape
        self.most_at_once = 0

    def scores(self, user_rows):
        self.most_at_once = max(self.most_at_once, len(user_rows))
        return self._scores[user_rows]


@pytest.fixture
def matrix(rng):
    """Scores whose singular values are 2^-0, 2^-1, ..."""
    left, _ = np.linalg.qr(rng.normal(size=(40, 15)))
    right, _ = np.linalg.qr(rng.normal(size=(25, 15)))
    return Matrix(left * 2.0 ** -np.arange(15) @ right.T)


def factor(function, scorer, rank, seed=0, **options):
    return function(scorer, rank, seed=seed, device=CPU, progress=QuietProgress(), **options)


def test_a_teacher_that_has_factors_keeps_them_whatever_their_width(rng):
    factors = Embeddings(np.ones((3, 2), np.float32), np.ones((4, 2), np.float32))
    assert factor(factors_of, factors, 1) is factors


def test_factors_are_the_best_of_their_rank(matrix):
    left, singular, right = np.linalg.svd(matrix.scores(np.arange(40)))
    found = factor(factors_of, matrix, 4)
    assert found.dim == 4
    np.testing.assert_allclose(
        found.users @ found.items.T, left[:, :4] * singular[:4] @ right[:4], atol=1e-4
    )


def test_both_sides_have_orthogonal_columns_of_norm_root_singular_value(matrix):
    found = factor(truncated_svd, matrix, 4)
    for side in (found.users, found.items):
        np.testing.assert_allclose(side.T @ side, np.diag([1, 0.5, 0.25, 0.125]), atol=1e-4)


def test_more_rank_than_the_scores_have_gives_them_back(matrix):
    found = factor(truncated_svd, matrix, 500)
    np.testing.assert_allclose(found.users @ found.items.T, matrix.scores(np.arange(40)), atol=1e-5)


def test_scores_are_asked_for_in_blocks_and_blocks_change_nothing(matrix, monkeypatch):
    whole = factor(truncated_svd, matrix, 4)
    monkeypatch.setattr("hashrec.training.numerics.factorization._BLOCK", 25 * 7)
    matrix.most_at_once = 0
    blocked = factor(truncated_svd, matrix, 4)
    assert matrix.most_at_once == 7
    np.testing.assert_allclose(
        blocked.users @ blocked.items.T, whole.users @ whole.items.T, atol=1e-5
    )


def test_as_many_users_as_there_are_to_find_the_subspace_from_change_nothing(matrix):
    everyone, most = (
        factor(truncated_svd, matrix, 4),
        factor(truncated_svd, matrix, 4, most_users=40),
    )
    assert np.array_equal(everyone.users, most.users)
    assert np.array_equal(everyone.items, most.items)


def test_users_beyond_those_that_the_subspace_is_found_from_are_asked_for_once(matrix):
    asked = np.zeros(40, dtype=int)
    scores = matrix.scores

    def counted(user_rows):
        asked[user_rows] += 1
        return scores(user_rows)

    matrix.scores = counted
    factor(truncated_svd, matrix, 4, passes=3, most_users=10)
    assert sorted(asked.tolist()) == [1] * 30 + [4] * 10
    assert asked[0] == asked[-1] == 4, "spread from first to last"


def test_users_that_are_alike_have_the_best_factors_from_half_of_them(rng):
    half = rng.normal(size=(20, 6)) @ rng.normal(size=(6, 25))
    found = factor(truncated_svd, Matrix(np.repeat(half, 2, axis=0)), 4, most_users=20)
    left, singular, right = np.linalg.svd(np.repeat(half, 2, axis=0))
    best = (left[:, :4] * singular[:4]) @ right[:4]
    np.testing.assert_allclose(found.users @ found.items.T, best, atol=1e-3)


def test_the_same_seed_gives_the_same_factors_bit_for_bit(matrix):
    first, second = factor(truncated_svd, matrix, 4), factor(truncated_svd, matrix, 4)
    assert np.array_equal(first.users, second.users)
    assert np.array_equal(first.items, second.items)


def test_scores_of_zero_have_finite_factors():
    found = factor(truncated_svd, Matrix(np.zeros((5, 4))), 2)
    assert not (found.users @ found.items.T).any()
