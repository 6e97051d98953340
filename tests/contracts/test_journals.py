"""What every journal in JOURNALS must do, on a real server where it needs one."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import pytest

from hashrec.index.errors import ConfigError
from hashrec.index.live.journal import JOURNALS, Event, ItemChange, Journal, open_journal
from tests.service.serving import RedisServer, wait_until

# Appends one event after another, and says so when each append has returned.
WRITER = """
import sys
from hashrec.index.live.journal import Event, open_journal
journal = open_journal(sys.argv[1])
for number in range(int(sys.argv[2]), 100_000):
    journal.append([Event("u", "i", "click", 1.0, f"e{number}")])
    print(number, flush=True)
"""
READER = """
import sys
from hashrec.index.live.journal import open_journal
journal = open_journal(sys.argv[1])
for line in sys.stdin:
    print(journal.position(), *(e.record.item_id for e in journal.read()), flush=True)
"""


@pytest.fixture(scope="module")
def durable_redis(tmp_path_factory: pytest.TempPathFactory) -> Generator[RedisServer]:
    """A Redis server that keeps what it accepts."""
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    server.start("--appendonly", "yes", "--appendfsync", "always")
    yield server
    server.kill()


def in_a_folder(request: pytest.FixtureRequest) -> str:
    return f"sqlite://{request.getfixturevalue('tmp_path')}/state/journal.sqlite"


def on_a_server(request: pytest.FixtureRequest) -> str:
    server = request.getfixturevalue("durable_redis")
    server.command("FLUSHALL")
    return server.url


PLACES = {"sqlite": in_a_folder, "redis": on_a_server}


@pytest.fixture(params=sorted(PLACES))
def url(request: pytest.FixtureRequest) -> str:
    """A place for a journal of each kind, with none there yet."""
    return PLACES[request.param](request)


@pytest.fixture
def journal(url: str) -> Generator[Journal]:
    """An empty journal of each kind."""
    journal = open_journal(url)
    yield journal
    journal.close()


def event(number: int, **changes: Any) -> Event:
    values = {"user_id": "u", "item_id": f"i{number}", "type": "click", "timestamp": number + 0.25}
    return Event(**{**values, "event_id": f"e{number}", **changes})


def run(script: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", script, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def stop(process: subprocess.Popen[str]) -> str:
    """Kill a process and return what it had still to say."""
    process.kill()
    with process:
        return process.stdout.read()


def test_every_kind_of_journal_is_tested_here():
    assert {JOURNALS[name] for name in PLACES} == set(JOURNALS.values())


def test_a_url_of_no_kind_is_refused_with_the_kinds_there_are():
    with pytest.raises(ConfigError, match=r"must start with .*sqlite"):
        open_journal("mysql://somewhere/else")


def test_a_new_journal_is_empty_and_at_position_0(journal: Journal):
    assert journal.position() == 0
    assert journal.read() == []
    assert journal.append([]) == []
    assert journal.position() == 0


def test_records_of_both_kinds_come_back_in_order_as_they_were(journal: Journal):
    records = [
        event(0, user_id="ü" * 256, recommendation_id="r"),
        ItemChange("i", {"title": "Ä", "tags": [1, None]}, hidden=True, timestamp=7.5),
        event(1, type="dislike"),
        ItemChange("i", None, hidden=None, deleted=True),
    ]
    assert journal.append(records[:3]) == [True] * 3
    assert journal.append(records[3:]) == [True]
    entries = journal.read()
    assert [entry.record for entry in entries] == records
    assert all(earlier.position < later.position for earlier, later in pairwise(entries))
    assert journal.position() == entries[-1].position


def test_reading_goes_on_where_it_stopped(journal: Journal):
    journal.append([event(number) for number in range(10)])
    entries = journal.read()
    assert journal.read(limit=4) == entries[:4]
    assert journal.read(entries[3].position, limit=4) == entries[4:8]
    assert journal.read(entries[7].position, limit=4) == entries[8:]
    assert journal.read(entries[9].position) == []


def test_an_event_id_that_comes_again_changes_nothing(journal: Journal):
    journal.append([event(0)])
    before = journal.position()
    again = event(5, event_id="e0")
    assert journal.append([again]) == [False]
    assert journal.position() == before
    assert journal.append([event(1), again, event(1), event(2)]) == [True, False, False, True]
    assert [entry.record for entry in journal.read()] == [event(0), event(1), event(2)]


def test_the_same_catalogue_change_is_kept_each_time(journal: Journal):
    change = ItemChange("i", None, hidden=True)
    assert journal.append([change, change]) == [True, True]
    assert len(journal.read()) == 2


def test_a_large_batch_is_kept_whole(journal: Journal):
    events = [event(number) for number in range(12_000)]
    assert journal.append(events) == [True] * 12_000
    first = journal.read(limit=7_000)
    rest = journal.read(first[-1].position, limit=7_000)
    assert [entry.record for entry in first + rest] == events


def test_everything_is_there_after_closing_and_opening_again(journal: Journal, url: str):
    journal.append([event(0), event(1)])
    position = journal.position()
    again = open_journal(url)
    try:
        assert again.position() == position
        assert again.append([event(1), event(2)]) == [False, True]
        wait_until(lambda: journal.position() == again.position())
        assert [e.record for e in journal.read(position)] == [event(2)]
    finally:
        again.close()


def test_threads_that_write_at_once_lose_nothing_and_share_no_position(journal: Journal):
    def write(thread: int) -> list[bool]:
        return [
            new
            for number in range(10)
            for new in journal.append([event(100 * thread + number), event(7777)])
        ]

    with ThreadPoolExecutor(8) as threads:
        results = [new for results in threads.map(write, range(8)) for new in results]
    assert results.count(True) == 81
    entries = journal.read()
    assert len({entry.position for entry in entries}) == 81
    assert journal.position() == entries[-1].position


def test_a_reader_sees_no_position_without_what_is_before_it(journal: Journal, url: str):
    """Whoever takes a position for applied must have seen all up to it."""
    reader = open_journal(url)
    done = threading.Event()

    def write(thread: int) -> None:
        for number in range(40):
            journal.append([event(1000 * thread + number)])

    def watch() -> int:
        seen: list[int] = []
        while not done.is_set() or reader.position() > (seen[-1] if seen else 0):
            target = reader.position()
            after = seen[-1] if seen else 0
            seen += [e.position for e in reader.read(after) if e.position <= target]
        return len(seen)

    with ThreadPoolExecutor(3) as threads:
        watching = threads.submit(watch)
        list(threads.map(write, range(2)))
        wait_until(lambda: reader.position() == journal.position())
        done.set()
        assert watching.result() == 80
    reader.close()


def test_another_process_sees_an_entry_that_was_appended(journal: Journal, url: str):
    reader = run(READER, url)
    try:
        for number in range(3):
            journal.append([event(number)])

            def sees(number: int = number) -> bool:
                print("?", file=reader.stdin, flush=True)
                position, *item_ids = reader.stdout.readline().split()
                assert item_ids == [f"i{n}" for n in range(number + 1)]  # at once, in every kind
                return int(position) == journal.position()

            wait_until(sees)
    finally:
        stop(reader)


def test_what_was_appended_outlives_a_kill_of_its_writer(journal: Journal, url: str):
    first = 0
    for _ in range(4):
        writer = run(WRITER, url, str(first))
        for _ in range(5):
            last = int(writer.stdout.readline())
        said = [int(number) for number in stop(writer).split()]
        last = max([last, *said])
        kept = {entry.record.event_id for entry in journal.read()}
        assert {f"e{number}" for number in range(last + 1)} <= kept
        assert len(kept) <= last + 2  # the one that was under way may be there
        first = last + 1
    retried = journal.append([Event("u", "i", "click", 1.0, f"e{n}") for n in range(first + 1)])
    assert not any(retried[:first])
    entries = journal.read()
    assert len({entry.record.event_id for entry in entries}) == len(entries) == first + 1
    wait_until(lambda: journal.position() == entries[-1].position)
