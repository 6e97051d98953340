"""POST /events: what is kept, what is refused, and that an accepted event stays."""

from __future__ import annotations

import asyncio
import itertools
import json
import resource
import time
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import orjson
import pytest
from fastapi import Request

from hashrec.index.artifacts.store import Store
from hashrec.index.live.journal import Event, SqliteJournal, journal_beside, open_journal
from hashrec.service.app import MAX_BODY_BYTES, MAX_STREAMED_BYTES
from hashrec.service.live.event_log import EventLog
from hashrec.service.routes.events import AT_ONCE, send_events
from hashrec.service.telemetry.metrics import Metrics
from tests.service.serving import RedisServer, logged, metric, serving, settings

NDJSON = {"content-type": "application/x-ndjson"}
Kept = Callable[[], list[Event]]
numbers = itertools.count()


@pytest.fixture(scope="module")
def events_store(tmp_path_factory: pytest.TempPathFactory, artifacts: list[Path]) -> Store:
    store = Store(tmp_path_factory.mktemp("events") / "store")
    store.publish(artifacts[0])
    return store


@pytest.fixture(scope="module")
def service(events_store: Store) -> Generator[httpx.Client]:
    """A service with a journal beside its store."""
    with serving(settings(events_store.path)) as client:
        yield client


@pytest.fixture
def kept(service: httpx.Client, events_store: Store) -> Generator[Kept]:
    """Read what the journal got since the test began."""
    with closing(SqliteJournal(journal_beside(events_store.path))) as journal:
        before = journal.position()
        yield lambda: [entry.record for entry in journal.read(before)]


def click(**changes: Any) -> dict[str, Any]:
    """An event as a client sends it, with an id of its own."""
    event = {"user_id": "u1", "item_id": "i1", "type": "click", "timestamp": 1.5}
    return {**event, "event_id": f"e{next(numbers)}", **changes}


def count(service: httpx.Client, **labels: str) -> float:
    return metric(service, "hashrec_events_total", **labels)


def test_one_event_is_there_when_it_is_accepted(service: httpx.Client, kept: Kept):
    reply = service.post("/events", json=click(event_id="first", recommendation_id="r"))
    assert (reply.status_code, reply.json()) == (202, {"accepted": 1, "rejected": []})
    assert kept() == [Event("u1", "i1", "click", 1.5, "first", "r")]


def test_an_array_is_kept_in_order_and_what_is_no_event_is_named(service: httpx.Client, kept: Kept):
    body = [
        click(),
        click(user_id=""),
        7,
        click(item_id="i2"),
        click(type="no type"),
        {"item_id": "i"},
        click(timestamp="yesterday"),
        click(timestamp=-1),
        click(timestmp=1),
        click(event_id=3),
    ]
    reply = service.post("/v1/events", json=body)
    assert reply.status_code == 202
    assert reply.json()["accepted"] == 2
    rejected = {entry["index"]: entry["reason"] for entry in reply.json()["rejected"]}
    assert rejected.keys() == {1, 2, 4, 5, 6, 7, 8, 9}
    assert rejected[1] == "user_id: must not be empty"
    assert rejected[2] == "must be a JSON object"
    assert rejected[6] == "timestamp must be seconds or milliseconds since 1970, or ISO 8601"
    assert rejected[8].startswith("timestmp: ")
    assert [event.item_id for event in kept()] == ["i1", "i2"]


def test_lines_are_kept_as_they_come(service: httpx.Client, kept: Kept):
    lines = [json.dumps(click(item_id=f"i{number}")).encode() for number in range(2000)]
    lines[3:3] = [b"", b"not json", b'"' + b"x" * 70_000 + b'"', b"[]", b"\xff\r"]
    body = b"\r\n".join(lines)  # and no end of line after the last

    def pieces() -> Generator[bytes]:
        for first in range(0, len(body), 1013):
            yield body[first : first + 1013]

    reply = service.post("/events", content=pieces(), headers=NDJSON)
    assert reply.status_code == 202
    assert reply.json()["accepted"] == 2000
    rejected = {entry["index"]: entry["reason"] for entry in reply.json()["rejected"]}
    assert rejected == {
        4: "not JSON in UTF-8",
        5: "the line has more than 65536 bytes",
        6: "must be a JSON object",
        7: "not JSON in UTF-8",
    }
    assert [event.item_id for event in kept()] == [f"i{number}" for number in range(2000)]


