"""Events and items from files reach the journal once, and a running service at once."""

from __future__ import annotations

import dataclasses
import gzip
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from hashrec.index.artifacts.store import Store
from hashrec.index.commands.exporting import app as export_app
from hashrec.index.errors import ArtifactError, DataError, TooManyBadRowsError
from hashrec.index.live.journal import (
    Event,
    ItemChange,
    Journal,
    Record,
    journal_beside,
    open_journal,
)
from hashrec.index.reading.options import FormatOptions
from hashrec.training.commands.importing import app
from hashrec.training.data.importing import (
    ImportReport,
    import_events,
    import_items,
    journal_to_write,
)
from tests.index.small_models import model_of, write
from tests.service.serving import serving, settings

MIDNIGHT = 1_795_478_400
EVENTS = """\
{"user_id": "u1", "item_id": "i1", "type": "buy", "timestamp": 1795478400, "event_id": "e1"}
{"UserId": "u2", "ItemId": "i2", "user_id": "u1", "item_id": "i3", "timestamp": 1795478401}
"""


@pytest.fixture
def store(tmp_path: Path) -> Path:
    write(tmp_path / "run", model_of(20, 30, 32, seed=4))
    Store(tmp_path / "store").publish(tmp_path / "run")
    return tmp_path / "store"


@pytest.fixture
def journal(store: Path) -> Iterator[Journal]:
    opened = journal_to_write(store, None)
    yield opened
    opened.close()


def records(journal: Journal) -> list[Record]:
    return [entry.record for entry in journal.read()]


def events_of(path: Path, journal: Journal, max_bad: int = 0) -> ImportReport:
    return import_events(
        path, journal, default_type="click", max_bad=max_bad, advance=lambda _n: None
    )


def import_options(path: Path, journal: Journal, **options: Any) -> ImportReport:
    return import_events(
        path, journal, FormatOptions(**options), default_type="click", max_bad=0,
        advance=lambda _n: None,
    )  # fmt: skip


def items_of(path: Path, journal: Journal, store: Path) -> ImportReport:
    return import_items(path, journal, store, max_bad=0, advance=lambda _n: None)


def test_an_event_is_taken_once_however_often_it_is_imported(
    tmp_path: Path, journal: Journal
) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text(EVENTS)
    assert events_of(path, journal) == ImportReport(rows=2, bad=0, known=0, new=2)
    assert events_of(path, journal) == ImportReport(rows=2, bad=0, known=2, new=0)
    path.write_text(EVENTS + '{"user_id": "u1", "item_id": "i3", "timestamp": 1795478402}\n')
    assert events_of(path, journal).new == 1, "the same item at another time is another event"
    first, second, third = records(journal)
    assert first == Event("u1", "i1", "buy", MIDNIGHT, "e1")
    assert isinstance(second, Event)
    assert isinstance(third, Event)
    assert (second.user_id, second.item_id, second.type) == ("u1", "i3", "click")
    assert second.event_id != third.event_id


def test_gorse_feedback_becomes_events(tmp_path: Path, journal: Journal) -> None:
    path = tmp_path / "feedback.jsonl"
    path.write_text(
        '{"FeedbackType":"star","UserId":"7","ItemId":"8","Timestamp":"2026-11-24T00:00:00Z"}\n'
    )
    assert events_of(path, journal).new == 1
    (event,) = records(journal)
    assert isinstance(event, Event)
    assert (event.user_id, event.item_id, event.type) == ("7", "8", "star")
    assert event.timestamp == MIDNIGHT


def test_bad_rows_are_named_and_nothing_is_written(tmp_path: Path, journal: Journal) -> None:
    path = tmp_path / "events.jsonl"
    bad = '{"user_id": "%s", "item_id": "i", "timestamp": 1, "type": "add to"}\n'
    path.write_text(EVENTS + bad % "" + bad % "u")
    with pytest.raises(TooManyBadRowsError, match=r"2 bad rows.*line 3: no user id; line 4: type"):
        events_of(path, journal)
    assert not records(journal)
    assert events_of(path, journal, max_bad=2) == ImportReport(rows=4, bad=2, known=0, new=2)


