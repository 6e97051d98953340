"""Load test of a running service: requests in a closed loop over kept-alive connections."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

import numpy as np

from hashrec.index.errors import ConfigError
from hashrec.service.errors import FailedRequestsError, ServiceAwayError

WARM_UP_REQUESTS = 50


@dataclass(frozen=True, slots=True)
class LoadReport:
    """Figures of a load test.

    Attributes:
        statuses: replies by status.
        latency_ms: from the first byte sent to the last byte read, by percentile.
    """

    requests: int
    seconds: float
    requests_per_second: float
    connections: int
    statuses: dict[str, int]
    latency_ms: dict[str, float]

    def require_success(self) -> None:
        """Check that every reply has a 2xx status.

        Raises:
            FailedRequestsError: some reply has another.
        """
        failed = {status: n for status, n in self.statuses.items() if status[0] != "2"}
        if failed:
            raise FailedRequestsError(failed, self.requests)


def load(
    url: str,
    target: str,
    user_ids: Sequence[str],
    *,
    connections: int,
    seconds: float,
    key: str | None = None,
) -> LoadReport:
    """Send GET requests for one user after the other; each connection waits for its reply.

    Args:
        url: URL of the service, for example `http://127.0.0.1:8000`.
        target: path and query of the requests; `{user}` is replaced by a user id.
        user_ids: users in the order of their requests; after the last comes the first again.
        connections: number of open connections, each with one request at a time.
        seconds: time after which no request is started.
        key: API key to send with each request.

    Raises:
        ConfigError: the URL is not of the form `http://HOST:PORT`, or the key cannot be sent.
        ServiceAwayError: no service answers at the URL, or it does not speak HTTP.
    """
    parts = urlsplit(url)
    if parts.scheme != "http" or not parts.hostname:
        raise ConfigError(f"{url}: write http://HOST:PORT")
    if key is not None and not (key.isascii() and key.isprintable()):
        raise ConfigError("the key holds characters that no API key has; check --key")
    host, port = parts.hostname, parts.port or 80
    base = parts.path.rstrip("/")
    headers = f"Host: {host}:{port}\r\n" + (f"X-API-Key: {key}\r\n" if key else "")
    requests = [
        f"GET {base}{target.replace('{user}', quote(user_id, safe=''))} HTTP/1.1\r\n"
        f"{headers}\r\n".encode()
        for user_id in user_ids
    ]
    try:
        asyncio.run(_ask(host, port, requests[:WARM_UP_REQUESTS], 1, None))
        start = time.perf_counter()
        replies = asyncio.run(_ask(host, port, requests, connections, start + seconds))
        took = time.perf_counter() - start
    except (OSError, asyncio.IncompleteReadError, ValueError) as error:
        raise ServiceAwayError(url, str(error) or type(error).__name__) from error
    milliseconds = np.array([reply[1] for reply in replies]) * 1000
    places = {"p50": 50, "p90": 90, "p99": 99, "p99.9": 99.9, "max": 100}
    return LoadReport(
        requests=len(replies),
        seconds=round(took, 3),
        requests_per_second=round(len(replies) / took, 1),
        connections=connections,
        statuses=dict(sorted(Counter(reply[0] for reply in replies).items())),
        latency_ms={
            name: round(float(np.percentile(milliseconds, place)), 3)
            for name, place in places.items()
        },
    )


async def _ask(
    host: str, port: int, requests: Sequence[bytes], connections: int, until: float | None
) -> list[tuple[str, float]]:
    """Send requests in turn until a time, or each once; return the status and seconds of each."""
    replies: list[tuple[str, float]] = []

    async def connection(first: int) -> None:
        reader, writer = await asyncio.open_connection(host, port)
        number = first
        while number < len(requests) if until is None else time.perf_counter() < until:
            start = time.perf_counter()
            writer.write(requests[number % len(requests)])
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
            length = head.partition("\r\ncontent-length: ")[2].partition("\r\n")[0]
            await reader.readexactly(int(length))
            replies.append((head[9:12], time.perf_counter() - start))
            number += connections
        writer.close()
        await writer.wait_closed()

    await asyncio.gather(*(connection(first) for first in range(connections)))
    return replies
