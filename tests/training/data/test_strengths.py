"""Strengths of interactions: from files and journals to amounts of pairs."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from hashrec.index.live.journal import Event, SqliteJournal
from hashrec.index.strength import UNIT, Strength
from hashrec.training.data.interactions import Interactions
from hashrec.training.data.journal_events import merge_events, read_events
from hashrec.training.data.reading import ReadResult, read_interactions
from tests.training.pairs import interactions_of

LOG = Strength(types={"view": 1, "cart": 3, "purchase": 5}, repeats="sum")
EVENT_LOG = [
    ("a", "x", "view", 1), ("a", "x", "purchase", 2), ("a", "y", "dislike", 3),
    ("a", "y", "view", 2), ("a", "z", "impression", 4), ("b", "x", "view", 1),
    ("b", "x", "dislike", 2), ("b", "x", "cart", 3),
    ("b", "z", "view", 5), ("b", "z", "impression", 6),
]  # fmt: skip


def read(folder: Path, text: str, strength: Strength | None = None) -> ReadResult:
    path = folder / "data.csv"
    path.write_text(text)
    return read_interactions(path, strength=strength)


def event_log(folder: Path, strength: Strength | None = None) -> ReadResult:
    rows = "".join(",".join(map(str, row)) + "\n" for row in EVENT_LOG)
    return read(folder, "user,item,type,timestamp\n" + rows, strength)


def amounts_of(data: Interactions) -> dict[tuple[str, str], float]:
    amounts = np.full(len(data), UNIT) if data.amounts is None else data.amounts
    pairs = zip(data.users.ids(data.user_rows), data.items.ids(data.item_rows), strict=True)
    return dict(zip(pairs, (amounts / UNIT).tolist(), strict=True))


def test_events_of_a_pair_add_up_after_its_last_refusal_and_impressions_are_no_positives(
    tmp_path: Path,
):
    reading = event_log(tmp_path, LOG)
    assert amounts_of(reading.interactions) == {("a", "x"): 6, ("b", "x"): 3, ("b", "z"): 1}
    assert (reading.n_other_types, reading.n_neutral, reading.n_duplicates) == (5, 2, 2)


def test_an_event_log_is_recognised_by_its_types(tmp_path: Path):
    reading = event_log(tmp_path)
    assert amounts_of(reading.interactions) == {("a", "x"): 6, ("b", "x"): 3, ("b", "z"): 1}
    assert "event log: cart 3, purchase 5, view 1" in reading.strength.reason
    assert reading.strength.expected


def test_without_strengths_an_event_log_has_the_same_pairs(tmp_path: Path):
    plain, weighted = event_log(tmp_path, Strength()), event_log(tmp_path, LOG)
    assert plain.interactions.amounts is None
    assert plain.data_hash == weighted.data_hash


def test_counts_are_recognised_by_their_skew_and_ratings_by_their_range(tmp_path: Path):
    plays = read(tmp_path, "user,item,plays\na,x,1\na,y,500\nb,x,2\nb,z,1\nc,x,1\n")
    assert amounts_of(plays.interactions)["a", "y"] == 500
    assert (plays.strength.policy.scale, plays.strength.expected) == ("logarithm", True)
    ratings = read(tmp_path, "user,item,rating\na,x,1\na,y,5\nb,x,3\nb,z,4\nc,x,4\n")
    assert amounts_of(ratings.interactions)["a", "y"] == 5
    assert (ratings.strength.policy.scale, ratings.strength.expected) == ("linear", False)
    prices = read(tmp_path, "user,item,value\na,x,1.25\na,y,5000.5\nb,x,3.75\n")
    assert prices.interactions.amounts is None
    assert "neither counts nor ratings" in prices.strength.reason
    same = read(tmp_path, "user,item,rating\na,x,1\na,y,1\nb,x,1\n")
    assert (same.interactions.amounts, same.strength.reason) == (None, "")


def test_repeated_rows_add_up(tmp_path: Path):
    reading = read(tmp_path, "user,item\na,x\na,y\na,x\nb,x\na,x\n")
    assert amounts_of(reading.interactions) == {("a", "x"): 3, ("a", "y"): 1, ("b", "x"): 1}
    assert "repeated pairs" in reading.strength.reason


def test_strengths_have_a_mean_of_1_in_the_matrix_and_equal_ones_are_none(tmp_path: Path):
    data = event_log(tmp_path, LOG).interactions.with_strengths(LOG)
    assert data.strengths is not None
    assert data.weighted_matrix().toarray() == pytest.approx(
        np.array([[6, 0], [3, 1]]) * 3 / 10, abs=1e-6
    )
    assert data.matrix().toarray().tolist() == [[1, 0], [1, 1]]
    assert data.with_strengths(LOG.even()).strengths is None
    same = interactions_of([(0, 0), (1, 1)], 2, 2)
    assert same.with_strengths(Strength(types={"view": 3})).strengths is None


def test_parts_of_the_data_keep_their_strengths(tmp_path: Path):
    data = event_log(tmp_path, LOG).interactions.with_strengths(LOG)
    part = data.where(data.item_rows == 0).renumbered(np.array([1, 0]), np.array([0]))
    assert amounts_of(part) == {("a", "x"): 6, ("b", "x"): 3}
    assert part.strengths is not None
    assert part.strengths.tolist() == [6, 3]


def told(*rows: tuple[str, str, str, float]) -> list[Event]:
    return [Event(*row[:3], row[3], f"e{number}") for number, row in enumerate(rows)]


def test_events_of_a_journal_add_to_what_the_data_know(tmp_path: Path):
    data = event_log(tmp_path, LOG).interactions
    events = told(
        ("a", "x", "cart", 1.0),  # before the file's purchase: it is in there
        ("a", "x", "view", 9.0),
        ("b", "z", "dislike", 7.0),
        ("b", "z", "purchase", 8.0),
        ("b", "x", "dislike", 9.0),
        ("c", "new", "cart", 9.0),
        ("c", "new", "cart", 9.5),
        ("c", "x", "impression", 9.5),
    )
    with closing(SqliteJournal(tmp_path / "journal.sqlite")) as journal:
        journal.append(events)
        read = read_events(journal, strength=LOG)
    merged = merge_events(data, read, LOG)
    assert amounts_of(merged.interactions) == {("a", "x"): 7, ("b", "z"): 5, ("c", "new"): 6}
    assert (read.n_events, merged.n_added, merged.n_taken_back) == (7, 1, 1)


def test_a_file_and_a_journal_with_the_same_events_give_the_same_amounts(tmp_path: Path):
    whole = event_log(tmp_path, LOG).interactions
    rows = [(user, item, kind, float(time)) for user, item, kind, time in EVENT_LOG]
    empty = interactions_of([(0, 0)], 1, 1)
    with closing(SqliteJournal(tmp_path / "journal.sqlite")) as journal:
        journal.append(told(*rows))
        merged = merge_events(empty, read_events(journal, strength=LOG), LOG)
    expected = amounts_of(whole) | {("u0", "i0"): 1.0}
    assert amounts_of(merged.interactions) == expected
