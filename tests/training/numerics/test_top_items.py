from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashrec.index.arrays.seen import SeenItems
from hashrec.training.numerics.embeddings import Embeddings
from hashrec.training.numerics.top_items import NO_ITEM, top_items, top_of
from tests.training.pairs import interactions_of, random_interactions


def embeddings_of(scores):
    """Return a teacher with these scores: items are unit vectors."""
    scores = np.asarray(scores, dtype=np.float32)
    return Embeddings(scores, np.eye(scores.shape[1], dtype=np.float32))


def ranked_by_sorting(scores, seen, n):
    """Rank by score, then by lower row, with Python's own sort."""
    rows = sorted((i for i in range(len(scores)) if i not in seen), key=lambda i: (-scores[i], i))
    return (rows + [NO_ITEM] * n)[:n]


def test_best_items_outside_training_come_with_their_scores():
    train = interactions_of([(0, 1), (1, 0), (1, 3)], 2, 4)
    rows, scores = top_items(embeddings_of([[1, 9, 3, 2], [7, 5, 6, 8]]), train, 2)
    assert rows.tolist() == [[2, 3], [2, 1]]
    assert scores.tolist() == [[3, 2], [6, 5]]
    assert (rows.dtype, scores.dtype) == (np.int32, np.float32)


def test_ties_go_to_the_lower_row_also_where_the_list_ends():
    train = interactions_of([(0, 0)], 1, 6)
    rows, _ = top_items(embeddings_of([[5, 1, 2, 1, 1, 2]]), train, 3)
    assert rows.tolist() == [[2, 5, 1]]


def test_a_list_longer_than_what_is_left_ends_in_no_item():
    train = interactions_of([(0, 0), (0, 2)], 1, 3)
    rows, scores = top_items(embeddings_of([[1, 2, 3]]), train, 5)
    assert rows.tolist() == [[1, NO_ITEM, NO_ITEM, NO_ITEM, NO_ITEM]]
    assert scores.tolist() == [[2, -np.inf, -np.inf, -np.inf, -np.inf]]


@given(
    scores=st.lists(st.lists(st.integers(-2, 2), min_size=7, max_size=7), min_size=1, max_size=5),
    seen=st.sets(st.tuples(st.integers(0, 4), st.integers(0, 6))),
    n=st.integers(1, 9),
)
def test_lists_are_those_of_a_sort_by_score_then_row(scores, seen, n):
    pairs = sorted(pair for pair in seen if pair[0] < len(scores))
    rows, found = top_items(embeddings_of(scores), interactions_of(pairs, len(scores), 7), n)
    for user, user_scores in enumerate(scores):
        expected = ranked_by_sorting(user_scores, {i for u, i in pairs if u == user}, n)
        assert rows[user].tolist() == expected
        assert [s for s in found[user] if s > -np.inf] == [
            user_scores[i] for i in expected if i != NO_ITEM
        ]


def test_blocks_change_nothing_and_some_rows_may_be_asked_for(rng, monkeypatch):
    train = random_interactions(40, 15, 0.3, seed=2)
    teacher = embeddings_of(rng.normal(size=(40, 15)))
    rows, scores = top_items(teacher, train, 4)
    monkeypatch.setattr("hashrec.training.numerics.top_items._BLOCK", 15 * 7)
    blocked = top_items(teacher, train, 4)
    assert np.array_equal(rows, blocked[0])
    assert np.array_equal(scores, blocked[1])
    asked = np.array([33, 2, 17])
    assert np.array_equal(top_of(teacher.scores, train.seen(), asked, 15, 4)[0], rows[asked])


def test_an_error_in_a_thread_reaches_the_caller():
    def broken(rows):
        raise MemoryError

    seen = SeenItems.build(np.array([], int), np.array([], int), 2)
    with pytest.raises(MemoryError):
        top_of(broken, seen, np.arange(2), 3, 1)
