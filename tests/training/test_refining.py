from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.training.pairs import random_interactions
from training import refining
from training.progress import QuietProgress
from training.refining import fit_refiner
from training.teachers.ease import Ease


class Weights:
    """A teacher of known item weights."""

    def __init__(self, weights):
        self.weights = weights.astype(np.float32)
        self.n_users, self.n_items = 0, len(weights)

    def item_weights(self, item_rows):
        return self.weights[item_rows]

    def fold_in(self, histories):
        return histories @ self.weights

    def scores(self, user_rows):
        raise NotImplementedError


@pytest.fixture
def teacher():
    return Weights(np.random.default_rng(0).normal(size=(30, 30)))


def dense(refiner, n_items):
    W = np.zeros((n_items, n_items))
    for row in range(n_items):
        part = slice(refiner.indptr[row], refiner.indptr[row + 1])
        W[row, refiner.items[part]] = refiner.weights[part]
    return W


def test_each_row_keeps_its_largest_weights_in_proportion(teacher, monkeypatch):
    monkeypatch.setattr(refining, "_MOST_IN_A_ROW", 7)
    refiner = fit_refiner(teacher, length=12, perplexity=4, scale=0.1)
    refiner.check(30)
    kept = dense(refiner, 30)
    W = teacher.weights
    least_kept = np.sort(np.abs(W), axis=1)[:, -7][:, None]
    assert np.array_equal(kept != 0, np.abs(W) >= least_kept)
    ratio = kept[kept != 0] / W[kept != 0]
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-3)


def test_large_catalogues_keep_fewer_in_a_row_within_the_bounds(teacher, monkeypatch):
    monkeypatch.setattr(refining, "_IN_ALL", 30 * 5)
    monkeypatch.setattr(refining, "_LEAST_IN_A_ROW", 3)
    fewer = fit_refiner(teacher, length=12, perplexity=4, scale=0.1)
    assert set(np.diff(fewer.indptr)) == {5}
    monkeypatch.setattr(refining, "_LEAST_IN_A_ROW", 9)
    assert set(np.diff(fit_refiner(teacher, length=12, perplexity=4, scale=0.1).indptr)) == {9}


def test_how_many_rows_are_asked_for_at_once_changes_nothing(teacher, monkeypatch):
    whole = fit_refiner(teacher, length=12, perplexity=4, scale=0.1)
    monkeypatch.setattr(refining, "_BLOCK", 1)
    row_by_row = fit_refiner(teacher, length=12, perplexity=4, scale=0.1)
    for name in ("indptr", "items", "weights", "places"):
        assert np.array_equal(getattr(whole, name), getattr(row_by_row, name))


def test_places_fall_with_rank_and_are_flatter_than_the_targets_of_known_users(teacher):
    refiner = fit_refiner(teacher, length=12, perplexity=4, scale=0.1)
    t = refiner.places / refiner.places.sum()
    assert len(t) == 12
    assert (np.diff(t) < 0).all()
    assert np.exp(-(t * np.log(t)).sum()) == pytest.approx(6, rel=1e-3)


def test_weights_of_nothing_are_no_obstacle():
    refiner = fit_refiner(Weights(np.zeros((5, 5))), length=12, perplexity=4, scale=0.1)
    refiner.check(5)
    assert len(refiner.items) == 0


def test_an_ease_teacher_is_added_up_as_it_ranks():
    """Uncut, the sums rank as the teacher does."""
    train = random_interactions(40, 25, 0.2, seed=0)
    scorer = Ease(regularization=5).fit(
        train, seed=0, device=torch.device("cpu"), progress=QuietProgress()
    )
    W = dense(fit_refiner(scorer, length=12, perplexity=4, scale=0.1), 25)
    X = train.matrix().toarray()
    ours, theirs = X @ W, scorer.fold_in(train.matrix())
    correlation = np.corrcoef(ours.ravel(), theirs.ravel())[0, 1]
    assert correlation > 0.9999