@pytest.mark.parametrize("form", [".jsonl", ".parquet"])
def test_exported_events_are_the_same_events_in_another_journal(
    tmp_path: Path, store: Path, journal: Journal, form: str
) -> None:
    said = [
        Event("u1", "i1", "buy", float(MIDNIGHT), "e1"),
        Event("u1", "i1", "hide", MIDNIGHT + 1.0, "e2"),
    ]
    journal.append(said)
    out = tmp_path / f"events{form}"
    command = ["export", "events", "--store", str(store), "--out", str(out), "-q"]
    assert CliRunner().invoke(export_app, command).exit_code == 0
    other = open_journal(f"sqlite:{tmp_path / 'other.sqlite'}")
    assert events_of(out, other) == ImportReport(rows=2, bad=0, known=0, new=2)
    assert records(other) == said
    other.close()
    assert events_of(out, journal) == ImportReport(rows=2, bad=0, known=2, new=0)


def test_items_change_the_catalogue_and_what_it_says_already_is_not_written(
    tmp_path: Path, store: Path, journal: Journal
) -> None:
    i0 = json.dumps({"item_id": "i0", **Store(store).open().model.item_table.of(0)})
    path = tmp_path / "items.jsonl"
    path.write_text(
        f'{i0}\n{{"item_id": "i1", "title": "Rug", "price": 3}}\n{{"item_id": "new"}}\n'
    )
    assert items_of(path, journal, store) == ImportReport(rows=3, bad=0, known=1, new=2)
    assert [dataclasses.replace(change, timestamp=0) for change in records(journal)] == [  # type: ignore[type-var]
        ItemChange("i1", {"title": "Rug", "price": 3}, None),
        ItemChange("new", {}, None),
    ]
    assert items_of(path, journal, store).new == 0


def test_what_is_hidden_stays_so_unless_the_file_says_otherwise(
    tmp_path: Path, store: Path, journal: Journal
) -> None:
    path = tmp_path / "items.csv"
    path.write_text("item_id,title,hidden\ni1,Rug,1\ni2,Bed,\n")
    assert items_of(path, journal, store).new == 2
    path.write_text("item_id,title\ni1,Red rug\n")
    items_of(path, journal, store)
    path.write_text("item_id,title,hidden\ni1,Red rug,0\n")
    items_of(path, journal, store)
    path.write_text("item_id,title,hidden\ni1,Red rug,no\n")
    assert items_of(path, journal, store).known == 1
    assert [change.hidden for change in records(journal)] == [True, False, None, False]  # type: ignore[union-attr]


def test_attributes_that_a_journal_cannot_keep_are_named(
    tmp_path: Path, store: Path, journal: Journal
) -> None:
    path = tmp_path / "items.jsonl"
    path.write_text(json.dumps({"item_id": "i1", "text": "x" * 70_000}))
    with pytest.raises(DataError, match=r"items.jsonl: item 'i1': attributes must have at most"):
        items_of(path, journal, store)


def test_a_store_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="no such folder"):
        journal_to_write(tmp_path / "store", None)
    assert not list(tmp_path.iterdir())


def test_events_without_a_known_time_are_a_warning_that_names_the_columns(
    tmp_path: Path, journal: Journal
) -> None:
    path = tmp_path / "log.csv"
    path.write_text("user_id,item_id,happened,shop\nu1,i1,2026-11-24,a\nu2,i2,2026-11-25,b\n")
    (warning,) = events_of(path, journal).warnings
    assert warning == (
        "warning: 2 of 2 events have no time and get that of the import: no column of times is "
        "known among happened, shop; name it with --map timestamp=COLUMN"
    )
    named = import_options(path, journal, columns={"timestamp": "happened"})
    assert named == ImportReport(rows=2, bad=0, known=0, new=2)
    assert named.warnings == ()
    assert "column happened: timestamp, named by --map; ISO 8601" in named.reading
    assert import_options(path, journal, columns={"timestamp": "-"}).warnings == ()
    assert [record.timestamp for record in records(journal)[2:]] == [MIDNIGHT, MIDNIGHT + 86_400]


