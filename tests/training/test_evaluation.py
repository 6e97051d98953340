from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse

from hashrec.index.arrays.codes import BinaryCodes
from hashrec.index.arrays.seen import SeenItems
from hashrec.index.model.recent import DAY_S, RecentCounts
from hashrec.index.ranking.recommender import Recommender
from hashrec.training.judging.evaluation import (
    evaluate_codes,
    evaluate_fold_in,
    evaluate_hash_codes,
    evaluate_popularity,
    evaluate_scores,
)
from hashrec.training.numerics.embeddings import Embeddings
from tests.index.small_models import in_memory, model_of
from tests.training.pairs import interactions_of


class Weights(Embeddings):
    """Users are histories, items the rows of a matrix of item weights."""

    def fold_in(self, histories):
        return histories @ self.items.T


WEIGHTS = np.array([[0, 3, 1, 0], [2, 0, 2, 0], [1, 1, 0, 0], [0, 0, 0, 0]], np.float32)
PAIRS = [(0, 0), (1, 1), (2, 0), (2, 1)]


@pytest.fixture
def train():
    return interactions_of(PAIRS, 3, 4)


@pytest.fixture
def teacher(train):
    return Weights(train.matrix().toarray(), WEIGHTS.T.copy())


def relevant_to(pairs):
    users, items = np.array(pairs).T
    return SeenItems.build(users, items, 3)


def test_training_items_are_left_out_and_ties_go_to_the_lower_row(teacher, train):
    """u0 ranks i1 i2 i3 and u1 ranks i0 i2 i3 (a tie of i0 and i2); u2 has nothing held out."""
    judged = evaluate_scores(teacher, train, relevant_to([(0, 2), (1, 0)]), 2)
    assert judged.n_users == 2
    assert judged.recall == 1
    assert judged.ndcg == pytest.approx((1 / np.log2(3) + 1) / 2)
    assert judged.coverage == 3 / 4


def test_a_list_longer_than_what_is_left_is_no_error(teacher, train):
    judged = evaluate_scores(teacher, train, relevant_to([(2, 3)]), 50)
    assert judged.recall == 1
    assert judged.ndcg == pytest.approx(1 / np.log2(3))


def test_users_folded_in_from_their_training_items_are_judged_as_they_were(teacher, train):
    relevant = relevant_to([(0, 2), (1, 0), (2, 2)])
    known = evaluate_scores(teacher, train, relevant, 2)
    assert evaluate_fold_in(teacher, train.matrix(), relevant, 2, train=train.seen()) == known


def test_history_of_a_new_user_is_left_out_whatever_its_order(teacher, train):
    history = sparse.csr_matrix(
        (np.ones(2, np.float32), np.array([2, 1]), np.array([0, 2])), shape=(1, 4)
    )
    relevant = SeenItems.build(np.array([0]), np.array([0]), 1)
    judged = evaluate_fold_in(teacher, history, relevant, 1, train=train.seen())
    assert (judged.recall, judged.ndcg) == (1, 1)


def test_codes_in_no_artifact_are_ranked_by_distance_and_then_by_row():
    """u0 is at 0 bits from i0, which it has, and at 2, 2, 8 from i1, i2, i3; u1 at 0 from i3."""
    items = BinaryCodes(np.uint8([[0], [3], [24], [255]]))
    users = BinaryCodes(np.uint8([[0], [255], [0]]))
    train, held_out = (
        interactions_of(pairs, 3, 4) for pairs in ([(0, 0), (1, 0)], [(0, 2), (1, 3)])
    )
    judged = evaluate_hash_codes(users, items, train, held_out, 2)
    assert judged.n_users == 2, "nothing is held out of u2"
    assert judged.ndcg == pytest.approx((1 / np.log2(3) + 1) / 2)
    assert judged.coverage == 3 / 4
    assert evaluate_hash_codes(users, items, train, held_out, 1).recall == 0.5
    assert evaluate_hash_codes(users, items, train, held_out, 50).recall == 1


def test_codes_in_no_artifact_are_judged_as_those_of_an_artifact():
    model = model_of(40, 30, 16, seed=1)
    pairs = [(user, int(item)) for user in range(40) for item in model.seen[user]]
    rng = np.random.default_rng(0)
    others = {(int(rng.integers(40)), int(rng.integers(30))) for _ in range(90)} - set(pairs)
    train, held_out = (interactions_of(some, 40, 30) for some in (pairs, others))
    found = evaluate_hash_codes(model.user_codes, model.item_codes, train, held_out, 7)
    assert found == evaluate_codes(Recommender(in_memory(model)), held_out.seen(), 7)


def test_popularity_of_the_last_days_is_a_reference_of_its_own():
    """i3 was taken today, i2 twice a week ago; u0 has i3, so that its lists begin with i2 or i0."""
    rows, days = np.array([3, 2, 2]), np.array([0, 7, 7])
    recent = RecentCounts.build(rows, (100 - days) * DAY_S)
    seen = SeenItems.build(np.array([0, 1, 2]), np.array([3, 0, 0]), 3)
    model = replace(model_of(3, 4, 16, seed=0), seen=seen, recent=recent)
    recommender, relevant = Recommender(in_memory(model)), relevant_to([(0, 2), (1, 3), (2, 1)])
    found = {
        days: evaluate_popularity(recommender, relevant, 1, days=days) for days in (None, 7, 30)
    }
    # the first items of u0, u1, u2: by popularity 0 1 1, of 7 days 0 3 3, of 30 days 2 2 2
    assert {days: judged.recall * 3 for days, judged in found.items()} == {None: 1, 7: 1, 30: 1}
    assert [judged.coverage for judged in found.values()] == [2 / 4, 2 / 4, 1 / 4]
    assert evaluate_popularity(recommender, relevant, 2, days=7).recall * 3 == 2
    assert evaluate_popularity(recommender, relevant, 2, days=30).recall * 3 == 2