@pytest.mark.parametrize("body", [b"", b"\n\n", b"[]"])
def test_no_events_are_fine_too(service: httpx.Client, body: bytes):
    headers = {} if body == b"[]" else NDJSON
    reply = service.post("/events", content=body, headers=headers)
    assert (reply.status_code, reply.json()) == (202, {"accepted": 0, "rejected": []})


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b"", "must be an event, an array of events, or lines of JSON"),
        (b"{", "must be an event, an array of events, or lines of JSON"),
        (b"7", "must be a JSON object"),
        (json.dumps(click(item_id="x" * 513)).encode(), "item_id: must have at most 512 bytes"),
        (json.dumps({str(n): n for n in range(60)}).encode(), "more than 50 members"),
    ],
)
def test_a_body_that_is_no_event_is_an_invalid_request(
    service: httpx.Client, body: bytes, detail: str
):
    reply = service.post("/events", content=body)
    assert reply.status_code == 422
    assert detail in reply.json()["detail"]
    assert reply.json()["type"] == "urn:hashrec:invalid-request"


def test_a_reply_names_a_thousand_rejected_events_and_counts_the_rest(service: httpx.Client):
    reply = service.post("/events", json=[7] * 1500)
    assert len(reply.json()["rejected"]) == 1000
    assert reply.json()["unlisted"] == 500


def test_timestamps_come_in_seconds_milliseconds_and_iso_8601(service: httpx.Client, kept: Kept):
    seconds = {
        1_700_000_000: 1.7e9,
        1_700_000_000.25: 1_700_000_000.25,
        1_700_000_000_250: 1_700_000_000.25,
        "2023-11-14T22:13:20Z": 1.7e9,
        "2023-11-14T23:13:20.25+01:00": 1_700_000_000.25,
        "2023-11-14T22:13:20": 1.7e9,
        "2023-11-14": 1_699_920_000.0,
    }
    body = [click(timestamp=given) for given in seconds]
    assert service.post("/events", json=body).json()["rejected"] == []
    assert [event.timestamp for event in kept()] == list(seconds.values())


def test_an_event_without_a_timestamp_is_of_now(service: httpx.Client, kept: Kept):
    before = time.time()
    assert service.post("/events", json=click(timestamp=None)).status_code == 202
    assert before <= kept()[0].timestamp <= time.time()


def test_a_retry_is_accepted_and_changes_nothing(service: httpx.Client, kept: Kept):
    body = [click(type="star") for _ in range(3)]
    for _ in range(3):
        assert service.post("/events", json=body).json() == {"accepted": 3, "rejected": []}
    assert len(kept()) == 3
    assert count(service, type="star", outcome="accepted") == 3
    assert count(service, type="star", outcome="duplicate") == 6


def test_without_an_id_the_same_content_at_the_same_time_is_the_same_event(
    service: httpx.Client, kept: Kept
):
    same = click(event_id=None, timestamp=1_700_000_000)
    in_milliseconds = {**same, "timestamp": 1_700_000_000_000}
    later, elsewhere = {**same, "timestamp": 1_700_000_001}, {**same, "item_id": "i2"}
    for body in (same, same, in_milliseconds, later, elsewhere):
        assert service.post("/events", json=body).json()["accepted"] == 1
    assert len(kept()) == 3


def test_events_are_counted_by_few_types(service: httpx.Client):
    rejected = count(service, type="other", outcome="rejected")
    types = ["dislike", *(f"made-up-{number}" for number in range(20))]
    service.post("/events", json=[*(click(type=kind) for kind in types), 7])
    assert count(service, type="dislike", outcome="accepted") == 1
    assert count(service, type="other", outcome="accepted") == 20
    assert count(service, type="other", outcome="rejected") == rejected + 1
    assert "made-up" not in service.get("/metrics").text


def test_many_requests_at_once_are_each_told_of_their_own(service: httpx.Client, kept: Kept):
    def post(number: int) -> dict[str, Any]:
        body = [*(click() for _ in range(number % 7)), 7]
        return service.post("/events", json=body).json()

    with ThreadPoolExecutor(16) as threads:
        replies = list(threads.map(post, range(64)))
    for number, reply in enumerate(replies):
        assert reply["accepted"] == number % 7
        assert [entry["index"] for entry in reply["rejected"]] == [number % 7]
    assert len(kept()) == sum(number % 7 for number in range(64))


@contextmanager
def no_file_grows_beyond(n_bytes: int) -> Generator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_is_a_503_and_accepts_nothing(
    service: httpx.Client, kept: Kept, events_store: Store
):
    wal = journal_beside(events_store.path).with_name("journal.sqlite-wal")
    body = [click(user_id="u" * 500, type="play") for _ in range(1000)]
    with no_file_grows_beyond(wal.stat().st_size + 4096):
        reply = service.post("/events", json=body)
        assert service.get("/recommend/u1").status_code == 200
    assert reply.status_code == 503
    assert reply.json()["type"] == "urn:hashrec:events-unavailable"
    assert "send them again" in reply.json()["detail"]
    assert reply.headers["retry-after"]
    assert kept() == []
    assert count(service, type="play", outcome="unavailable") == 500
    assert service.post("/events", json=body).json()["accepted"] == 1000
    assert len(kept()) == 1000