def test_gaps_and_other_styles_of_times_are_counted_and_rows_add_up(
    tmp_path: Path, journal: Journal
) -> None:
    path = tmp_path / "log.csv"
    path.write_text(
        "user;item;date\nu1;i1;2026-11-24\nu1;i1;2026-11-24\nu2;i2;NULL\nu3;i3;soon\n;i4;\n"
    )
    report = events_of(path, journal, max_bad=1)
    assert report == ImportReport(rows=5, bad=1, known=0, new=3, merged=1)
    assert report.warnings == (
        "warning: 2 of 4 events have no time and get that of the import: 2 without date, "
        "1 date unreadable (line 5: 'soon')",
    )
    path.write_text("user,item,date\nu1,i1,first\nu2,i2,second\n")
    (warning,) = events_of(path, journal).warnings
    assert "2 of 2 events have no time" in warning
    assert warning.endswith("; --time-format says how it is written")


def test_the_command_says_how_it_read_a_file_in_whatever_container(
    tmp_path: Path, store: Path
) -> None:
    path = tmp_path / "log.csv.gz"
    path.write_bytes(gzip.compress("who|what|when\nu1|é1|24.11.2026\n".encode("latin-1")))
    command = ["import", "events", str(path), "--store", str(store), "--encoding", "latin-1"]
    command += ["--map", "user=who,item=what,timestamp=when", "--time-format", "%d.%m.%Y"]
    done = CliRunner().invoke(app, command)
    assert done.stdout == "1 rows: 1 events written, 0 already known\n"
    assert "gzip, latin-1, CSV with bars: user=who,item=what,timestamp=when" in done.stderr
    assert "column when: timestamp, named by --map; %d.%m.%Y" in done.stderr
    items = ["import", "items", "-", "--store", str(store), "--map-items", "item=what,title=say"]
    done = CliRunner().invoke(app, items, input="what,say,size\ni1,Rug,3\ni2,Bed,4\ni2,Cot,4\n")
    assert done.stdout == "3 rows: 2 items written, 0 already known, 1 merged into other rows\n"
    assert "further attributes: size" in done.stderr
    other = CliRunner().invoke(app, [*items, "-q"], input="what,say\nI1,Rug\nI2,Bed\n")
    assert "0 items in common, of 2 and 30; for example 'I1' in - and 'i1' in the catalogue" in (
        other.stderr
    )


@pytest.mark.shared_data
def test_events_of_a_public_report_keep_their_times(
    journal: Journal, shared_cases: Callable[[str], Path]
) -> None:
    report = events_of(shared_cases("import-ignores-time/events.csv"), journal)
    assert report == ImportReport(rows=report.rows, bad=0, known=0, new=report.rows)
    assert report.warnings == ()
    first = records(journal)[0]
    assert isinstance(first, Event)
    assert (first.user_id, first.item_id, first.type, first.timestamp) == (
        "541312039", "44600008", "purchase", 1_569_888_000.0,
    )  # fmt: skip


def test_a_running_service_follows_an_import(tmp_path: Path, store: Path) -> None:
    def imported(what: str, path: Path) -> dict[str, int]:
        command = ["import", what, str(path), "--store", str(store), "--json", "-q"]
        done = CliRunner().invoke(app, command)
        assert done.exit_code == 0, done.exception
        return json.loads(done.stdout)

    with serving(settings(store)) as client:

        def listed() -> list[str]:
            return [item["item_id"] for item in client.get("/recommend/u3?k=30").json()["items"]]

        first, second, *_ = listed()
        (tmp_path / "items.csv").write_text(f"item_id,title,hidden\n{first},Hidden,true\n")
        assert imported("items", tmp_path / "items.csv") == {
            "rows": 1, "bad": 0, "known": 0, "new": 1, "merged": 0, "warnings": [],
            "reading": [
                "CSV: item=item_id,title=title,hidden=hidden",
                "column item_id: item, a usual name", "column title: title, a usual name",
                "column hidden: hidden, a usual name",
            ],
        }  # fmt: skip
        (tmp_path / "events.csv").write_text(f"user_id,item_id\nu3,{second}\n")
        assert imported("events", tmp_path / "events.csv")["new"] == 1
        after = listed()
    assert not {first, second} & set(after)
    assert journal_beside(store).exists()
