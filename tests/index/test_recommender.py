"""The ranking path against a plain reference: sort all allowed items by (distance, row)."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_models import CATEGORIES, in_memory, model_of

from hashrec.index.arrays.codes import BinaryCodes
from hashrec.index.arrays.ids import IdMap
from hashrec.index.arrays.seen import SeenItems
from hashrec.index.backends import INDEX_TYPES
from hashrec.index.backends.numpy_exact import NumpyExact
from hashrec.index.errors import ConfigError, UnknownItemError, UnknownUserError
from hashrec.index.live.catalogue_view import CatalogueView
from hashrec.index.live.model_overlay import OverlayView
from hashrec.index.model.items import ItemTable
from hashrec.index.model.model import Model
from hashrec.index.ranking.bulk import rank_popular, rank_users
from hashrec.index.ranking.recommendation import Explanation, OwnItem
from hashrec.index.ranking.recommender import MAX_K, Options, Recommendation, Recommender

EXACT = sorted(name for name, index_type in INDEX_TYPES.items() if index_type.exact)


def hand_made() -> Model:
    """Six items of 8 bits; user `ann` has code 0, so an item's distance is its number of ones."""
    ones = [0b1, 0b11, 0b0, 0b1111, 0b10, 0b111]
    return Model(
        user_codes=BinaryCodes(np.array([[0], [0]], np.uint8)),
        item_codes=BinaryCodes(np.array(ones, np.uint8)[:, None]),
        users=IdMap.build(["ann", "bob"]),
        items=IdMap.build("abcdef"),
        seen=SeenItems.build(np.array([0, 0]), np.array([2, 5]), 2),
        popularity=np.array([8, 4, 4, 2, 1, 0]),
        item_table=ItemTable.build(
            [
                {"title": "A", "categories": ["x"]},
                {"title": "B", "categories": ["x", "y"]},
                {"title": "C", "categories": ["y"]},
                {"title": "D", "categories": ["x", "y"]},
                {"title": "E"},
                {},
            ]
        ),
    )


@pytest.fixture(params=sorted(INDEX_TYPES))
def six(request: pytest.FixtureRequest) -> Recommender:
    return Recommender(in_memory(hand_made(), index_type=request.param))


def ids(answer: Recommendation) -> str:
    return "".join(item.item_id for item in answer.items)


def test_nearest_first_ties_to_the_more_popular_seen_left_out(six: Recommender) -> None:
    answer = six.recommend("ann", 4)
    assert ids(answer) == "aebd"  # a and e are both one bit away; c and f are seen
    assert [item.hamming for item in answer.items] == [1, 1, 2, 4]
    assert [item.score for item in answer.items] == [7 / 8, 7 / 8, 6 / 8, 4 / 8]
    assert [item.rank for item in answer.items] == [1, 2, 3, 4]
    assert {item.source for item in answer.items} == {answer.source} == {"personal"}
    assert answer.model_version == six.version


def test_seen_items_stay_when_asked_for(six: Recommender) -> None:
    assert ids(six.recommend("ann", 6, Options(exclude_seen=False))) == "caebfd"


def test_excluded_items_go_and_unknown_exclusions_are_ignored(six: Recommender) -> None:
    assert ids(six.recommend("ann", 6, Options(exclude=("a", "d", "c", "nothing")))) == "eb"


def test_any_category_or_all_of_them(six: Recommender) -> None:
    both = ("x", "y")
    assert ids(six.recommend("bob", 6, Options(categories=("y",)))) == "cbd"
    assert ids(six.recommend("bob", 6, Options(categories=both))) == "cabd"
    assert ids(six.recommend("bob", 6, Options(categories=both, category_mode="all"))) == "bd"
    assert ids(six.recommend("ann", 6, Options(categories=("y", "y"), category_mode="all"))) == "bd"


@pytest.mark.parametrize("mode", ["any", "all"])
def test_a_category_that_does_not_exist_has_no_items(six: Recommender, mode: str) -> None:
    answer = six.recommend("ann", 3, Options(categories=("nothing",), category_mode=mode))
    assert answer.items == ()
    mixed = six.recommend("bob", 6, Options(categories=("y", "nothing"), category_mode=mode))
    assert ids(mixed) == ("cbd" if mode == "any" else "")


