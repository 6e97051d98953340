from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from hashrec.index.arrays.codes import BinaryCodes
from hashrec.index.backends import EXACT_INDEX
from hashrec.index.model.encoder import UserEncoder
from hashrec.training.data.splits import hold_out_users
from hashrec.training.judging.evaluation import evaluate_hash_codes
from hashrec.training.models.parts import refining
from hashrec.training.models.parts.refining import (
    REFINER_PERPLEXITIES,
    cut_weights,
    fit_refiner,
    places_of,
)
from hashrec.training.progress import QuietProgress
from hashrec.training.teachers.ease import Ease
from tests.training.pairs import interactions_of, random_interactions

CPU = torch.device("cpu")


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


def dense(indptr, items, weights):
    W = np.zeros((len(indptr) - 1,) * 2)
    for row in range(len(W)):
        part = slice(indptr[row], indptr[row + 1])
        W[row, items[part]] = weights[part]
    return W


def test_each_row_keeps_its_largest_weights_in_proportion(teacher, monkeypatch):
    monkeypatch.setattr(refining, "_MOST_IN_A_ROW", 7)
    kept = dense(*cut_weights(teacher))
    W = teacher.weights
    least_kept = np.sort(np.abs(W), axis=1)[:, -7][:, None]
    assert np.array_equal(kept != 0, np.abs(W) >= least_kept)
    ratio = kept[kept != 0] / W[kept != 0]
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-3)


def test_large_catalogues_keep_fewer_in_a_row_within_the_bounds(teacher, monkeypatch):
    def kept_in_each_row():
        return set(np.diff(cut_weights(teacher)[0]))

    monkeypatch.setattr(refining, "_IN_ALL", 30 * 5)
    monkeypatch.setattr(refining, "_LEAST_IN_A_ROW", 3)
    assert kept_in_each_row() == {5}
    monkeypatch.setattr(refining, "_LEAST_IN_A_ROW", 9)
    assert kept_in_each_row() == {9}


def test_how_many_rows_are_asked_for_at_once_changes_nothing(teacher, monkeypatch):
    whole = cut_weights(teacher)
    monkeypatch.setattr(refining, "_BLOCK", 1)
    for ours, row_by_row in zip(whole, cut_weights(teacher), strict=True):
        assert np.array_equal(ours, row_by_row)


def test_weights_of_nothing_are_no_obstacle():
    _, items, _ = cut_weights(Weights(np.zeros((5, 5))))
    assert len(items) == 0


def test_an_ease_teacher_is_added_up_as_it_ranks():
    """Uncut, the sums rank as the teacher does."""
    train = random_interactions(40, 25, 0.2, seed=0)
    scorer = Ease(regularization=5).fit(train, seed=0, device=CPU, progress=QuietProgress())
    ours = train.matrix().toarray() @ dense(*cut_weights(scorer))
    theirs = scorer.fold_in(train.matrix())
    correlation = np.corrcoef(ours.ravel(), theirs.ravel())[0, 1]
    assert correlation > 0.9999


@pytest.mark.parametrize("perplexity", REFINER_PERPLEXITIES)
def test_places_fall_with_rank_and_are_spread_over_the_perplexity(perplexity):
    t = places_of(perplexity) / places_of(perplexity).sum()
    assert (np.diff(t) <= 0).all()
    assert np.exp(-(t * np.log(t)).sum()) == pytest.approx(perplexity, rel=1e-3)


@pytest.fixture
def coded():
    """Taste in four groups, and random codes for everything: what they say is not the point."""
    random = np.random.default_rng(3)
    pairs = [
        (user, item)
        for user in range(60)
        for item in range(400)
        if random.random() < (0.3 if user % 4 == item % 4 else 0.02)
    ]
    train = interactions_of(pairs, 60, 400)
    scorer = Ease(regularization=5).fit(train, seed=0, device=CPU, progress=QuietProgress())
    encoder = UserEncoder.quantised(random.normal(size=(400, 32)).astype(np.float32))
    items = BinaryCodes.from_signs(random.choice([-1, 1], size=(400, 32)).astype(np.int8))
    return SimpleNamespace(train=train, teacher=scorer, encoder=encoder, items=items)


def fit(coded, train, progress=None):
    refiner = fit_refiner(
        coded.teacher,
        train,
        coded.encoder,
        coded.items,
        scale=0.1,
        seed=5,
        progress=progress or QuietProgress(),
    )
    refiner.check(coded.train.n_items)
    return refiner


def test_target_is_the_one_that_serves_known_users_best_by_half_of_what_they_have(coded):
    progress = QuietProgress()
    refiner = fit(coded, coded.train, progress)
    split = hold_out_users(coded.train, coded.train.n_users - 1, 5)
    histories, index = split.history.seen(), EXACT_INDEX.build(coded.items)

    def ndcg(perplexity):
        users = dataclasses.replace(refiner, places=places_of(perplexity)).refine(
            coded.encoder.encode(histories),
            histories,
            None,
            item_codes=coded.items,
            index=index,
        )
        return evaluate_hash_codes(users, coded.items, split.history, split.relevant, 50).ndcg

    figures = [ndcg(perplexity) for perplexity in REFINER_PERPLEXITIES]
    assert len(set(figures)) > 1
    assert progress.history["Targets of new users"]["ndcg"] == figures
    assert np.array_equal(refiner.places, places_of(REFINER_PERPLEXITIES[int(np.argmax(figures))]))


def test_same_seed_gives_the_same_refiner(coded):
    first, second = fit(coded, coded.train), fit(coded, coded.train)
    for part in ("indptr", "items", "weights", "places"):
        assert np.array_equal(getattr(first, part), getattr(second, part))


@pytest.mark.parametrize(
    "pairs", [[(0, 1), (1, 2), (2, 3)], [(0, item) for item in range(9)]], ids=["one each", "one"]
)
def test_where_nobody_can_be_judged_the_narrowest_target_is_taken(coded, pairs):
    n_users = max(user for user, _ in pairs) + 1
    refiner = fit(coded, interactions_of(pairs, n_users, 400))
    assert np.array_equal(refiner.places, places_of(REFINER_PERPLEXITIES[0]))
