"""Lists of popular items of a window, alone and behind personal ones, and their pages."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_models import in_memory, model_of

from hashrec.index.arrays.seen import SeenItems
from hashrec.index.backends import INDEX_TYPES
from hashrec.index.live.catalogue_view import CatalogueView
from hashrec.index.live.model_overlay import OverlayView
from hashrec.index.model.items import ItemTable
from hashrec.index.model.recent import DAY_S, RecentCounts
from hashrec.index.ranking.recommender import Options, Recommendation, Recommender

# i3 was taken three times in the last day, i1 and i5 twice, i0 once, but ten days ago
TAKEN = [3] * 3 + [1, 5] * 2 + [0]
DAYS = np.array([100] * 7 + [90])
MODEL = replace(
    model_of(n_users=2, n_items=6, n_bits=16, seed=2),
    seen=SeenItems.build(np.array([0, 0]), np.array([1, 2]), 2),
    popularity=np.array([9, 8, 7, 6, 5, 4]),
    recent=RecentCounts.build(np.array(TAKEN), DAYS * DAY_S),
    item_table=ItemTable.build(
        [{"categories": ["even"] if row % 2 == 0 else ["odd"]} for row in range(6)]
    ),
)
RECOMMENDER = Recommender(in_memory(MODEL))
LATELY = Recommender(in_memory(MODEL), fallback_days=7)


def ids(answer: Recommendation) -> str:
    return "".join(item.item_id[1:] for item in answer.items)


def test_items_of_a_window_come_by_their_interactions_and_others_by_popularity():
    answer = RECOMMENDER.popular(6, days=7)
    assert ids(answer) == "315024"
    assert answer.source == "recent_popular"
    assert [item.source for item in answer.items] == ["recent_popular"] * 3 + ["popular"] * 3
    assert [item.score for item in answer.items] == [1, 2 / 3, 2 / 3, 1, 7 / 9, 5 / 9]
    assert ids(RECOMMENDER.popular(6, days=30)) == "315024"
    assert [item.source for item in RECOMMENDER.popular(4, days=30).items][3] == "recent_popular"
    assert ids(RECOMMENDER.popular(2, days=7)) == "31"


def test_without_a_window_the_popular_items_are_those_of_all_times():
    answer = RECOMMENDER.popular(6)
    assert (ids(answer), answer.source) == ("012345", "popular")


def test_a_window_respects_the_user_the_options_and_hidden_items():
    assert ids(RECOMMENDER.popular(6, days=7, user_id="u0")) == "3504"
    even = RECOMMENDER.popular(6, Options(categories=("even",)), days=30)
    assert ids(even) == "024"
    assert [item.source for item in even.items] == ["recent_popular"] + ["category_popular"] * 2
    assert even.items[0].score == 1 / 3, "of the most popular item of the window, of any category"
    assert ids(RECOMMENDER.popular(6, Options(include=("i5", "i4")), days=7)) == "54"
    assert ids(RECOMMENDER.popular(6, Options(exclude=("i3",)), days=7)) == "15024"
    hidden = OverlayView(CatalogueView(MODEL.item_table, hidden=np.array([3, 4])))
    assert ids(RECOMMENDER.popular(6, days=7, overlay=hidden)) == "1502"


def test_a_model_without_times_answers_a_window_by_popularity():
    plain = Recommender(in_memory(replace(MODEL, recent=None)), fallback_days=7)
    for answer in (plain.popular(6, days=7), plain.recommend("nobody", 6)):
        assert (ids(answer), answer.source) == ("012345", "popular")


def test_unknown_users_and_histories_get_the_popular_items_of_the_fallbacks_window():
    answer = LATELY.recommend("nobody", 6)
    assert (ids(answer), answer.source) == ("315024", "recent_popular")
    assert ids(LATELY.recommend_history(["what nobody knows"], k=2)) == "31"
    assert ids(LATELY.popular(6)) == "012345", "who asks for the popular items gets these"
    assert LATELY.recommend("u1", 6).source == "personal"


@pytest.mark.parametrize("kind", sorted(INDEX_TYPES))
@given(
    sizes=st.lists(st.integers(1, 4), min_size=40, max_size=40),
    days=st.none() | st.integers(1, 20),
    user=st.sampled_from(["u0", "u1", "nobody"]),
    taken=st.lists(st.tuples(st.integers(0, 29), st.integers(90, 100)), max_size=40),
)
def test_pages_put_together_are_the_list(kind, sizes, days, user, taken):
    rows, on = np.array(taken, dtype=np.int64).reshape(-1, 2).T
    model = replace(
        model_of(n_users=2, n_items=30, n_bits=16, seed=3),
        recent=RecentCounts.build(rows, on * DAY_S),
    )
    recommender = Recommender(in_memory(model, index_type=kind), fallback_days=days)
    whole = recommender.recommend(user, 30)
    pages, bookmark = list[str](), None
    for k in sizes:
        page = recommender.recommend(user, k, bookmark=bookmark)
        pages += [item.item_id for item in page.items]
        assert [item.rank for item in page.items] == list(
            range(len(pages) - len(page.items) + 1, len(pages) + 1)
        )
        if (bookmark := page.bookmark) is None:
            break
    assert bookmark is None
    assert pages == [item.item_id for item in whole.items]
