"""Events: what 202 is worth, how many a second, and how soon they show.

    python -m benchmarks.events [--journal sqlite] [--kills 200] [--seconds 5] [--json FILE]

`--journal redis` starts a Redis server with an append-only file that is flushed before each reply.

Kills: four clients post one event after another to `hashrec serve`, which is killed with SIGKILL
right after one of the first replies; in the end every event that had a 202 must be in the journal.
Rate: events a second of two workers over 32 connections, one event a request and a hundred.
Effect: a user's best item is posted as an event over a connection to one worker; measured is the
time from the 202 until neither worker's answer has it. What a request takes is in it.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Generator
from contextlib import closing, contextmanager, suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

from benchmarks.http import N_USERS, publish_catalogue
from hashrec.index.live.journal import open_journal

CLIENTS, CONNECTIONS, ROUNDS = 4, 32, 100


def post(connection: HTTPConnection, body: object) -> None:
    """Post events, and require that they were accepted."""
    connection.request("POST", "/events", json.dumps(body))
    reply = connection.getresponse()
    content = reply.read()
    if reply.status != 202:
        raise SystemExit(f"{reply.status}: {content.decode()}")


def event(event_id: str, user: int = 0, item_id: str = "0") -> dict[str, str]:
    """Return an event as a client sends it."""
    return {"user_id": str(user), "item_id": item_id, "type": "click", "event_id": event_id}


@contextmanager
def served(store: Path, url: str, workers: int) -> Generator[tuple[int, subprocess.Popen[bytes]]]:
    """Run `hashrec serve` until it is ready."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = (sys.executable, "-m", "hashrec", "serve", "--store", str(store))
    process = subprocess.Popen(
        [*command, "--port", str(port), "--workers", str(workers)],
        env={**os.environ, "HASHREC_EVENTS__URL": url, "HASHREC_LOG_LEVEL": "error"},
    )
    try:
        while not is_ready(port):
            if process.poll() is not None:
                raise SystemExit("the service did not start")
            time.sleep(0.02)
        yield port, process
    finally:
        process.terminate()
        process.wait()


def is_ready(port: int) -> bool:
    """Tell whether the service answers."""
    with suppress(OSError, HTTPException), closing(HTTPConnection("127.0.0.1", port)) as asked:
        asked.request("GET", "/readyz")
        return asked.getresponse().status == 200
    return False


def kills(store: Path, url: str, n_kills: int) -> dict[str, int]:
    """Kill the service again and again, and look for what it accepted."""
    accepted: list[str] = []

    def write(port: int, name: str) -> None:
        with suppress(OSError, HTTPException), closing(HTTPConnection("127.0.0.1", port)) as client:
            for number in range(1_000_000):
                post(client, event(f"{name}-{number}"))
                accepted.append(f"{name}-{number}")

    draw = random.Random(0)
    for kill in range(n_kills):
        with served(store, url, workers=1) as (port, process):
            wanted = len(accepted) + draw.randint(1, 20)
            threads = [
                threading.Thread(target=write, args=(port, f"{kill}-{client}"))
                for client in range(CLIENTS)
            ]
            for thread in threads:
                thread.start()
            while len(accepted) < wanted:
                time.sleep(0.0001)
            process.send_signal(signal.SIGKILL)
            for thread in threads:
                thread.join()
    kept: set[str] = set()
    with closing(open_journal(url)) as journal:
        position = 0
        while entries := journal.read(position):
            position = entries[-1].position
            kept.update(entry.record.event_id for entry in entries)  # pyright: ignore
    return {"kills": n_kills, "accepted": len(accepted), "lost": len(set(accepted) - kept)}


def rate(port: int, seconds: float, at_once: int) -> float:
    """Return events a second over many connections."""
    end = time.monotonic() + seconds
    counts = [0] * CONNECTIONS

    def write(number: int) -> None:
        with closing(HTTPConnection("127.0.0.1", port)) as client:
            while time.monotonic() < end:
                name = f"r{at_once}-{number}-{counts[number]}"
                events = [event(f"{name}-{place}", number) for place in range(at_once)]
                post(client, events[0] if at_once == 1 else events)
                counts[number] += at_once

    threads = [threading.Thread(target=write, args=(number,)) for number in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / seconds


def effect(port: int) -> dict[str, float]:
    """Return milliseconds from a 202 until no worker's answer has the item."""
    workers = connections_to_both(port)

    def items(connection: HTTPConnection, user: int) -> list[str]:
        connection.request("GET", f"/recommend/{user}")
        return [item["item_id"] for item in json.loads(connection.getresponse().read())["items"]]

    took: dict[str, list[float]] = {"writer": [], "other": []}
    for number in range(ROUNDS):
        writer, other = workers if number % 2 else workers[::-1]
        user = 100 + number % (N_USERS - 100)
        (taken, *_), _ = items(writer, user), items(other, user)
        post(writer, event(f"effect-{number}", user, taken))
        accepted = time.perf_counter()
        for name, connection in (("other", other), ("writer", writer)):
            while taken in items(connection, user):
                pass
            took[name].append((time.perf_counter() - accepted) * 1000)
    return {
        f"{name}_{what}_ms": round(figure, 2)
        for name, times in took.items()
        for what, figure in (("median", statistics.median(times)), ("most", max(times)))
    }


def connections_to_both(port: int) -> list[HTTPConnection]:
    """Open connections, many at a time, until two workers have one each."""
    found: dict[str, HTTPConnection] = {}
    while len(found) < 2:
        several = [HTTPConnection("127.0.0.1", port) for _ in range(16)]
        for connection in several:
            connection.connect()
        for connection in several:
            connection.request("GET", "/livez")
            reply = connection.getresponse()
            reply.read()
            found.setdefault(reply.headers["x-request-id"].partition("-")[0], connection)
    return list(found.values())


@contextmanager
def journal_url(kind: str, folder: Path) -> Generator[str]:
    """Make a place for a journal."""
    if kind == "sqlite":
        yield f"sqlite://{folder}/state/journal.sqlite"
        return
    from tests.service.serving import RedisServer

    server = RedisServer(folder).start("--appendonly", "yes", "--appendfsync", "always")
    yield server.url
    server.kill()


def main() -> None:
    """Measure, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--journal", choices=("sqlite", "redis"), default="sqlite")
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    figures: dict[str, Any] = {"journal": options.journal}
    with tempfile.TemporaryDirectory() as folder, journal_url(options.journal, Path(folder)) as url:
        store = Path(folder) / "store"
        publish_catalogue(store)
        with served(store, url, workers=2) as (port, _):
            for at_once in (1, 100):
                figures[f"events_a_second_{at_once}"] = round(rate(port, options.seconds, at_once))
            figures |= effect(port)
        figures |= kills(store, url, options.kills)
    print(json.dumps(figures, indent=2))
    if options.json is not None:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")
    if figures["lost"]:
        raise SystemExit("accepted events were lost")


if __name__ == "__main__":
    main()
