"""Recommendations for a history of items, by someone the model does not know."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_models import CATEGORIES, in_memory, model_of

from hashrec.index.arrays.seen import RowLists
from hashrec.index.backends import INDEX_TYPES
from hashrec.index.errors import ConfigError, UnknownHistoryError
from hashrec.index.model.model import Model
from hashrec.index.ranking.bulk import rank_histories
from hashrec.index.ranking.recommender import MAX_K, Options, Recommendation, Recommender

EXACT = sorted(name for name, index_type in INDEX_TYPES.items() if index_type.exact)
MODEL = model_of(n_users=20, n_items=40, n_bits=32, seed=3)
RECOMMENDERS = {kind: Recommender(in_memory(MODEL, index_type=kind)) for kind in INDEX_TYPES}


def ids(answer: Recommendation) -> list[str]:
    return [item.item_id for item in answer.items]


def one(rows: list[int]) -> RowLists:
    return RowLists.build(np.zeros(len(rows), np.int64), np.array(rows, np.int64), 1)


def reference(model: Model, positive: list[int], negative: list[int]) -> list[str]:
    """Every item but those of the history, by distance from the history's code, then by row."""
    assert model.encoder is not None
    code = model.encoder.users.encode(one(positive), one(negative))
    distance = code.hamming(model.item_codes)[0].tolist()
    allowed = sorted(set(range(len(model.items))) - {*positive, *negative})
    return [f"i{row}" for row in sorted(allowed, key=lambda row: (distance[row], row))]


HISTORIES = st.permutations(range(40)).flatmap(
    lambda rows: st.tuples(st.integers(1, 12), st.integers(0, 8)).map(
        lambda sizes: (rows[: sizes[0]], rows[sizes[0] : sum(sizes)])
    )
)


@settings(max_examples=60, deadline=None)
@given(HISTORIES, st.sampled_from(EXACT), st.integers(1, 40))
def test_a_history_is_ranked_by_the_distance_from_its_code(
    history: tuple[list[int], list[int]], kind: str, k: int
) -> None:
    positive, negative = history
    answer = RECOMMENDERS[kind].recommend_history(
        [f"i{row}" for row in positive], [f"i{row}" for row in negative], k
    )
    assert ids(answer) == reference(MODEL, positive, negative)[:k]
    assert {item.source for item in answer.items} <= {answer.source} == {"fold_in"}
    assert answer.n_unknown == 0
    assert [item.rank for item in answer.items] == list(range(1, len(answer.items) + 1))


@settings(max_examples=30, deadline=None)
@given(st.lists(HISTORIES, min_size=1, max_size=8), st.sampled_from(sorted(INDEX_TYPES)))
def test_a_batch_is_ranked_as_the_service_ranks_each(
    histories: list[tuple[list[int], list[int]]], kind: str
) -> None:
    recommender = RECOMMENDERS[kind]
    lists = [
        RowLists.build(
            np.repeat(np.arange(len(histories)), [len(pair[side]) for pair in histories]),
            np.array([row for pair in histories for row in pair[side]], np.int64),
            len(histories),
        )
        for side in (0, 1)
    ]
    for (positive, negative), rows in zip(
        histories, rank_histories(recommender.artifact, lists[0], lists[1], 10), strict=True
    ):
        alone = recommender.recommend_history(
            [f"i{row}" for row in positive], [f"i{row}" for row in negative], 10
        )
        found = [item.item_id for item in alone.items if item.source == "fold_in"]
        assert [f"i{row}" for row in rows] == found


def test_a_batch_may_have_no_negatives_and_histories_of_nothing() -> None:
    positives = RowLists.build(np.array([0, 0]), np.array([4, 7]), 2)
    first, nothing = rank_histories(RECOMMENDERS["flat"].artifact, positives, None, 5)
    assert [f"i{row}" for row in first] == reference(MODEL, [4, 7], [])[:5]
    assert nothing.tolist() == [0, 1, 2, 3, 4]


def test_order_and_repetition_of_ids_do_not_matter() -> None:
    recommender = RECOMMENDERS["flat"]
    assert recommender.recommend_history(["i3", "i9"], ["i5", "i1"]) == (
        recommender.recommend_history(["i9", "i3", "i9"], ["i1", "i5", "i5"])
    )


def test_unknown_ids_are_counted_and_otherwise_ignored() -> None:
    recommender = RECOMMENDERS["flat"]
    known = recommender.recommend_history(["i3"], ["i5"])
    some = recommender.recommend_history(["i3", "gone", "gone"], ["i5", "new", "lost"])
    assert some == dataclasses.replace(known, n_unknown=3)


@pytest.mark.parametrize("positive", [[], ["gone"]])
def test_a_history_of_nothing_known_gets_popular_items_but_not_refused_ones(
    positive: list[str],
) -> None:
    recommender = RECOMMENDERS["flat"]
    answer = recommender.recommend_history(positive, ["i0", "i2"], 3)
    assert (answer.source, ids(answer)) == ("popular", ["i1", "i3", "i4"])
    assert answer.n_unknown == len(positive)
    with pytest.raises(UnknownHistoryError):
        recommender.recommend_history(positive, ["i0"], strict=True)


def test_a_history_of_nothing_known_gets_popular_items_of_the_categories_asked_for() -> None:
    options = Options(categories=(CATEGORIES[0],))
    answer = RECOMMENDERS["flat"].recommend_history(["gone"], k=4, options=options)
    assert answer.source == "category_popular"
    assert ids(answer) == ids(RECOMMENDERS["flat"].popular(4, options))


def test_positive_items_stay_when_asked_for_and_negative_ones_never_do() -> None:
    options = Options(exclude_seen=False)
    everything = RECOMMENDERS["flat"].recommend_history(["i3", "i9"], ["i5"], 40, options)
    assert sorted(ids(everything)) == sorted(f"i{row}" for row in range(40) if row != 5)


def test_exclusions_and_categories_hold_for_histories_too() -> None:
    recommender = RECOMMENDERS["flat"]
    members = MODEL.item_table.category_items[MODEL.item_table.category_rows([CATEGORIES[1]])[0]]
    wanted = [f"i{row}" for row in members if row not in (3, 9)]
    answer = recommender.recommend_history(
        ["i3"], k=40, options=Options(exclude=("i9", "gone"), categories=(CATEGORIES[1],))
    )
    assert sorted(ids(answer)) == sorted(wanted)


def test_an_approximate_index_is_filled_up_with_popular_items() -> None:
    answer = RECOMMENDERS["ivf"].recommend_history(["i3"], ["i5"], 38)
    assert sorted(ids(answer)) == sorted(f"i{row}" for row in range(40) if row not in (3, 5))


def test_an_item_cannot_be_both_liked_and_refused() -> None:
    with pytest.raises(ConfigError, match="'i3' is both positive and negative"):
        RECOMMENDERS["flat"].recommend_history(["i3", "i4"], ["i3"])


@pytest.mark.parametrize("k", [0, MAX_K + 1])
def test_a_length_out_of_range_is_refused(k: int) -> None:
    with pytest.raises(ConfigError, match="k must be from 1 to 500"):
        RECOMMENDERS["flat"].recommend_history(["i3"], k=k)
