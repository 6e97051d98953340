"""The overlay against a plain replay of the same entries, and by hand."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_models import CATEGORIES, in_memory, model_of

from hashrec.index.live.catalogue_view import ItemNow
from hashrec.index.live.journal import Entry, Event, ItemChange, Record
from hashrec.index.live.model_overlay import ModelOverlay
from hashrec.index.live.overlay import ItemState, Overlay, UserEvents
from hashrec.index.model.model import Model
from hashrec.index.ranking.recommender import Options, Recommender

MODEL = model_of(n_users=6, n_items=12, n_bits=16, seed=1)


def event(user: str, item: str, kind: str = "click") -> Event:
    return Event(user, item, kind, 0.0, f"{user}-{item}-{kind}")


def change(item: str, **what: object) -> ItemChange:
    return ItemChange(item, **{"attributes": None, "hidden": None, **what})  # type: ignore[arg-type]


def entries(*records: Record, start: int = 1) -> list[Entry]:
    return [Entry(position, record) for position, record in enumerate(records, start)]


def overlay_of(*records: Record) -> Overlay:
    overlay = Overlay()
    overlay.apply(entries(*records))
    return overlay


def test_the_latest_event_about_an_item_decides():
    overlay = overlay_of(
        event("u", "a"), event("u", "b", "dislike"), event("u", "a", "skip"), event("u", "b")
    )
    assert overlay.user_events("u") == UserEvents(positives=("b",), negatives=("a",))
    assert overlay.user_events("nobody") == UserEvents()
    assert overlay.user_position("u") == 4


def test_events_up_to_a_position_are_left_out():
    overlay = overlay_of(event("u", "a"), event("v", "a"), event("u", "b"))
    assert overlay.user_events("u", 1) == UserEvents(positives=("b",))
    assert (overlay.user_position("u", 2), overlay.user_position("u", 3)) == (3, 0)
    assert overlay.user_events("u", 3) == UserEvents()
    assert overlay.user_position("v", 2) == 0


def test_which_types_say_no_can_be_chosen():
    overlay = Overlay(negative_types=("return",))
    overlay.apply(entries(event("u", "a", "return"), event("u", "b", "dislike")))
    assert overlay.user_events("u") == UserEvents(positives=("b",), negatives=("a",))


def test_entries_that_come_twice_change_nothing():
    overlay = overlay_of(event("u", "a"), event("u", "a", "skip"))
    overlay.apply(entries(event("u", "a"), event("u", "a", "skip")))
    assert overlay.user_events("u") == UserEvents(negatives=("a",))
    assert overlay.position == 2


def test_what_every_model_has_learned_is_forgotten_and_changes_of_items_are_not():
    overlay = overlay_of(change("a", hidden=True), event("u", "a"), event("v", "b"))
    overlay.forget(2)
    assert (overlay.user_position("u"), overlay.user_position("v")) == (0, 3)
    assert overlay.item("a") == ItemState(1, hidden=True)
    overlay.forget(3)
    assert (overlay.user_position("v"), overlay.floor, overlay.position) == (0, 3, 3)


def test_what_a_user_refused_stays_known_after_a_model_learned_until_the_user_takes_it():
    records = [event("u1", "i1", "dislike"), event("u1", "i2"), event("u2", "i3", "skip")]
    forgotten, later = overlay_of(*records), Overlay(floor=3)
    forgotten.forget(3)
    later.apply(entries(*records))
    for overlay in (forgotten, later):
        assert overlay.user_ids() == []
        assert (overlay.refused("u1", 3), overlay.refused("u1", 0)) == (["i1"], [])
        view = bound(overlay, after=3).view("u1")
        assert (view.has_events, view.refused.tolist()) == (False, [MODEL.items.row("i1")])
        assert bound(overlay, after=3).stamp("u1") == (1, 0)
        overlay.apply(entries(event("u1", "i4"), start=4))
        view = bound(overlay, after=3).view("u1")
        assert (view.has_events, view.negatives.tolist()) == (True, view.refused.tolist())
        overlay.apply(entries(event("u1", "i1"), start=5))
        assert overlay.refused("u1", 5) == []
        assert len(bound(overlay, after=3).view("u1").negatives) == 0


def test_an_answer_without_what_was_refused_has_another_stamp_than_one_of_who_knows_nothing():
    overlay = overlay_of(
        event("u", "i1", "dislike"), event("u", "i2", "skip"), event("u", "i3"), event("v", "i1")
    )
    assert bound(overlay, after=4).stamp("u") == (2, 0)
    assert bound(overlay, after=4).stamp("v") is None
    assert bound(overlay, after=2).stamp("u") == (3, 0)


def test_a_recommender_leaves_out_what_was_refused_before_the_model_learned():
    overlay = overlay_of(event("u1", "i1", "dislike"))
    view = bound(overlay, after=1).view("u1")
    recommender = Recommender(in_memory(MODEL))
    options = Options(exclude_seen=False)
    with_it = recommender.recommend("u1", 12, options)
    without = recommender.recommend("u1", 12, options, overlay=view)
    assert without.source == "personal"
    assert [item.item_id for item in without.items] == [
        item.item_id for item in with_it.items if item.item_id != "i1"
    ]


def test_events_below_the_floor_are_not_taken_in_but_changes_of_items_are():
    overlay = Overlay(floor=2)
    overlay.apply(entries(event("u", "a"), change("a", hidden=True), event("u", "b")))
    assert overlay.user_events("u") == UserEvents(positives=("b",))
    assert overlay.item("a") == ItemState(2, hidden=True)


def test_attributes_are_replaced_as_a_whole_and_what_a_change_does_not_say_stays():
    overlay = overlay_of(
        change("a", attributes={"title": "A", "year": 1}, hidden=True),
        change("a", attributes={"title": "B"}),
    )
    assert overlay.item("a") == ItemState(2, {"title": "B"}, hidden=True)
    overlay.apply(entries(change("a", hidden=False), start=3))
    assert overlay.item("a") == ItemState(3, {"title": "B"}, hidden=False)


def test_a_deleted_item_is_gone_until_it_gets_attributes_and_then_is_new():
    overlay = overlay_of(change("a", attributes={"title": "A"}, hidden=True))
    overlay.apply(entries(change("a", deleted=True), start=2))
    assert overlay.item("a") == ItemState(2, deleted=True)
    overlay.apply(entries(change("a", hidden=False), start=3))
    assert overlay.item("a") == ItemState(3, hidden=False, deleted=True)
    overlay.apply(entries(change("a", attributes={}), start=4))
    assert overlay.item("a") == ItemState(4, {}, hidden=False)


def test_changed_items_come_latest_first_from_a_position_on():
    overlay = overlay_of(change("a", hidden=True), event("u", "a"), change("b", hidden=True))
    overlay.apply(entries(change("a", hidden=False), start=4))
    assert list(overlay.changed_items()) == ["a", "b"]
    assert list(overlay.changed_items(3)) == ["a"]
    assert overlay.changed_items(4) == {}
    assert overlay.catalogue_position == 4


def test_memory_is_what_the_docstring_says():
    tracemalloc.start()
    overlay = Overlay()
    try:
        overlay.apply(
            Entry(n + 1, event(f"user-{n % 100}", f"item-{n // 100}")) for n in range(100_000)
        )
        bytes_an_event = tracemalloc.get_traced_memory()[0] / 100_000
    finally:
        tracemalloc.stop()
    assert bytes_an_event < 160
    assert len(overlay.user_events("user-7")) == 1000


# --- bound to a model ---------------------------------------------------------------------------


def bound(overlay: Overlay, after: int = 0, model: Model = MODEL) -> ModelOverlay:
    return ModelOverlay(overlay, model, after=after)


def test_nothing_in_the_journal_is_no_stamp_and_events_of_others_are_none_either():
    overlay = Overlay()
    view = bound(overlay)
    assert view.stamp("u1") is None
    overlay.apply(entries(event("u2", "i1")))
    assert (view.stamp("u1"), view.stamp()) == (None, None)
    assert view.stamp("u2") == (1, 0)
    overlay.apply(entries(change("i3", hidden=True), start=2))
    assert (view.stamp("u1"), view.stamp("u2"), view.stamp()) == ((0, 2), (1, 2), (0, 2))


def test_a_model_that_learned_from_events_has_no_stamp_for_them():
    overlay = overlay_of(event("u1", "i1"), event("u1", "i2"))
    assert bound(overlay, after=2).stamp("u1") is None
    assert bound(overlay, after=1).view("u1").positives.tolist() == [2]


def test_events_are_ascending_rows_without_items_that_the_model_does_not_have():
    overlay = overlay_of(
        *(event("u", item) for item in ("i7", "new", "i2")), event("u", "i5", "skip")
    )
    view = bound(overlay).view("u")
    assert (view.positives.tolist(), view.negatives.tolist()) == ([2, 7], [5])


def test_hidden_and_deleted_rows_appear_and_go_as_they_change():
    overlay = overlay_of(
        change("i7", hidden=True), change("i2", deleted=True), change("x", hidden=True)
    )
    view = bound(overlay)
    first = view.catalogue()
    assert first.hidden.tolist() == [2, 7]
    overlay.apply(entries(change("i7", hidden=False), change("i0", hidden=True), start=4))
    assert view.catalogue().hidden.tolist() == [0, 2]
    assert first.hidden.tolist() == [2, 7], "a view changed under a ranking"
    assert view.catalogue() is view.catalogue()


def test_items_that_the_model_does_not_have_are_added_until_they_are_deleted():
    overlay = overlay_of(change("new", attributes={"title": "N"}), change("gone", hidden=True))
    view = bound(overlay)
    assert view.catalogue().added == {"new": ItemNow("new", {"title": "N"}, hidden=False)}
    overlay.apply(entries(change("new", hidden=True), start=3))
    assert view.catalogue().added == {"new": ItemNow("new", {"title": "N"}, hidden=True)}
    overlay.apply(entries(change("new", deleted=True), start=4))
    assert view.catalogue().added == {}


ITEMS = st.sampled_from([f"i{row}" for row in range(12)] + ["new"])
NAMES = st.lists(st.sampled_from([*CATEGORIES, "Fresh"]), max_size=3, unique=True)
CHANGES = st.one_of(
    st.builds(lambda item, hidden: change(item, hidden=hidden), ITEMS, st.booleans()),
    st.builds(lambda item: change(item, deleted=True), ITEMS),
    st.builds(
        lambda item, names, hidden: change(item, attributes={"categories": names}, hidden=hidden),
        ITEMS,
        NAMES,
        st.sampled_from([True, False, None]),
    ),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(CHANGES, max_size=25), st.sets(st.integers(0, 25)))
def test_the_catalogue_is_what_a_replay_gives_however_often_it_is_looked_at(
    changes: list[ItemChange], looks: set[int]
):
    overlay = Overlay()
    view = bound(overlay)
    names = {f"i{row}": set(MODEL.item_table.of(row)["categories"]) for row in range(12)}
    state = dict.fromkeys(names, (False, False))  # hidden, deleted
    for position, one in enumerate(changes, 1):
        overlay.apply([Entry(position, one)])
        hidden, deleted = state.get(one.item_id, (False, True))
        if one.deleted:
            state[one.item_id] = (False, True)
        elif one.attributes is None:
            state[one.item_id] = (hidden if one.hidden is None else one.hidden, deleted)
        else:
            names[one.item_id] = set(one.attributes["categories"])
            kept = False if deleted else hidden
            state[one.item_id] = (kept if one.hidden is None else one.hidden, False)
        if position in looks:
            view.catalogue()
    catalogue = view.catalogue()
    rows = [row for row in range(12) if any(state[f"i{row}"])]
    assert catalogue.hidden.tolist() == rows
    for name in (*CATEGORIES, "Fresh"):
        members = [row for row in range(12) if name in names[f"i{row}"] and row not in rows]
        row = MODEL.item_table.categories.row(name)
        found = (
            catalogue.members[name].rows
            if name in catalogue.members
            else MODEL.item_table.category_items[row]
            if row is not None
            else np.empty(0)
        )
        assert [row for row in found.tolist() if row not in rows] == members, name
    for row in set(catalogue.changed).difference(rows):
        assert set(catalogue.changed[row]["categories"]) == names[f"i{row}"]
    for item_id, item in catalogue.added.items():
        assert set(item.attributes["categories"]) == names[item_id]


@pytest.mark.parametrize("hidden", [None, False])
def test_an_item_that_the_model_hides_is_shown_only_if_a_change_says_so(hidden: bool | None):
    table = MODEL.item_table.build([{"hidden": row == 3} for row in range(12)])
    model = Model(**{**vars(MODEL), "item_table": table})
    overlay = Overlay()
    view = bound(overlay, model=model)
    assert view.catalogue().hidden.tolist() == [3]
    overlay.apply(entries(change("i3", attributes={"title": "A"}, hidden=hidden)))
    assert view.catalogue().hidden.tolist() == ([3] if hidden is None else [])
