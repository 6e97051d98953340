"""Pages: whatever happens in between, none repeats an item and none leaves one out."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_models import CATEGORIES, in_memory, model_of

from hashrec.index.backends import INDEX_TYPES
from hashrec.index.live.catalogue_view import CatalogueView
from hashrec.index.live.model_overlay import OverlayView
from hashrec.index.model.model import Model
from hashrec.index.model.reranker import Reranker
from hashrec.index.ranking.order import Bookmark
from hashrec.index.ranking.recommendation import Options, RecommendedItem
from hashrec.index.ranking.recommender import Recommender


def unchanged(model: Model) -> OverlayView:
    """No events, and the catalogue as the model has it."""
    return OverlayView(CatalogueView.unchanged(model.item_table))


def reranked(model: Model, depth: int, seed: int) -> Model:
    """Give a model a re-ranker that is of another mind than its codes."""
    rng = np.random.default_rng([seed, 7])
    reranker = Reranker(
        items=rng.integers(-9, 9, (len(model.items), 2)).astype(np.int8),
        users=rng.integers(-9, 9, (len(model.users), 2)).astype(np.int8),
        weights=rng.integers(0, 9, len(model.users)).astype(np.int32),
        depth=depth,
    )
    return dataclasses.replace(model, reranker=reranker)


def events(model: Model, seed: int, hidden: float = 0.0) -> OverlayView:
    """Items the user took and refused since, and some that were hidden, all at random."""
    rng = np.random.default_rng(seed)
    mine = np.sort(rng.choice(len(model.items), min(3, len(model.items)), replace=False))
    cut = int(rng.integers(0, len(mine) + 1))
    gone = np.flatnonzero(rng.random(len(model.items)) < hidden)
    return OverlayView(CatalogueView(model.item_table, hidden=gone), mine[:cut], mine[cut:])


def walk(
    recommender: Recommender,
    user_id: str,
    options: Options,
    lengths: list[int],
    overlays: list[OverlayView] | None = None,
) -> list[RecommendedItem]:
    """Ask for page after page, of these lengths in turn, under these overlays in turn."""
    items: list[RecommendedItem] = []
    bookmark: Bookmark | None = None
    for page in range(10_000):
        overlay = overlays[page % len(overlays)] if overlays else None
        answer = recommender.recommend(
            user_id, lengths[page % len(lengths)], options, overlay=overlay, bookmark=bookmark
        )
        items += answer.items
        bookmark = answer.bookmark
        if bookmark is None:
            return items
        assert len(answer.items) == lengths[page % len(lengths)]
    raise AssertionError("a list without an end")


models = st.builds(
    model_of,
    n_users=st.just(3),
    n_items=st.integers(1, 260),
    n_bits=st.sampled_from([8, 16, 72]),
    seed=st.integers(0, 2**32 - 1),
    seen_share=st.sampled_from([0.0, 0.3, 0.9]),
)
lengths = st.lists(st.integers(1, 70), min_size=1, max_size=5)
users = st.sampled_from(["u0", "u2", "nobody"])
options = st.builds(
    Options,
    exclude_seen=st.booleans(),
    exclude=st.lists(st.sampled_from([f"i{row}" for row in range(99)]), max_size=9).map(tuple),
    categories=st.lists(st.sampled_from(CATEGORIES), max_size=2).map(tuple),
    include=st.one_of(st.just(()), st.just(tuple(f"i{row}" for row in range(0, 99, 2)))),
    diversity=st.sampled_from([0.0, 0.0, 0.4, 1.0]),
)
depths = st.sampled_from([None, 1, 5, 40, 500])


@settings(deadline=None, max_examples=60)
@given(models, depths, users, options, lengths, st.sampled_from(sorted(INDEX_TYPES)))
def test_pages_of_any_length_give_every_allowed_item_once(
    model: Model,
    depth: int | None,
    user_id: str,
    options: Options,
    lengths: list[int],
    index_type: str,
) -> None:
    model = model if depth is None else reranked(model, depth, 1)
    recommender = Recommender(in_memory(model, index_type=index_type))
    found = walk(recommender, user_id, options, lengths)
    # The popular list is put together without an index and in one piece: it holds all that may be.
    user_row = model.users.row(user_id)
    allowed = {item.item_id for item in recommender.popular(500, options, user_id=user_id).items}
    assert sorted(item.item_id for item in found) == sorted(allowed)
    assert [item.rank for item in found] == list(range(1, len(found) + 1))
    if user_row is not None and not options.diversity:
        whole = recommender.recommend(user_id, 500, options)
        assert found == list(whole.items)
        assert whole.bookmark is None


@settings(deadline=None, max_examples=60)
@given(
    models,
    depths,
    users,
    options,
    lengths,
    st.sampled_from(sorted(INDEX_TYPES)),
    st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=4),
)
def test_events_and_hidden_items_in_between_neither_repeat_nor_skip_an_item(
    model: Model,
    depth: int | None,
    user_id: str,
    options: Options,
    lengths: list[int],
    index_type: str,
    seeds: list[int],
) -> None:
    model = model if depth is None else reranked(model, depth, 1)
    recommender = Recommender(in_memory(model, index_type=index_type))
    overlays = [unchanged(model), *(events(model, seed, hidden=0.1) for seed in seeds)]
    found = [item.item_id for item in walk(recommender, user_id, options, lengths, overlays)]
    assert len(set(found)) == len(found)
    # What no overlay of the walk leaves out must have been given.
    always = set.intersection(
        *(
            {
                item.item_id
                for item in recommender.popular(
                    500, options, user_id=user_id, overlay=overlay
                ).items
            }
            for overlay in overlays
        )
    )
    assert always <= set(found)


@pytest.mark.parametrize("index_type", sorted(INDEX_TYPES))
def test_a_list_goes_on_by_the_code_it_began_with(index_type: str) -> None:
    model = model_of(n_users=2, n_items=300, n_bits=64, seed=4, seen_share=0)
    recommender = Recommender(in_memory(model, index_type=index_type))
    first = recommender.recommend("u0", 20)
    taken = dataclasses.replace(unchanged(model), positives=np.arange(250, 260))
    assert recommender.recommend("u0", 20, overlay=taken).source == "fold_in"
    second = recommender.recommend("u0", 20, overlay=taken, bookmark=first.bookmark)
    assert second.source == "personal"
    expected = [
        item.item_id
        for item in recommender.recommend("u0", 100).items
        if item.item_id not in {f"i{row}" for row in range(250, 260)} and item not in first.items
    ]
    assert [item.item_id for item in second.items] == expected[:20]


def test_a_history_has_pages_too() -> None:
    model = model_of(n_users=2, n_items=90, n_bits=32, seed=4)
    recommender = Recommender(in_memory(model))
    whole = recommender.recommend_history(["i3", "i8"], ["i4"], 90)
    first = recommender.recommend_history(["i3", "i8"], ["i4"], 30)
    second = recommender.recommend_history(["i3", "i8"], ["i4"], 500, bookmark=first.bookmark)
    assert first.items + second.items == whole.items
    assert second.bookmark is None
    unknown = recommender.recommend_history(["?"], (), 50)
    rest = recommender.recommend_history(["?"], (), 50, bookmark=unknown.bookmark)
    assert [*unknown.items, *rest.items] == list(recommender.popular(90).items)


def test_a_diverse_list_is_the_same_in_pages_as_far_as_its_candidates_go() -> None:
    model = model_of(n_users=2, n_items=400, n_bits=64, seed=4, seen_share=0)
    recommender = Recommender(in_memory(model))
    options = Options(diversity=0.6)
    first = recommender.recommend("u0", 5, options)
    second = recommender.recommend("u0", 7, options, bookmark=first.bookmark)
    nearest = {item.item_id for item in recommender.recommend("u0", 100).items}
    assert {item.item_id for item in first.items + second.items} <= nearest
    assert first.items[0].item_id == recommender.recommend("u0", 1).items[0].item_id
    rest = walk(recommender, "u0", options, [25])[:100]
    assert {item.item_id for item in rest} == nearest


def test_the_last_page_of_an_exact_index_says_that_it_is_the_last() -> None:
    model = model_of(n_users=1, n_items=20, n_bits=32, seed=1, seen_share=0)
    recommender = Recommender(in_memory(model))
    assert recommender.recommend("u0", 20).bookmark is None
    assert recommender.recommend("u0", 19).bookmark is not None
    assert recommender.recommend("nobody", 20).bookmark is None
    assert recommender.recommend("nobody", 19).bookmark is not None
