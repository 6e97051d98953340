"""Counts of events in a window of time, beside what a model learned."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_models import model_of

from hashrec.index.live import recent_events
from hashrec.index.live.journal import Entry, Event
from hashrec.index.live.model_overlay import COUNTED_WINDOWS, RECOUNT_S, ModelOverlay
from hashrec.index.live.overlay import Overlay
from hashrec.index.live.recent_events import RecentEvents
from hashrec.index.model.model import Model
from hashrec.index.model.recent import DAY_S, RecentCounts
from hashrec.index.strength import NEGATIVE_TYPES

MODEL = model_of(n_users=6, n_items=5, n_bits=16, seed=1)
LEARNED = replace(
    MODEL,  # until day 100: i4 twice on the last day, i3 once on the day before
    recent=RecentCounts.build(
        np.array([4, 4, 3]), np.array([100, 100, 99]) * DAY_S - DAY_S // 2, 100 * DAY_S
    ),
)
LATER = 1000.0 * DAY_S  # now


def took(user: str, item: str, day: float, kind: str = "click") -> Event:
    return Event(user, item, kind, day * DAY_S, f"{user} {item} {day} {kind}")


def overlay_of(*events: Event) -> Overlay:
    overlay = Overlay()
    overlay.apply(Entry(position, event) for position, event in enumerate(events, 1))
    return overlay


def counted(overlay: Overlay, n_days: int, model: Model = MODEL, **options: float) -> dict:
    found = ModelOverlay(overlay, model, after=int(options.get("after", 0))).recent(
        n_days, options.get("now", LATER)
    )
    return dict(zip(model.items.ids(found.rows), found.counts.tolist(), strict=True))


def test_events_are_counted_in_the_days_before_the_newest():
    overlay = overlay_of(
        took("u", "i1", 10), took("v", "i1", 16.9), took("u", "i2", 12), took("u", "i0", 16.9)
    )
    assert counted(overlay, 1) == {"i0": 1, "i1": 1}
    assert counted(overlay, 6) == {"i0": 1, "i1": 1, "i2": 1}
    assert counted(overlay, 7) == {"i1": 2, "i0": 1, "i2": 1}


def test_a_pair_counts_once_by_its_last_event_and_not_if_that_said_no():
    overlay = overlay_of(
        took("u", "i1", 1), took("u", "i1", 9), took("u", "i2", 9), took("u", "i2", 9, "dislike")
    )
    assert counted(overlay, 1) == {"i1": 1}
    assert counted(overlay, 90) == {"i1": 1}


def test_items_that_the_model_does_not_have_count_for_nothing():
    assert counted(overlay_of(took("u", "new", 1), took("u", "i2", 1)), 7) == {"i2": 1}


def test_events_that_claim_to_come_from_the_future_wait_until_then():
    overlay = overlay_of(took("u", "i1", 10), took("u", "i2", 3000))
    assert counted(overlay, 7, now=11.0 * DAY_S) == {"i1": 1}
    assert counted(overlay, 7, now=3001.0 * DAY_S) == {"i2": 1}


def test_events_before_what_the_model_learned_are_not_counted_again():
    overlay = overlay_of(took("u", "i1", 10), took("u", "i2", 10))
    assert counted(overlay, 7, after=1) == {"i2": 1}
    overlay.forget(1)
    assert counted(overlay, 7) == {"i2": 1}
    assert len(overlay.recent) == 1


def test_what_the_model_learned_and_the_events_since_are_added_up():
    overlay = overlay_of(took("u", "i3", 100.25), took("u", "i0", 90))
    # the window of one day ends at day 100.25: the greater part of the last learned day is in it
    assert counted(overlay, 1, LEARNED) == {"i4": 2, "i3": 1}
    assert counted(overlay, 2, LEARNED) == {"i3": 2, "i4": 2}
    assert counted(overlay, 30, LEARNED) == {"i3": 2, "i4": 2, "i0": 1}


def test_learned_days_leave_the_window_as_events_go_on():
    assert counted(overlay_of(took("u", "i0", 100.6)), 1, LEARNED) == {"i0": 1}
    assert counted(overlay_of(took("u", "i0", 500)), 90, LEARNED) == {"i0": 1}


def test_old_events_do_not_move_the_window_of_what_was_learned_later():
    assert counted(overlay_of(took("u", "i0", 50)), 7, LEARNED) == {"i4": 2, "i3": 1}


def test_without_times_and_events_nothing_is_counted():
    assert counted(Overlay(), 7) == {}


def test_a_window_is_counted_anew_some_seconds_after_an_event():
    overlay = overlay_of(took("u", "i1", 10))
    bound = ModelOverlay(overlay, MODEL)
    first = bound.recent(7, LATER)
    assert bound.recent(7, LATER + 3600) is first, "nothing happened"
    overlay.apply([Entry(2, took("v", "i2", 10))])
    second = bound.recent(7, LATER + 3600)
    assert second.stamp[0] == 2
    overlay.apply([Entry(3, took("w", "i2", 10))])
    assert bound.recent(7, LATER + 3600 + RECOUNT_S - 0.1) is second
    third = bound.recent(7, LATER + 3600 + RECOUNT_S)
    assert (third.counts.tolist(), third.stamp[0]) == ([2, 1], 3)


def test_few_windows_are_kept():
    bound = ModelOverlay(overlay_of(took("u", "i1", 10)), MODEL)
    first = bound.recent(1, LATER)
    for days in range(2, COUNTED_WINDOWS + 1):
        bound.recent(days, LATER)
    assert bound.recent(1, LATER) is first
    for days in range(2, COUNTED_WINDOWS + 2):
        bound.recent(days, LATER)
    assert bound.recent(1, LATER) is not first


@given(
    st.lists(
        st.tuples(
            st.sampled_from("uvw"),
            st.integers(0, 4),
            st.integers(0, 20),
            st.sampled_from(["click", "dislike"]),
        ),
        max_size=40,
    ),
    st.integers(0, 40),
    st.integers(1, 20),
)
def test_counts_are_those_of_a_plain_replay(told, forgotten, n_days):
    events = [took(user, f"i{item}", day, kind) for user, item, day, kind in told]
    few, recent_events._FEW = recent_events._FEW, 4  # so that dropped events are removed
    try:
        overlay = overlay_of(*events)
    finally:
        recent_events._FEW = few
    overlay.forget(forgotten)
    last = {(event.user_id, event.item_id): at for at, event in enumerate(events, 1)}
    left = [
        events[at - 1]
        for at in last.values()
        if at > forgotten and events[at - 1].type not in NEGATIVE_TYPES
    ]
    newest = max((event.timestamp for event in left), default=0)
    expected: dict[str, int] = {}
    for event in left:
        if event.timestamp > newest - n_days * DAY_S:
            expected[event.item_id] = expected.get(event.item_id, 0) + 1
    assert counted(overlay, n_days) == expected
    assert len(overlay.recent) == len(left)


def test_repeated_events_take_no_more_memory_than_the_pairs():
    events = RecentEvents()
    for position in range(1, 100_001):
        events.add(position, 0.0, "item")
        events.drop(position)
    assert len(events) == 0
    assert len(events._positions) <= 2 * recent_events._FEW


@pytest.mark.parametrize("position", [0, 2, 99])
def test_a_position_without_an_event_drops_nothing(position):
    events = RecentEvents()
    events.add(1, 5.0, "item")
    events.add(3, 6.0, "item")
    events.drop(position)
    assert events.items(0, 0, 10).tolist() == [0, 0]
