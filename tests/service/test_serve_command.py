"""`hashrec serve` as a process: what it refuses, how it ends, and several workers."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import orjson
import pytest

from hashrec.index.artifacts.store import Store
from hashrec.service.server import WORKER_START_S, listen
from tests.commands import Command, hashrec
from tests.ports import free_port
from tests.service.serving import metric, samples, wait_until


class Server:
    """A running `hashrec serve`."""

    def __init__(self, process: Command | subprocess.Popen[bytes], port: int, log: Path) -> None:
        self.process = process
        self.url = f"http://127.0.0.1:{port}"
        self._log = log

    def events(self) -> list[dict]:
        return [orjson.loads(line) for line in self._log.read_bytes().splitlines()]

    def is_ready(self) -> bool:
        assert self.process.poll() is None, self._log.read_text()
        try:
            return httpx.get(f"{self.url}/readyz").status_code == 200
        except httpx.TransportError:
            return False


@pytest.fixture
def serve(store: Store, tmp_path: Path) -> Callable[..., object]:
    """Run the command on the store and wait until it is ready."""

    @contextmanager
    def run(*options: str, **environment: str) -> Generator[Server]:
        port = free_port()
        log = tmp_path / "log"
        quick = {"HASHREC_POLL_INTERVAL_S": "0.05", "HASHREC_DRAIN_S": "0"}
        process = Command(
            *("serve", "--store", store.path, "--port", port, *options),
            stderr=log,
            **(quick | environment),
        )
        server = Server(process, port, log)
        try:
            wait_until(server.is_ready)
            yield server
        finally:
            process.terminate()
            try:
                process.wait(60)
            finally:
                process.kill()

    return run


def refused(*options: str, **environment: str) -> str:
    """Run a command that must fail, and return its one line."""
    done = hashrec("serve", *options, **environment)
    assert done.returncode == 1
    lines = [line for line in done.stderr.splitlines() if not line.startswith("{")]
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("error: ")
    return lines[0]


def test_a_store_that_is_not_there_is_refused():
    assert "/no/such/store: no such folder" in refused("--store", "/no/such/store")


def test_a_port_that_is_taken_is_refused(store: Store):
    with listen("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        said = refused("--store", str(store.path), "--port", str(port))
    assert f"127.0.0.1:{port}: Address already in use" in said
    assert "--port" in said


def test_an_address_that_is_not_ours_is_refused(store: Store):
    assert "cannot listen" in refused("--store", str(store.path), "--host", "nowhere.invalid")


def test_a_setting_that_does_not_exist_is_refused():
    assert "did you mean HASHREC_PORT?" in refused(HASHREC_PROT="1")


def test_the_command_is_light_until_it_runs():
    heavy = ("uvicorn", "fastapi", "redis", "faiss", "torch", "pydantic")
    check = f"import sys, hashrec.service.cli; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, check=True)
    assert done.stdout.strip() == b"[]"


def test_sigterm_fails_readiness_first_and_loses_no_request(serve):
    with serve(HASHREC_DRAIN_S="3600") as server, httpx.Client(base_url=server.url) as client:
        answers: list[int] = []
        over = threading.Event()

        def ask() -> None:
            with httpx.Client(base_url=server.url, timeout=30) as client:
                while not over.is_set():
                    answers.append(client.get("/recommend/u1").status_code)

        thread = threading.Thread(target=ask)
        thread.start()
        wait_until(lambda: len(answers) > 10)
        server.process.send_signal(signal.SIGTERM)
        wait_until(lambda: client.get("/readyz").status_code == 503)
        assert client.get("/readyz").json()["detail"] == "the service is ending"
        assert client.get("/livez").headers["connection"] == "close"
        served = len(answers)
        wait_until(lambda: len(answers) > served + 10)  # it is still there for those who come
        over.set()
        thread.join()
        assert set(answers) == {200}
        server.process.send_signal(signal.SIGTERM)  # a second one ends the wait
        assert server.process.wait(20) == 0


def test_a_request_that_is_under_way_is_finished(serve):
    body = b'{"user_ids": ["u1", "u2"]}'
    head = (
        b"POST /recommend/batch HTTP/1.1\r\nhost: test\r\ncontent-type: application/json\r\n"
        b"content-length: %d\r\n\r\n" % len(body)
    )

    def is_closed() -> bool:
        try:
            httpx.get(f"{server.url}/livez")
        except httpx.TransportError:
            return True
        return False

    with serve(HASHREC_DRAIN_S="0") as server:
        address = ("127.0.0.1", httpx.URL(server.url).port)
        with socket.create_connection(address, timeout=20) as slow:
            slow.sendall(head + body[:9])
            for _ in range(3):  # the server's loop has turned, and so read what was sent
                assert httpx.get(f"{server.url}/livez").status_code == 200
            server.process.send_signal(signal.SIGTERM)
            wait_until(is_closed)
            slow.sendall(body[9:])
            assert slow.recv(65_536).startswith(b"HTTP/1.1 200 OK")
        assert server.process.wait(20) == 0


def test_logs_are_one_json_object_a_line_without_user_ids(serve):
    with serve(HASHREC_LOG_REQUESTS="all") as server:
        headers = {"x-request-id": "trace-me"}
        assert httpx.get(f"{server.url}/recommend/u17", headers=headers).status_code == 200

        def lines() -> list[dict]:
            return [event for event in server.events() if event.get("request_id") == "trace-me"]

        wait_until(lines)  # it is written when the reply has gone
        events = server.events()
        (line,) = lines()
        assert line["route"] == "/recommend/{user_id}"
        assert (line["status"], line["method"], line["level"]) == (200, "GET", "info")
        assert line["milliseconds"] > 0
        assert "u17" not in str(events)
        assert {"serving", "model served"} <= {event["event"] for event in events}


def test_failures_are_logged_and_the_rest_only_on_request(serve):
    with serve() as server:
        httpx.get(f"{server.url}/recommend/u17")
        assert "request" not in {event["event"] for event in server.events()}


def test_two_workers_sum_their_metrics_and_both_swap(serve, store: Store, artifacts: list[Path]):
    def versions(client: httpx.Client) -> set[str]:
        return {
            client.get("/recommend/u1", headers={"connection": "close"}).headers["x-model-version"]
            for _ in range(20)
        }

    with serve("--workers", "2") as server, client_of(server) as client:
        wait_until(lambda: len(workers_that_answer(client)) == 2)
        labels = {"route": "/recommend/{user_id}", "status": "200"}
        for _ in range(100):
            client.get("/recommend/u2", headers={"connection": "close"})

        def counted() -> float:
            return metric(client, "http_request_duration_seconds_count", **labels)

        wait_until(lambda: counted() == 100)  # a request is counted when its reply has gone
        assert {counted() for _ in range(5)} == {100}, "whichever worker is asked"
        lists = samples(client, "hashrec_recommend_requests_total")
        assert sum(value for _, value in lists) == 100
        assert metric(client, "hashrec_index_items") == 40

        version = store.publish(artifacts[1])
        wait_until(lambda: versions(client) == {version})
        info = samples(client, "hashrec_model_info")
        assert info == [({"version": version, "bits": "32"}, 1.0)]

        (folder,) = metrics_folders(server.process.pid)
        assert folder.is_dir()
        server.process.terminate()
        assert server.process.wait(30) == 0
        assert not folder.exists()


# The supervisor asks each worker in turn whether it lives, and waits for the answer of one that
# starts, or was killed after the question, as long as a start may take.
@pytest.mark.timeout(5 * WORKER_START_S)
def test_a_killed_worker_is_replaced(serve):
    with serve("--workers", "2") as server, client_of(server) as client:
        wait_until(lambda: len(workers_that_answer(client)) == 2)
        before = worker_pids(server.process.pid)
        assert len(before) == 2
        os.kill(before[0], signal.SIGKILL)

        def replaced() -> bool:
            now = worker_pids(server.process.pid)
            return before[0] not in now and before[1] in now and len(now) == 2

        wait_until(replaced, 2 * WORKER_START_S)
        wait_until(lambda: len(workers_that_answer(client)) == 2)
        assert client.get("/readyz").status_code == 200


def client_of(server: Server) -> httpx.Client:
    return httpx.Client(base_url=server.url, timeout=30)


def workers_that_answer(client: httpx.Client) -> set[str]:
    """Tell workers apart by what their request ids begin with."""
    replies = [client.get("/livez", headers={"connection": "close"}) for _ in range(20)]
    return {reply.headers["x-request-id"].partition("-")[0] for reply in replies}


def worker_pids(parent: int) -> list[int]:
    """Children of the command that serve, as opposed to the interpreter's own tracker."""
    found = []
    for pid in Path(f"/proc/{parent}/task/{parent}/children").read_text().split():
        # A child that was killed may be gone between the list and the look at it.
        with suppress(FileNotFoundError, ProcessLookupError):
            if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.append(int(pid))
    return found


def metrics_folders(parent: int) -> set[Path]:
    found = set()
    for pid in worker_pids(parent):
        environment = Path(f"/proc/{pid}/environ").read_text()
        match = re.search(r"PROMETHEUS_MULTIPROC_DIR=([^\0]+)", environment)
        assert match is not None
        found.add(Path(match[1]))
    return found


def test_another_server_can_run_the_application_from_the_environment(store: Store):
    port = free_port()
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "uvicorn", "--factory", "hashrec.service.app:from_environment"),
            *("--port", str(port), "--no-access-log"),
        ],
        env={**os.environ, "HASHREC_STORE": str(store.path), "HASHREC_DRAIN_S": "0"},
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until(Server(process, port, Path(os.devnull)).is_ready)
        reply = httpx.get(f"http://127.0.0.1:{port}/recommend/u1")
        assert reply.json()["model_version"] == store.current()
    finally:
        process.terminate()
        process.wait(20)
