"""The journal in Redis: what its server may do, and not do."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from pathlib import Path

import pytest

from hashrec.index.errors import JournalCorruptError, JournalUnavailableError
from hashrec.index.live.journal import Event, ItemChange, RedisStreamsJournal
from hashrec.index.live.journal.redis_streams import STREAM
from tests.service.serving import RedisServer, wait_until

DURABLE = ("--appendonly", "yes", "--appendfsync", "always")


@pytest.fixture
def server(tmp_path: Path) -> Generator[RedisServer]:
    server = RedisServer(tmp_path).start(*DURABLE)
    yield server
    server.kill()


def event(number: int) -> Event:
    return Event("u", "i", "click", 1.0, f"e{number}")


def test_what_was_accepted_is_there_after_the_server_was_killed(server: RedisServer):
    with closing(RedisStreamsJournal(server.url)) as journal:
        for cycle in range(3):
            new = [event(10 * cycle + number) for number in range(10)]
            assert journal.append([*new, ItemChange("i", None, hidden=True)]) == [True] * 11
            server.kill()
            server.start(*DURABLE)
            assert not any(journal.append(new))
        entries = journal.read()
        assert len(entries) == 33
        assert journal.position() == entries[-1].position


def test_while_the_server_is_away_writers_are_told_and_readers_know_what_they_knew(
    server: RedisServer,
):
    with closing(RedisStreamsJournal(server.url)) as journal:
        journal.append([event(0)])
        position = journal.position()
        server.kill()
        with pytest.raises(JournalUnavailableError):
            journal.append([event(1)])
        with pytest.raises(JournalUnavailableError):
            journal.read()
        assert journal.position() == position
        server.start(*DURABLE)
        with closing(RedisStreamsJournal(server.url)) as other:
            other.append([event(2)])
            wait_until(lambda: journal.position() == other.position())
        assert len(journal.read()) == 2


def test_a_server_that_is_away_at_the_start_is_told_without_its_password(server: RedisServer):
    server.kill()
    url = server.url.replace("redis://", "redis://:secret-word@")
    with pytest.raises(JournalUnavailableError) as caught:
        RedisStreamsJournal(url)
    assert "redis://127.0.0.1/0: events cannot be read or written" in str(caught.value)
    assert "secret-word" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "weakness"),
    [
        (DURABLE, None),
        ((), "appendonly is no, appendfsync is everysec"),
        (("--appendonly", "yes"), "appendfsync is everysec"),
        (
            (*DURABLE, "--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"),
            "maxmemory-policy is allkeys-lru, which can evict the journal",
        ),
        ((*DURABLE, "--maxmemory", "100mb"), None),
        (
            (*DURABLE, "--rename-command", "CONFIG", ""),
            "the server does not tell whether it keeps what it accepts",
        ),
    ],
)
def test_settings_under_which_a_server_can_lose_events_are_named(
    tmp_path: Path, options: tuple[str, ...], weakness: str | None
):
    server = RedisServer(tmp_path).start(*options)
    try:
        with closing(RedisStreamsJournal(server.url)) as journal:
            assert journal.weakness == weakness
    finally:
        server.kill()


def test_a_server_out_of_memory_accepts_nothing_by_halves(server: RedisServer):
    with closing(RedisStreamsJournal(server.url)) as journal:
        journal.append([event(0)])
        server.command("CONFIG", "SET", "maxmemory", "1")
        with pytest.raises(JournalUnavailableError, match=r"OOM"):
            journal.append([event(number) for number in range(1, 100)])
        assert len(journal.read()) == 1
        server.command("CONFIG", "SET", "maxmemory", "0")
        assert journal.append([event(1)]) == [True]


def test_positions_go_on_above_what_a_server_has_lost(server: RedisServer):
    with closing(RedisStreamsJournal(server.url)) as journal:
        journal.append([event(number) for number in range(100)])
        before = journal.position()
        server.command("FLUSHALL")
        journal.append([event(0)])
        assert journal.position() > before
        assert [entry.position for entry in journal.read()] == [journal.position()]


def test_positions_go_on_where_the_last_entries_were_deleted(server: RedisServer):
    with closing(RedisStreamsJournal(server.url)) as journal:
        journal.append([event(0)])
        before = journal.position()
        server.command("XTRIM", STREAM, "MAXLEN", "0")
        journal.append([event(1)])
        assert journal.position() > before


def test_a_key_of_something_else_is_refused(server: RedisServer):
    server.command("SET", STREAM, "x")
    with pytest.raises(JournalCorruptError, match=r"is something else"):
        RedisStreamsJournal(server.url)


def test_an_entry_that_is_no_record_is_told(server: RedisServer):
    server.command("XADD", STREAM, "1-0", "r", "{}")
    with (
        closing(RedisStreamsJournal(server.url)) as journal,
        pytest.raises(JournalCorruptError, match=r"not a record"),
    ):
        journal.read()
