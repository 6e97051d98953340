"""Metrics tell the truth: what a client counts and what two workers count, exactly.

    python -m benchmarks.count_requests [--requests 100000] [--workers 2]

Requests of many kinds go over connections that end and begin again, so that every worker has its
share. Afterwards `http_request_duration_seconds_count` by method, route and status, and the lists
in `hashrec_recommend_requests_total`, must be what the client counted; else the exit status is 1.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple
from urllib.request import urlopen

from prometheus_client.parser import text_string_to_metric_families

from benchmarks.http import publish_catalogue, serve

CONNECTIONS = 8
AN_END = 250  # requests on a connection before a new one takes its place
SETTLES_S = 30.0  # a reply can be here before its request is counted


class Kind(NamedTuple):
    """A kind of request.

    Attributes:
        route: the template that it is counted under.
        status: of the reply that it must get.
        lists: recommendations in that reply.
    """

    method: str
    target: str
    route: str
    status: int
    lists: int = 0
    headers: str = ""
    body: str = ""

    def message(self) -> bytes:
        """Return the request as it is sent."""
        more = f"content-type: application/json\r\ncontent-length: {len(self.body)}\r\n"
        return (
            f"{self.method} {self.target} HTTP/1.1\r\nhost: count\r\n{self.headers}"
            f"{more if self.body else ''}\r\n{self.body}"
        ).encode()


USER, BATCH = "/recommend/{user_id}", "/recommend/batch"
KINDS = (
    Kind("GET", "/recommend/0", USER, 200, lists=1),
    Kind("GET", "/v1/recommend/1?k=20", USER, 200, lists=1),
    Kind("GET", "/recommend/2?exclude_seen=false", USER, 200, lists=1),
    Kind("GET", "/recommend/nobody", USER, 200, lists=1),
    Kind("GET", "/recommend/0", USER, 304, lists=1, headers="if-none-match: *\r\n"),
    Kind("GET", "/recommend/0?k=0", USER, 422),
    Kind("HEAD", "/recommend/0", USER, 200, lists=1),
    Kind("OPTIONS", "/popular", "/popular", 204),
    Kind("DELETE", "/popular", "/popular", 405),
    Kind("PROPFIND", "/popular", "/popular", 405),
    Kind("GET", "/popular?k=500", "/popular", 200, headers="accept-encoding: gzip\r\n"),
    Kind("GET", "/items/nothing/similar", "/items/{item_id}/similar", 404),
    Kind("GET", "/nothing", "unmatched", 404),
    Kind("POST", "/recommend/batch", BATCH, 200, lists=2, body='{"user_ids": ["0", "x"]}'),
    Kind("POST", "/recommend/batch", BATCH, 422, body="{}"),
    Kind("GET", "/livez", "/livez", 200),
)
Counts = Counter[tuple[str, str, str]]  # by method, route and status


async def send(port: int, n_requests: int) -> tuple[Counts, int]:
    """Send requests of every kind in turn.

    Returns:
        The replies by what their requests are counted under, and the lists in them.

    Raises:
        SystemExit: a reply has another status than its kind of request must get.
    """
    counts: Counts = Counter()
    lists = 0

    async def connection(first: int) -> None:
        nonlocal lists
        numbers = range(first, n_requests, CONNECTIONS)
        for begin in range(0, len(numbers), AN_END):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            for number in numbers[begin : begin + AN_END]:
                kind = KINDS[number // CONNECTIONS % len(KINDS)]
                writer.write(kind.message())
                head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
                status = int(head[9:12])
                length = head.partition("content-length: ")[2].partition("\r\n")[0]
                if kind.method != "HEAD" and length:
                    await reader.readexactly(int(length))
                if status != kind.status:
                    raise SystemExit(f"{kind.method} {kind.target}: {head}")
                method = "OTHER" if kind.method == "PROPFIND" else kind.method
                counts[method, kind.route, str(status)] += 1
                lists += kind.lists
            writer.close()
            await writer.wait_closed()

    await asyncio.gather(*(connection(first) for first in range(CONNECTIONS)))
    return counts, lists


def counted(port: int) -> tuple[Counts, int]:
    """Read what the service counted, without what asks for it."""
    with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as response:
        text = response.read().decode()
    counts: Counts = Counter()
    lists = 0
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = sample.labels
            if sample.name == "http_request_duration_seconds_count":
                if labels["route"] not in {"/metrics", "/readyz"}:
                    of = labels["method"], labels["route"], labels["status"]
                    counts[of] += int(sample.value)
            elif sample.name == "hashrec_recommend_requests_total":
                lists += int(sample.value)
    return counts, lists


def settled(port: int, expected: tuple[Counts, int]) -> tuple[Counts, int]:
    """Read what the service counted as soon as it is what was expected, or after a while."""
    deadline = time.monotonic() + SETTLES_S
    while (found := counted(port)) != expected and time.monotonic() < deadline:
        time.sleep(0.05)
    return found


def main() -> None:
    """Run the script."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "store"
        publish_catalogue(store)
        server, port = serve(store, HASHREC_WORKERS=str(options.workers))
        try:
            started = time.perf_counter()
            expected = asyncio.run(send(port, options.requests))
            seconds = time.perf_counter() - started
            found = settled(port, expected)
        finally:
            server.terminate()
            server.wait()
    for of in sorted(expected[0] | found[0]):
        print(f"{' '.join(of):48} client {expected[0][of]:7}  workers {found[0][of]:7}")
    print(f"{'lists':48} client {expected[1]:7}  workers {found[1]:7}")
    print(f"{options.requests} requests in {seconds:.0f} s:", end=" ")
    print("the counts agree" if found == expected else "THE COUNTS DIFFER")
    raise SystemExit(0 if found == expected else 1)


if __name__ == "__main__":
    main()