def test_only_included_items_nearest_first_unknown_ones_ignored(six: Recommender) -> None:
    assert ids(six.recommend("ann", 6, Options(include=("d", "b", "d", "c", "nothing")))) == "bd"
    assert ids(six.recommend("ann", 6, Options(include=("nothing",)))) == ""
    assert ids(six.recommend("bob", 6, Options(include=("d", "a"), categories=("y",)))) == "d"
    assert ids(six.recommend("bob", 6, Options(include=("d", "a"), exclude=("a",)))) == "d"
    answer = six.recommend("eve", 6, Options(include=("d", "b")))
    assert (ids(answer), answer.source) == ("bd", "popular")
    assert ids(six.popular(6, Options(include=("d", "b")))) == "bd"


def test_explanations_name_the_users_own_nearest_items(six: Recommender) -> None:
    first, *_ = six.recommend("ann", 1, Options(explain=True)).items
    assert first.item_id == "a"  # 0b1; ann's own are c, 0b0, and f, 0b111
    assert first.explanation == Explanation(7, 8, (OwnItem("c", 2, 7), OwnItem("f", 5, 6)))
    again = six.recommend("ann", 1, Options(explain=True, exclude_seen=False)).items[0]
    assert again.item_id == "c"
    assert again.explanation == Explanation(8, 8, (OwnItem("f", 5, 5),))  # not itself
    assert six.recommend("bob", 1, Options(explain=True)).items[0].explanation == Explanation(
        8, 8, ()
    )
    assert six.recommend("eve", 1, Options(explain=True)).items[0].explanation is None
    assert six.recommend("ann", 1).items[0].explanation is None


@pytest.mark.parametrize("diversity", [-0.1, 1.01, float("nan"), float("inf")])
def test_a_diversity_out_of_range_is_refused(six: Recommender, diversity: float) -> None:
    with pytest.raises(ConfigError, match="diversity must be from 0 to 1"):
        six.recommend("ann", 3, Options(diversity=diversity))


def test_a_diverse_list_keeps_honest_scores(six: Recommender) -> None:
    items = six.recommend("bob", 3, Options(diversity=1)).items
    # d is farthest from c; of the others, all 2 from both in the mean, a comes first
    assert [item.item_id for item in items] == ["c", "d", "a"]
    assert [item.rank for item in items] == [1, 2, 3]
    assert [item.score for item in items] == [1 - item.hamming / 8 for item in items]


def test_unknown_user_gets_popular_items(six: Recommender) -> None:
    answer = six.recommend("eve", 3)
    assert (ids(answer), answer.source) == ("abc", "popular")
    assert [item.score for item in answer.items] == [1, 0.5, 0.5]
    assert [item.hamming for item in answer.items] == [None] * 3


def test_unknown_user_gets_the_popular_items_of_the_category(six: Recommender) -> None:
    answer = six.recommend("eve", 3, Options(categories=("y",), exclude=("b",)))
    assert (ids(answer), answer.source) == ("cd", "category_popular")


def test_unknown_user_is_refused_when_strict(six: Recommender) -> None:
    with pytest.raises(UnknownUserError, match="no user 'eve'"):
        six.recommend("eve", 3, strict=True)
    assert ids(six.recommend("ann", 1, strict=True)) == "a"


def test_popular_hides_what_a_user_has_seen(six: Recommender) -> None:
    assert ids(six.popular(6)) == "abcdef"
    assert ids(six.popular(6, user_id="ann")) == "abde"
    assert ids(six.popular(2, Options(exclude=("a",)), user_id="ann")) == "bd"
    assert ids(six.popular(6, Options(exclude_seen=False), user_id="ann")) == "abcdef"
    assert ids(six.popular(6, user_id="eve")) == "abcdef"


def test_similar_items_leave_out_the_item_itself(six: Recommender) -> None:
    answer = six.similar_items("c", 5)
    assert (ids(answer), answer.source) == ("aebfd", "similar")
    assert ids(six.similar_items("c", 2)) == "ae"


def test_an_unknown_item_has_no_similar_ones(six: Recommender) -> None:
    with pytest.raises(UnknownItemError, match="no item 'z'"):
        six.similar_items("z")


