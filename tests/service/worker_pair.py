"""`hashrec serve` with two workers, and a connection to each of them."""

from __future__ import annotations

import os
import signal
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx

from tests.commands import Command
from tests.ports import free_port
from tests.service.serving import logged, wait_until
from tests.service.test_serve_command import worker_pids


def worker_of(reply: httpx.Response) -> str:
    """Tell workers apart by what their request ids begin with."""
    return reply.headers["x-request-id"].partition("-")[0]


@contextmanager
def worker_pair(store: Path, **environment: str) -> Generator[tuple[httpx.Client, httpx.Client]]:
    """Serve a store, and give a client of each worker: its one connection stays with it."""
    port, log = free_port(), store.parent / "log"
    log.touch()
    process = Command(
        *("serve", "--store", store, "--port", port, "--workers", 2),
        stderr=log,
        HASHREC_POLL_INTERVAL_S="0.05",
        HASHREC_KEEP_ALIVE_S="100",
        HASHREC_DRAIN_S="0",
        **environment,
    )
    clients: list[httpx.Client] = []

    def connect() -> bool:
        while clients:
            clients.pop().close()
        try:
            clients.extend(_client_beside(pid, port) for pid in worker_pids(process.pid))
            replies = [client.get("/readyz") for client in clients]
        except (httpx.TransportError, ProcessLookupError):
            return False
        return [reply.status_code for reply in replies] == [200, 200]

    try:
        # Not before both are up: a worker that is stopped while it starts takes longer to.
        wait_until(lambda: len(logged(log.read_text(), "model served")) == 2, 100)
        wait_until(connect)
        yield clients[0], clients[1]
    finally:
        for client in clients:
            client.close()
        process.terminate()
        process.wait(30)


def _client_beside(worker: int, port: int) -> httpx.Client:
    """Connect to the other worker: the socket is of both, so one is stopped meanwhile."""
    client = httpx.Client(
        base_url=f"http://127.0.0.1:{port}",
        limits=httpx.Limits(max_connections=1, keepalive_expiry=None),
        timeout=30,
    )
    try:
        os.kill(worker, signal.SIGSTOP)
        client.get("/livez", timeout=2)
    except (httpx.TransportError, ProcessLookupError):
        client.close()
        raise
    finally:
        with suppress(ProcessLookupError):
            os.kill(worker, signal.SIGCONT)
    return client
