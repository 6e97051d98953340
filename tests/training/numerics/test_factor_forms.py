from __future__ import annotations

import numpy as np
import pytest

from hashrec.training.numerics.embeddings import Embeddings
from hashrec.training.numerics.factor_forms import factors_of_width


@pytest.fixture
def teacher(rng):
    return Embeddings(
        users=rng.normal(size=(30, 6)).astype(np.float32),
        items=rng.normal(size=(20, 6)).astype(np.float32),
    )


def scores(embeddings):
    return embeddings.users @ embeddings.items.T


def test_width_of_the_teacher_is_the_teacher_itself(teacher):
    assert factors_of_width(teacher, 6, seed=0) is teacher


@pytest.mark.parametrize("width", [7, 8, 16, 40])
def test_wider_factors_keep_every_score(teacher, width):
    wide = factors_of_width(teacher, width, seed=0)
    assert wide.dim == width
    np.testing.assert_allclose(scores(wide), scores(teacher), rtol=1e-4, atol=1e-4)


def test_wider_factors_use_every_bit(teacher):
    wide = factors_of_width(teacher, 16, seed=0)
    share = np.square(wide.users).sum(0) / np.square(wide.users).sum()
    assert share.min() > 0.1 / 16


@pytest.mark.parametrize("width", [1, 3, 5])
def test_narrower_factors_are_the_best_of_their_rank(teacher, width):
    narrow = factors_of_width(teacher, width, seed=0)
    assert narrow.dim == width
    left, singular, right = np.linalg.svd(scores(teacher).astype(np.float64))
    best = (left[:, :width] * singular[:width]) @ right[:width]
    np.testing.assert_allclose(scores(narrow), best, rtol=1e-4, atol=1e-4)


def test_fewer_users_than_factors_is_no_obstacle(rng):
    few = Embeddings(
        users=rng.normal(size=(2, 6)).astype(np.float32),
        items=rng.normal(size=(20, 6)).astype(np.float32),
    )
    np.testing.assert_allclose(
        scores(factors_of_width(few, 8, seed=0)), scores(few), rtol=1e-4, atol=1e-4
    )


def test_seed_decides_the_frame(teacher):
    first, again, other = (factors_of_width(teacher, 16, seed=seed) for seed in (0, 0, 1))
    assert np.array_equal(first.users, again.users)
    assert not np.allclose(first.users, other.users)
