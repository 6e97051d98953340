"""The journal in a SQLite file: what else it may meet on a disk."""

from __future__ import annotations

import resource
import sqlite3
import threading
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from hashrec.index.errors import (
    ConfigError,
    HashrecError,
    JournalCorruptError,
    JournalUnavailableError,
)
from hashrec.index.live.journal import Event, SqliteJournal, sqlite
from hashrec.index.live.journal.shared_position import SharedPosition


def events(first: int, n: int) -> list[Event]:
    return [Event("u" * 500, "i", "click", 1.0, f"e{first + number}") for number in range(n)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A journal of three entries, closed."""
    path = tmp_path / "journal.sqlite"
    with closing(SqliteJournal(path)) as journal:
        journal.append(events(0, 3))
    return path


@contextmanager
def largest_file(n_bytes: int) -> Generator[None]:
    """Let no file of this process grow beyond a size, as a full disk would."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("url", ["sqlite:{}", "sqlite://{}", "sqlite:///{}"])
def test_a_url_names_a_file_whatever_the_number_of_slashes(path: Path, url: str):
    with closing(SqliteJournal.open(url.format(path))) as journal:
        assert len(journal.read()) == 3


@pytest.mark.parametrize("url", ["sqlite:", "sqlite://", "sqlite:///"])
def test_a_url_without_a_file_is_refused(url: str):
    with pytest.raises(ConfigError, match=r"write sqlite:///PATH"):
        SqliteJournal.open(url)


def test_a_full_disk_is_told_and_leaves_nothing_half_written(path: Path):
    with closing(SqliteJournal(path)) as journal:
        before = journal.read()
        with largest_file(200_000):
            journal.append(events(3, 10))
            with pytest.raises(JournalUnavailableError, match=r"disk"):
                journal.append(events(13, 1000))
            assert len(journal.read()) == len(before) + 10
            assert journal.position() == before[-1].position + 10
        assert journal.append(events(10, 1000)) == [False] * 3 + [True] * 997
        assert len(journal.read()) == 1010
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_a_folder_that_cannot_be_is_told(path: Path):
    with pytest.raises(JournalUnavailableError, match=r"Not a directory"):
        SqliteJournal(path / "below" / "a-file")


@pytest.mark.parametrize("content", [b"x", b"not a database at all" * 100])
def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path, content: bytes):
    path = tmp_path / "journal.sqlite"
    path.write_bytes(content)
    with pytest.raises(JournalCorruptError, match=r"not a usable journal: file is not a database"):
        SqliteJournal(path)
    assert path.read_bytes() == content


def test_the_database_of_another_program_is_refused_and_left_alone(tmp_path: Path):
    path = tmp_path / "journal.sqlite"
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE entries (a)")
    before = path.read_bytes()
    with pytest.raises(JournalCorruptError, match=r"another program"):
        SqliteJournal(path)
    assert path.read_bytes() == before


def test_a_journal_of_a_later_schema_is_refused(path: Path):
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA user_version = 2")
    with pytest.raises(JournalCorruptError, match=r"schema 2 and this release reads 1"):
        SqliteJournal(path)


@pytest.mark.parametrize("size", [4096, 10_000])
def test_a_file_cut_short_is_refused(path: Path, size: int):
    with closing(SqliteJournal(path)) as journal:
        journal.append(events(3, 200))
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(JournalCorruptError, match=r"malformed"):
        SqliteJournal(path)


def test_a_page_of_noise_is_told_when_it_is_read(path: Path):
    with closing(SqliteJournal(path)) as journal:
        journal.append(events(3, 200))
    content = bytearray(path.read_bytes())
    content[12_288:49_152] = b"\xa5" * 36_864
    path.write_bytes(content)
    with pytest.raises(JournalCorruptError), closing(SqliteJournal(path)) as journal:
        journal.read()


def test_a_last_entry_that_is_no_record_is_refused(path: Path):
    with closing(sqlite3.connect(path)) as database:
        database.execute("UPDATE entries SET record = x'7b7d' WHERE event_id = 'e2'")
        database.commit()
    with pytest.raises(JournalCorruptError, match=r"entry \d+: not a record"):
        SqliteJournal(path)


@pytest.mark.parametrize("content", [b"", b"\x02", (10**17).to_bytes(8, "little")])
def test_news_of_the_position_that_are_wrong_are_set_right(path: Path, content: bytes):
    path.with_name("journal.sqlite-position").write_bytes(content)
    with closing(SqliteJournal(path)) as journal:
        assert journal.position() == journal.read()[-1].position


def test_a_retry_sets_the_position_right_that_a_killed_writer_left_behind(path: Path):
    with closing(SqliteJournal(path)) as journal:
        last = journal.position()
        shared = SharedPosition(path.with_name("journal.sqlite-position"))
        shared.set(last - 1)
        shared.close()
        assert journal.append(events(2, 1)) == [False]
        assert journal.position() == last


def test_a_position_is_not_used_again(path: Path):
    with closing(sqlite3.connect(path)) as database:
        (last,) = database.execute("SELECT max(position) FROM entries").fetchone()
        database.execute("DELETE FROM entries WHERE event_id <> 'e0'")
        database.commit()
    with closing(SqliteJournal(path)) as journal:
        journal.append(events(5, 1))
        assert journal.position() == last + 1


def test_a_later_journal_begins_above_all_earlier_ones(path: Path, tmp_path: Path):
    with closing(SqliteJournal(path)) as old, closing(SqliteJournal(tmp_path / "new")) as new:
        new.append(events(0, 1))
        assert new.position() > old.position()


def test_a_journal_whose_entries_are_gone_is_refused_until_told(path: Path):
    path.unlink()
    for _ in range(2):
        with pytest.raises(JournalCorruptError, match=r"remove journal.sqlite-position"):
            SqliteJournal(path)
    path.with_name("journal.sqlite-position").unlink()
    with closing(SqliteJournal(path)) as journal:
        assert journal.read() == []


def test_a_writer_that_does_not_end_stops_others_with_words(
    path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT_S", 0.05)
    shared = SharedPosition(path.with_name("journal.sqlite-position"))
    with closing(SqliteJournal(path)) as journal, closing(shared):
        with shared.locked(1), pytest.raises(JournalUnavailableError, match=r"does not end"):
            journal.append(events(3, 1))
        assert journal.append(events(3, 1)) == [True]


def test_journals_that_are_made_at_once_are_one(tmp_path: Path):
    path, start = tmp_path / "new" / "journal.sqlite", threading.Barrier(6)
    errors: list[Exception] = []

    def write(number: int) -> None:
        start.wait()
        try:
            with closing(SqliteJournal(path)) as journal:
                journal.append(events(number, 1))
        except HashrecError as error:
            errors.append(error)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    with closing(SqliteJournal(path)) as journal:
        assert len(journal.read()) == 6
