"""The newest items, and the catalogue in order, against a plain reference."""

from __future__ import annotations

import dataclasses
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from small_models import CATEGORIES, in_memory, model_of

from hashrec.index.live.catalogue import ItemPlace, item_now, items_from
from hashrec.index.live.journal import Entry, Event, ItemChange
from hashrec.index.live.model_overlay import ModelOverlay, OverlayView
from hashrec.index.live.overlay import Overlay
from hashrec.index.model.items import ItemTable
from hashrec.index.ranking.recommendation import Options, Recommendation
from hashrec.index.ranking.recommender import Recommender

N_ITEMS = 12
TIMES = [5, None, 9, 5, 1, None, 9.5, 2, 2, None, 7, 0]
ATTRIBUTES = [
    {
        "title": f"Item {row}",
        "categories": [CATEGORIES[row % 3]],
        **({} if time is None else {"timestamp": time}),
        **({"note": '"timestamp":99'} if row == 1 else {}),
        **({"sub": {"timestamp": 99}} if row == 5 else {}),
        **({"hidden": True} if row == 10 else {}),
    }
    for row, time in enumerate(TIMES)
]
MODEL = dataclasses.replace(
    model_of(n_users=4, n_items=N_ITEMS, n_bits=16, seed=3), item_table=ItemTable.build(ATTRIBUTES)
)
RECOMMENDER = Recommender(in_memory(MODEL))


def view(*records: Event | ItemChange, user: str | None = None) -> OverlayView:
    overlay = Overlay()
    overlay.apply(Entry(position, record) for position, record in enumerate(records, 1))
    return ModelOverlay(overlay, MODEL).view(user)


def ids(answer: Recommendation) -> list[str]:
    return [item.item_id for item in answer.items]


def test_newest_first_then_popular_ones_and_ties_to_the_more_popular():
    answer = RECOMMENDER.latest(12)
    newest = ["i6", "i2", "i0", "i3", "i7", "i8", "i4", "i11"]
    assert ids(answer) == [*newest, "i1", "i5", "i9"]  # i10 is hidden
    assert [item.source for item in answer.items] == ["latest"] * 8 + ["popular"] * 3
    assert answer.source == "latest"
    assert [item.rank for item in answer.items] == list(range(1, 12))
    assert all(0 <= item.score <= 1 and item.hamming is None for item in answer.items)


def test_new_items_are_in_their_place_though_no_model_has_them():
    overlay = view(
        ItemChange("new", {"timestamp": 9, "categories": ["Drama"]}, hidden=None),
        ItemChange("newest", {"timestamp": 100}, hidden=None),
        ItemChange("secret", {"timestamp": 101}, hidden=True),
        ItemChange("i4", {"timestamp": 50}, hidden=None),
        ItemChange("i6", {"title": "no time"}, hidden=None),
    )
    assert ids(RECOMMENDER.latest(5, overlay=overlay)) == ["newest", "i4", "i2", "new", "i0"]
    drama = Options(categories=("Drama",))
    assert "new" in ids(RECOMMENDER.latest(3, drama, overlay=overlay))
    assert "newest" not in ids(RECOMMENDER.latest(12, drama, overlay=overlay))
    without = Options(exclude=("newest",))
    assert ids(RECOMMENDER.latest(2, without, overlay=overlay)) == ["i4", "i2"]


def test_what_a_user_has_seen_or_has_events_about_is_left_out():
    seen = {f"i{row}" for row in MODEL.seen[0].tolist()}
    overlay = view(
        ItemChange("new", {"timestamp": 9}, hidden=None),
        Event("u0", "new", "view", 0, "a"),
        Event("u0", "i6", "view", 0, "b"),
        user="u0",
    )
    found = ids(RECOMMENDER.latest(20, user_id="u0", overlay=overlay))
    assert set(found) == {f"i{row}" for row in range(N_ITEMS)} - seen - {"i6", "i10"}


def test_a_category_without_timestamps_has_its_popular_items():
    overlay = view(*(ItemChange(f"i{r}", {"categories": ["old"]}, hidden=None) for r in (3, 1)))
    answer = RECOMMENDER.latest(5, Options(categories=("old",)), overlay=overlay)
    assert (answer.source, ids(answer)) == ("category_popular", ["i1", "i3"])


CHANGES = st.builds(
    lambda item, attributes, hidden, deleted: (
        ItemChange(item, None, None, deleted=True)
        if deleted
        else ItemChange(item, attributes, hidden)
    ),
    st.sampled_from([*(f"i{row}" for row in range(N_ITEMS)), "x", "y", "z"]),
    st.fixed_dictionaries({"timestamp": st.integers(0, 6)}),
    st.sampled_from([True, False, None]),
    st.booleans(),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(CHANGES, max_size=12), st.integers(1, 15))
def test_lists_equal_a_replay(changes: list[ItemChange], k: int):
    items: dict[str, tuple[Any, bool]] = {
        f"i{row}": (
            {name: value for name, value in attributes.items() if name != "hidden"},
            "hidden" in attributes,
        )
        for row, attributes in enumerate(ATTRIBUTES)
    }
    for change in changes:
        if change.deleted:
            items.pop(change.item_id, None)
        else:
            hidden = items[change.item_id][1] if change.item_id in items else False
            hidden = hidden if change.hidden is None else change.hidden
            items[change.item_id] = (change.attributes, hidden)
    overlay = view(*changes)

    def rank(item_id: str) -> tuple[bool, int, str]:
        row = MODEL.items.row(item_id)
        return row is None, row or 0, item_id

    timed = [
        item_id
        for item_id, (attributes, hidden) in items.items()
        if not hidden and attributes.get("timestamp") is not None
    ]
    timed.sort(key=lambda item_id: (-items[item_id][0]["timestamp"], *rank(item_id)))
    found = [
        item for item in RECOMMENDER.latest(k, overlay=overlay).items if item.source == "latest"
    ]
    assert [item.item_id for item in found] == timed[:k]

    listed: list[str] = []
    place: ItemPlace | None = ItemPlace()
    while place is not None:
        page, place = items_from(MODEL, overlay.catalogue, place, k)
        assert len(page) <= k
        for item in page:
            assert (item.attributes, item.hidden) == items[item.item_id]
            assert item_now(MODEL, overlay.catalogue, item.item_id) == item
        listed += [item.item_id for item in page]
    assert listed == sorted(items, key=rank)
    assert item_now(MODEL, overlay.catalogue, "never") is None
