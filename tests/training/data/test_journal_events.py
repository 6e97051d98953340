"""Events of a journal as training data."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Generator, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hashrec.index.live.journal import Event, ItemChange, SqliteJournal
from hashrec.training.data import journal_events
from hashrec.training.data.interactions import Interactions
from hashrec.training.data.journal_events import Merged, merge_events, read_events
from tests.training.pairs import interactions_of

PAIRS = [(0, 0), (0, 1), (1, 0), (2, 2)]  # of u0 with i0, and so on
TIMES = [10, 20, 30, 40]


@pytest.fixture
def journal(tmp_path: Path) -> Generator[SqliteJournal]:
    with closing(SqliteJournal(tmp_path / "journal.sqlite")) as journal:
        yield journal


def event(number: int, user: str, item: str, kind: str, timestamp: float = 100.0) -> Event:
    return Event(user, item, kind, timestamp, f"e{number}")


def events_of(*told: tuple[str, str, str] | tuple[str, str, str, float]) -> list[Event]:
    return [event(number, *what) for number, what in enumerate(told)]


def merged(
    journal: SqliteJournal, events: Sequence[Event], data: Interactions | None = None
) -> Merged:
    journal.append(events)
    return merge_events(data or interactions_of(PAIRS, 3, 3), read_events(journal))


def pairs_of(data: Interactions) -> set[tuple[str, str]]:
    users, items = data.users.ids(data.user_rows), data.items.ids(data.item_rows)
    assert len(set(zip(users, items, strict=True))) == len(data)
    return set(zip(users, items, strict=True))


BEFORE = pairs_of(interactions_of(PAIRS, 3, 3))


def timed() -> Interactions:
    data = interactions_of(PAIRS, 3, 3)
    return dataclasses.replace(data, timestamps=np.array(TIMES, dtype=np.int64))


def test_an_empty_journal_changes_nothing(journal: SqliteJournal):
    data = interactions_of(PAIRS, 3, 3)
    result = merged(journal, [], data)
    assert pairs_of(result.interactions) == BEFORE
    assert result.interactions.users is data.users
    assert (result.n_added, result.n_taken_back, read_events(journal).position) == (0, 0, 0)


def test_events_of_known_and_new_users_with_known_and_new_items_are_added(journal: SqliteJournal):
    told = events_of(
        ("u0", "i2", "click"), ("new", "i0", "buy"), ("u1", "fresh", "like"), ("u0", "i0", "click")
    )
    result = merged(journal, told)
    added = {("u0", "i2"), ("new", "i0"), ("u1", "fresh")}
    assert pairs_of(result.interactions) == BEFORE | added
    assert (result.n_added, result.n_taken_back) == (3, 0)
    assert result.interactions.users.ids(range(4)) == ["u0", "u1", "u2", "new"]
    assert result.interactions.items.ids(range(4)) == ["i0", "i1", "i2", "fresh"]


def test_the_latest_event_of_a_pair_decides(journal: SqliteJournal):
    told = events_of(
        ("u0", "i2", "click", 5.0),
        ("u0", "i2", "dislike", 6.0),
        ("u1", "i1", "skip", 8.0),
        ("u1", "i1", "click", 7.0),  # came late, and was earlier
        ("u1", "i2", "hide", 9.0),
        ("u1", "i2", "click", 9.0),  # at the same time: the one that came later
    )
    result = merged(journal, told)
    assert pairs_of(result.interactions) == BEFORE | {("u1", "i2")}


def test_a_negative_event_takes_a_known_pair_back(journal: SqliteJournal):
    told = events_of(("u0", "i1", "dislike"), ("u0", "elsewhere", "skip"), ("nobody", "i0", "hide"))
    result = merged(journal, told)
    assert pairs_of(result.interactions) == BEFORE - {("u0", "i1")}
    assert (result.n_added, result.n_taken_back) == (0, 1)
    assert (result.interactions.n_users, result.interactions.n_items) == (3, 3)


def test_where_the_data_have_timestamps_the_later_of_the_two_decides(journal: SqliteJournal):
    told = events_of(
        ("u0", "i0", "dislike", 9.0),  # before the data's 10
        ("u0", "i1", "dislike", 21.0),
        ("u1", "i0", "click", 35.0),
        ("u2", "i2", "click", 35.0),  # before the data's 40
        ("u2", "i0", "click", 50.9),
    )
    data = merged(journal, told, timed()).interactions
    columns = (data.user_rows.tolist(), data.item_rows.tolist(), data.timestamps.tolist())
    at = {(user, item): time for user, item, time in zip(*columns, strict=True)}
    assert at == {(0, 0): 10, (1, 0): 35, (2, 2): 40, (2, 0): 50}
    assert timed().timestamps.tolist() == TIMES
    first = dict(zip(at, data.first_timestamps.tolist(), strict=True))
    assert first == at | {(1, 0): 30}, "u1 had i0 before the event"


def test_types_may_be_named(journal: SqliteJournal):
    journal.append(
        events_of(("u0", "i2", "click"), ("u1", "i1", "buy"), ("u0", "i0", "no"), ("u2", "i0", "x"))
    )
    events = read_events(journal, types=("buy",), negative_types=("no",))
    result = merge_events(interactions_of(PAIRS, 3, 3), events)
    assert pairs_of(result.interactions) == (BEFORE | {("u1", "i1")}) - {("u0", "i0")}
    assert events.n_events == 2


def test_the_position_is_that_of_the_last_entry_whatever_it_is(
    journal: SqliteJournal, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(journal_events, "ENTRIES_AT_ONCE", 2)
    journal.append([*events_of(*[("u0", f"x{n}", "click") for n in range(5)])])
    journal.append([ItemChange("i0", None, hidden=True)])
    events = read_events(journal)
    assert (events.position, events.n_events) == (journal.position(), 5)
    assert len(events.pairs) == 5


ids = st.sampled_from(["u0", "u1", "u2", "new", "i0", "i1", "i2", "fresh"])


@settings(deadline=None, max_examples=50)
@given(
    told=st.lists(
        st.tuples(ids, ids, st.sampled_from(["click", "dislike"]), st.sampled_from([15.0, 35.0])),
        max_size=25,
    ),
    with_times=st.booleans(),
)
def test_merging_is_what_telling_one_after_the_other_is(
    told: list[tuple[str, str, str, float]], with_times: bool
):
    data = timed() if with_times else interactions_of(PAIRS, 3, 3)
    expected = dict.fromkeys(BEFORE, -1.0)
    if with_times:
        named = [(f"u{user}", f"i{item}") for user, item in PAIRS]
        expected = dict(zip(named, map(float, TIMES), strict=True))
    says_no: dict[tuple[str, str], float] = {}
    for user, item, kind, timestamp in sorted(told, key=lambda one: one[3]):
        pair = user, item
        if timestamp >= max(expected.get(pair, -1.0), says_no.get(pair, -1.0)):
            expected.pop(pair, None)
            (expected if kind == "click" else says_no)[pair] = timestamp
    with (
        tempfile.TemporaryDirectory() as folder,
        closing(SqliteJournal(Path(folder) / "journal.sqlite")) as journal,
    ):
        assert pairs_of(merged(journal, events_of(*told), data).interactions) == expected.keys()


@pytest.mark.parametrize("at_once", [2, 3, 10])
def test_a_journal_can_be_read_as_it_was(
    journal: SqliteJournal, at_once: int, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(journal_events, "ENTRIES_AT_ONCE", at_once)
    journal.append(events_of(*[("u0", f"new {n}", "click") for n in range(3)]))
    before = read_events(journal)
    journal.append([event(n, "u0", f"new {n}", "click") for n in range(3, 9)])
    again = read_events(journal, until=before.position)
    assert again.pairs.equals(before.pairs)
    assert (again.n_events, again.position) == (3, before.position)
    assert read_events(journal).n_events == 9