@pytest.mark.parametrize("k", [0, -1, MAX_K + 1, 10**9])
def test_k_out_of_range_is_refused_everywhere(six: Recommender, k: int) -> None:
    for ask in (six.recommend, six.similar_items):
        with pytest.raises(ConfigError, match="k must be from 1 to 500"):
            ask("a", k)
    with pytest.raises(ConfigError, match="k must be"):
        six.popular(k)


def test_titles(six: Recommender) -> None:
    assert [six.title(item_id) for item_id in ("a", "f", "z")] == ["A", None, None]


def test_a_user_who_has_seen_everything_gets_nothing() -> None:
    model = hand_made()
    seen = SeenItems.build(np.zeros(6, int), np.arange(6), 2)
    recommender = Recommender(in_memory(dataclasses.replace(model, seen=seen)))
    assert recommender.recommend("ann", 5).items == ()
    assert recommender.popular(5, user_id="ann").items == ()


@st.composite
def requests(draw: st.DrawFn) -> tuple[str, int, Options]:
    return (
        draw(st.sampled_from([f"u{row}" for row in range(6)] + ["nobody"])),
        draw(st.integers(1, 60)),
        Options(
            exclude_seen=draw(st.booleans()),
            exclude=tuple(draw(st.lists(st.sampled_from([f"i{r}" for r in range(55)])))),
            categories=tuple(draw(st.lists(st.sampled_from([*CATEGORIES, "nothing"]), max_size=3))),
            category_mode=draw(st.sampled_from(["any", "all"])),
            include=tuple(draw(st.lists(st.sampled_from([f"i{r}" for r in range(55)])))),
        ),
    )


models = st.builds(
    model_of,
    n_users=st.just(6),
    n_items=st.integers(1, 50),
    n_bits=st.sampled_from([8, 16, 72]),
    seed=st.integers(0, 2**32 - 1),
    seen_share=st.sampled_from([0.0, 0.2, 0.9]),
)


hidden_rows = st.sets(st.integers(0, 49), max_size=20)


def overlay_of(model: Model, hidden: set[int]) -> OverlayView:
    """The catalogue with some rows hidden."""
    rows = [row for row in sorted(hidden) if row < len(model.items)]
    return OverlayView(CatalogueView(model.item_table, hidden=np.array(rows, dtype=np.int64)))


def allowed_rows(
    model: Model, user_id: str, options: Options, hidden: Collection[int] = ()
) -> list[int]:
    user_row = model.users.row(user_id)
    seen = model.seen[user_row].tolist() if user_row is not None and options.exclude_seen else []
    merge = any if options.category_mode == "any" else all
    return [
        row
        for row in range(len(model.items))
        if row not in seen
        and row not in hidden
        and f"i{row}" not in options.exclude
        and (not options.include or f"i{row}" in options.include)
        and (
            not options.categories
            or merge(name in model.item_table.of(row)["categories"] for name in options.categories)
        )
    ]


@settings(deadline=None, max_examples=150)
@given(models, requests(), hidden_rows, st.sampled_from(EXACT))
def test_recommend_equals_filtering_the_reference(
    model: Model, request: tuple[str, int, Options], hidden: set[int], index_type: str
) -> None:
    user_id, k, options = request
    recommender = Recommender(in_memory(model, index_type=index_type))
    answer = recommender.recommend(user_id, k, options, overlay=overlay_of(model, hidden))
    rows = allowed_rows(model, user_id, options, hidden)
    assert [item.rank for item in answer.items] == list(range(1, len(answer.items) + 1))
    popular = "category_popular" if options.categories else "popular"
    user_row = model.users.row(user_id)
    if user_row is None:
        assert [item.item_id for item in answer.items] == [f"i{row}" for row in rows[:k]]
        assert {item.source for item in answer.items} <= {answer.source} == {popular}
        return
    found = NumpyExact.build(model.item_codes).search(model.user_codes[user_row], len(model.items))
    distances = dict(zip(found.rows[0].tolist(), found.distances[0].tolist(), strict=True))
    rows = [row for row in distances if row in rows]
    assert {item.source for item in answer.items} <= {answer.source} == {"personal"}
    assert [(item.item_id, item.hamming) for item in answer.items] == [
        (f"i{row}", distances[row]) for row in rows[:k]
    ]