def test_a_journal_that_is_damaged_turns_events_off_and_nothing_else(
    store: Store, caplog: pytest.LogCaptureFixture
):
    path = journal_beside(store.path)
    path.parent.mkdir()
    path.write_bytes(b"something else entirely" * 100)
    with serving(settings(store.path, events={"url": f"sqlite://{path}"})) as service:
        reply = service.post("/events", json=click())
        assert reply.status_code == 503
        assert "the journal is not there" in reply.json()["detail"]
        assert str(path) not in reply.text
        assert service.get("/recommend/u1").status_code == 200
        ready = service.get("/readyz?verbose").json()
        assert (ready["status"], ready["events"]) == ("degraded", "unavailable")


def test_a_store_that_cannot_be_written_turns_events_off_and_says_what_to_set(store: Store):
    (store.path / "state").write_bytes(b"a file where the folder would be")
    with serving(settings(store.path)) as service:
        reply = service.post("/events", json=click())
        assert reply.status_code == 503
        assert "HASHREC_EVENTS__URL" in reply.json()["detail"]
        ready = service.get("/readyz?verbose").json()
        assert (ready["status"], ready["events"]) == ("ready", "off")
        (store.path / "state").unlink()
        while service.post("/events", json=click()).status_code != 202:
            time.sleep(0.01)


def test_lines_may_be_many_and_a_body_of_json_may_not(service: httpx.Client):
    long = json.dumps(click(padding="x" * 1000)).encode() + b"\n"
    body = long * (MAX_BODY_BYTES // len(long) + 1)
    assert service.post("/events", content=body, headers=NDJSON).status_code == 202
    assert service.post("/events", content=body).status_code == 413
    assert service.post("/recommend", content=body, headers=NDJSON).status_code == 413
    with closing(HTTPConnection(service.base_url.host, service.base_url.port)) as connection:
        connection.putrequest("POST", "/events")
        connection.putheader("content-type", "application/x-ndjson")
        connection.putheader("content-length", str(MAX_STREAMED_BYTES + 1))
        connection.endheaders()
        assert connection.getresponse().status == 413


def test_events_are_kept_in_redis_where_that_is_named(store: Store, redis_server: RedisServer):
    redis_server.command("CONFIG", "SET", "appendonly", "yes")
    redis_server.command("CONFIG", "SET", "appendfsync", "always")
    in_redis = {"url": redis_server.url, "require_durable": True}
    body = [click() for _ in range(5)]
    with serving(settings(store.path, events=in_redis)) as service:
        assert service.post("/events", json=body).json()["accepted"] == 5
        redis_server.kill()
        assert service.post("/events", json=click()).status_code == 503
        assert service.get("/recommend/u1").status_code == 200
        redis_server.start("--appendonly", "yes", "--appendfsync", "always")
        assert service.post("/events", json=[*body, click()]).json()["accepted"] == 6
    with closing(open_journal(redis_server.url)) as journal:
        assert len(journal.read()) == 6


def test_a_redis_that_can_lose_events_is_a_warning_or_no_journal_as_set(
    store: Store, redis_server: RedisServer, capfd: pytest.CaptureFixture[str]
):
    with serving(settings(store.path, events={"url": redis_server.url})) as service:
        assert service.post("/events", json=click()).status_code == 202
    (line,) = logged(capfd.readouterr().err, "events can be lost")
    assert line["reason"] == "appendonly is no, appendfsync is everysec"
    strict = {"url": redis_server.url, "require_durable": True}
    with serving(settings(store.path, events=strict)) as service:
        assert service.post("/events", json=click()).status_code == 503
        assert service.get("/readyz?verbose").json()["events"] == "unavailable"
    assert logged(capfd.readouterr().err, "events are off")


def test_bodies_without_any_event_let_other_requests_in_between(events_store: Store):
    bodies = [{"type": "http.request", "body": b"{}\n" * 4 * AT_ONCE}]
    headers = [(name.encode(), value.encode()) for name, value in NDJSON.items()]

    async def receive() -> Any:
        return bodies.pop()

    async def test() -> int:
        log = EventLog(settings(events_store.path))
        await log.open()
        services: Any = SimpleNamespace(events=log, metrics=Metrics())
        scope = {"type": "http", "method": "POST", "headers": headers}
        request = asyncio.create_task(send_events(Request(scope, receive), services))
        turns = 0
        while not request.done():
            turns += 1
            await asyncio.sleep(0)
        await log.close()
        assert orjson.loads(request.result().body)["accepted"] == 0
        return turns

    assert asyncio.run(test()) >= 4
