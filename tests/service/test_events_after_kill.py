"""An accepted event outlives the process that accepted it, and shows at once in every other."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import httpx
import pytest

from hashrec.index.artifacts.store import Store
from hashrec.index.live.journal import open_journal
from tests.commands import Command
from tests.ports import free_port
from tests.service.serving import RedisServer, wait_until

DURABLE = ("--appendonly", "yes", "--appendfsync", "always")


@contextmanager
def serve(store: Store, journal: str, workers: int = 1) -> Generator[tuple[httpx.URL, int]]:
    """Run `hashrec serve` until it is ready, and kill whatever is left of it at the end."""
    port = free_port()
    process = Command(
        *("serve", "--store", store.path, "--port", port, "--workers", workers),
        HASHREC_EVENTS__URL=journal,
        HASHREC_DRAIN_S="0",
    )
    url = httpx.URL(f"http://127.0.0.1:{port}")

    def is_ready() -> bool:
        assert process.poll() is None
        try:
            return client.get("/readyz").status_code == 200
        except httpx.TransportError:
            return False

    try:
        with httpx.Client(base_url=url) as client:
            wait_until(is_ready)
        yield url, process.pid
    finally:
        process.terminate()
        process.wait(20)


def event(event_id: str, item_id: str = "i1") -> dict[str, str]:
    return {"user_id": "u1", "item_id": item_id, "type": "click", "event_id": event_id}


def post_until_it_dies(url: httpx.URL, name: str, accepted: list[str]) -> None:
    with httpx.Client(base_url=url, timeout=20) as client:
        for number in range(100_000):
            try:
                reply = client.post("/events", json=event(f"{name}-{number}"))
            except httpx.TransportError:
                return
            assert reply.status_code == 202
            accepted.append(f"{name}-{number}")


@pytest.fixture(params=["sqlite", "redis"])
def journal(request: pytest.FixtureRequest, tmp_path: Path) -> Generator[str]:
    """The URL of a journal of each kind."""
    if request.param == "sqlite":
        yield f"sqlite://{tmp_path}/journal.sqlite"
        return
    server = RedisServer(tmp_path).start(*DURABLE)
    yield server.url
    server.kill()


def test_every_accepted_event_is_there_after_its_process_was_killed(store: Store, journal: str):
    accepted: list[str] = []
    for cycle, wanted in enumerate((1, 20, 40)):
        with serve(store, journal) as (url, pid):
            clients = [
                threading.Thread(target=post_until_it_dies, args=(url, f"{cycle}-{n}", accepted))
                for n in range(4)
            ]
            for client in clients:
                client.start()
            wait_until(lambda wanted=wanted: len(accepted) >= wanted)
            os.kill(pid, signal.SIGKILL)
            for client in clients:
                client.join()
    with closing(open_journal(journal)) as opened:
        kept = [entry.record.event_id for entry in opened.read(limit=1_000_000)]
    assert len(accepted) >= 40
    assert set(accepted) <= set(kept)
    assert len(set(kept)) == len(kept) <= len(accepted) + 3 * 4  # and what was under way


@contextmanager
def a_client_of_each_worker(url: httpx.URL, n_workers: int) -> Generator[list[httpx.Client]]:
    """Connect often enough at once that every worker takes a connection, and keep one of each."""
    found: dict[str, httpx.Client] = {}

    def connect(_: int) -> None:
        client = httpx.Client(base_url=url)
        worker = client.get("/livez").headers["x-request-id"].partition("-")[0]
        if found.setdefault(worker, client) is not client:
            client.close()

    def is_complete() -> bool:
        list(threads.map(connect, range(8)))
        return len(found) == n_workers

    with ThreadPoolExecutor(8) as threads:
        wait_until(is_complete)
    try:
        yield list(found.values())
    finally:
        for client in found.values():
            client.close()


def test_an_accepted_event_shows_in_the_next_answer_of_every_worker(store: Store, journal: str):
    def items(client: httpx.Client) -> list[str]:
        return [item["item_id"] for item in client.get("/recommend/u1?k=5").json()["items"]]

    with serve(store, journal, workers=2) as (url, _), a_client_of_each_worker(url, 2) as clients:
        for number in range(6):
            writer, other = clients if number % 2 else reversed(clients)
            taken = items(other)[0]
            assert writer.post("/events", json=event(f"e{number}", taken)).status_code == 202
            assert taken not in items(writer)
            if journal.startswith("redis"):  # another worker hears of it a moment later
                wait_until(lambda other=other, taken=taken: taken not in items(other))
            assert taken not in items(other)
            assert len(items(other)) == 5