@settings(deadline=None, max_examples=100)
@given(models, requests(), hidden_rows, st.sampled_from(sorted(INDEX_TYPES)))
def test_never_a_duplicate_and_k_items_while_the_catalogue_has_k_allowed(
    model: Model, request: tuple[str, int, Options], hidden: set[int], index_type: str
) -> None:
    user_id, k, options = request
    recommender = Recommender(in_memory(model, index_type=index_type))
    overlay = overlay_of(model, hidden)
    diverse = dataclasses.replace(options, diversity=0.7)
    for answer in (
        recommender.recommend(user_id, k, options, overlay=overlay),
        recommender.recommend(user_id, k, diverse, overlay=overlay),
        recommender.popular(k, options, user_id=user_id, overlay=overlay),
    ):
        found = [item.item_id for item in answer.items]
        allowed = {f"i{row}" for row in allowed_rows(model, user_id, options, hidden)}
        assert len(set(found)) == len(found) == min(k, len(allowed))
        assert set(found) <= allowed
        assert [item.rank for item in answer.items] == list(range(1, len(found) + 1))


def test_an_approximate_index_that_finds_too_few_is_topped_up_with_popular_items() -> None:
    model = model_of(n_users=30, n_items=1000, n_bits=32, seed=2, seen_share=0.3)
    recommender = Recommender(in_memory(model, index_type="ivf"))
    shortest = min(
        sum(item.source == "personal" for item in recommender.recommend(user_id, MAX_K).items)
        for user_id in model.users.ids(range(30))
    )
    assert shortest < MAX_K, "no search fell short, so nothing here was tested"
    for user_id in model.users.ids(range(30)):
        items = recommender.recommend(user_id, MAX_K).items
        assert len({item.item_id for item in items}) == MAX_K
        sources = [item.source for item in items]
        assert sources == sorted(sources)  # personal before popular
        distances = [item.hamming for item in items if item.source == "personal"]
        assert distances == sorted(distances)


@pytest.mark.parametrize("exclude_seen", [True, False])
@pytest.mark.parametrize("index_type", sorted(INDEX_TYPES))
def test_ranking_many_users_equals_recommending_to_each(
    index_type: str, exclude_seen: bool
) -> None:
    model = model_of(n_users=600, n_items=90, n_bits=16, seed=5)  # more users than one batch
    recommender = Recommender(in_memory(model, index_type=index_type))
    rows = np.random.default_rng(0).permutation(600)
    rankings = list(rank_users(recommender.artifact, rows, 20, exclude_seen=exclude_seen))
    assert len(rankings) == 600
    for row, ranking in zip(rows.tolist(), rankings, strict=True):
        items = recommender.recommend(f"u{row}", 20, Options(exclude_seen=exclude_seen)).items
        assert [f"i{r}" for r in ranking.rows.tolist()] == [item.item_id for item in items]
        assert ranking.hamming.tolist() == [item.hamming for item in items]


def test_ranking_goes_beyond_the_limit_of_the_service() -> None:
    model = model_of(n_users=2, n_items=700, n_bits=64, seed=5, seen_share=0)
    ranking = next(rank_users(in_memory(model), np.array([1]), 650))
    assert len(set(ranking.rows.tolist())) == 650


def test_the_popular_reference_ranks_rows_in_order_without_the_seen() -> None:
    recommender = Recommender(in_memory(hand_made()))
    ranked = rank_popular(recommender.artifact, np.array([1, 0]), 4)
    assert [rows.tolist() for rows in ranked] == [[0, 1, 2, 3], [0, 1, 3, 4]]
    everything = next(rank_popular(recommender.artifact, np.array([0]), 4, exclude_seen=False))
    assert everything.tolist() == [0, 1, 2, 3]


def test_requests_for_more_categories_than_are_kept_still_answer_right() -> None:
    model = dataclasses.replace(
        model_of(n_users=1, n_items=200, n_bits=16, seed=1),
        item_table=ItemTable.build([{"categories": [f"c{row % 100}"]} for row in range(200)]),
    )
    recommender = Recommender(in_memory(model))
    for _ in range(2):
        for category in range(100):
            options = Options(categories=(f"c{category}",), exclude_seen=False)
            items = recommender.recommend("u0", 5, options).items
            assert {item.item_id for item in items} == {f"i{category}", f"i{category + 100}"}
