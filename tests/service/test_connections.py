"""Clients that hold connections: they are let go, and nobody else notices.

Times here only say when something is over; what is asserted is that it happens at all.
"""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest

from hashrec.index.artifacts.store import Store
from hashrec.service.http.connections import (
    MAX_HEAD_BYTES,
    MAX_HEADERS,
    MAX_PIPELINED,
    MAX_TARGET_BYTES,
)
from tests.service.serving import logged, serving, settings, wait_until

HEAD = b"GET /livez HTTP/1.1\r\nhost: test\r\n"
BATCH = (
    b"POST /recommend/batch HTTP/1.1\r\nhost: test\r\ncontent-type: application/json\r\n"
    b"content-length: 1000\r\n\r\n"
)


@pytest.fixture(scope="module")
def impatient(shared_store: Store) -> Generator[httpx.Client]:
    """A client of a service that waits half a second for clients."""
    service = settings(shared_store.path, client_timeout_s=0.5, keep_alive_s=1)
    with serving(service) as client:
        yield client


@contextmanager
def connected(client: httpx.Client, sent: bytes = b"") -> Generator[socket.socket]:
    """A connection on which something was sent."""
    with socket.create_connection(("127.0.0.1", client.base_url.port), timeout=20) as connection:
        connection.sendall(sent)
        yield connection


def until_closed(connection: socket.socket) -> bytes:
    """What still comes until the service ends the connection."""
    came = b""
    try:
        while part := connection.recv(65_536):
            came += part
    except ConnectionResetError:  # the service did not read all that was sent
        pass
    return came


def is_held(local: int, remote: int) -> bool:
    """Whether a program still has its end of a connection, of which the system may keep more."""
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[1].endswith(f":{local:04X}") and fields[2].endswith(f":{remote:04X}"):
            return fields[9] != "0"  # the inode
    return False


def is_cut_off(connection: socket.socket, sent: bytes) -> bool:
    """Whether the service ends a connection on which the same is sent again and again."""
    for _ in range(1000):
        try:
            connection.sendall(sent)
        except (ConnectionResetError, BrokenPipeError):
            return True
    return False


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"\r\n",
        b"G",
        b"GET /livez HTTP/1.1\r\nhost: te",
        HEAD,
        BATCH,
        BATCH + b'{"user_ids"',
        BATCH.replace(b"content-length: 1000", b"transfer-encoding: chunked") + b"5\r\nhel",
    ],
)
def test_a_client_that_says_nothing_more_is_let_go(impatient: httpx.Client, sent: bytes):
    with connected(impatient, sent) as connection:
        until_closed(connection)


@pytest.mark.parametrize("sent", [b"", b"\r\n", HEAD])
def test_a_client_that_falls_silent_after_a_reply_is_let_go(impatient: httpx.Client, sent: bytes):
    with connected(impatient, HEAD + b"\r\n") as connection:
        assert connection.recv(65_536).startswith(b"HTTP/1.1 200")
        connection.sendall(sent)
        assert until_closed(connection) == b""


def test_a_head_that_comes_drop_by_drop_is_not_waited_for(impatient: httpx.Client):
    with connected(impatient, HEAD) as connection:
        connection.settimeout(0.02)
        for _ in range(1000):
            try:
                connection.sendall(b"x: y\r\n")
                if connection.recv(1) == b"":
                    return
            except TimeoutError:
                continue
            except (ConnectionResetError, BrokenPipeError):
                return
        pytest.fail("it was waited for")


def test_a_body_that_keeps_coming_is_waited_for(impatient: httpx.Client):
    body = b'{"user_ids": ["u1"]}'
    with connected(impatient, BATCH.replace(b"1000", b"%d" % len(body))) as connection:
        for place in range(len(body)):
            time.sleep(0.05)  # the body as a whole takes twice the limit
            connection.sendall(body[place : place + 1])
        assert connection.recv(65_536).startswith(b"HTTP/1.1 200")


def test_a_client_that_does_not_read_its_reply_is_let_go(impatient: httpx.Client):
    body = b'{"k": 40, "user_ids": [' + b",".join([b'"u1"'] * 1000) + b"]}"
    request = BATCH.replace(b"1000", b"%d" % len(body)) + body
    with connected(impatient, request * 5) as connection:  # 15 MB, more than the system keeps
        ends = connection.getpeername()[1], connection.getsockname()[1]
        wait_until(lambda: not is_held(*ends))


def test_requests_that_are_sent_ahead_are_answered_in_order_up_to_a_number(
    impatient: httpx.Client,
):
    def request(number: int, more: bytes = b"") -> bytes:
        return b"GET /nothing/%d HTTP/1.1\r\nhost: test\r\n%b\r\n" % (number, more)

    ahead = [request(number) for number in range(MAX_PIPELINED)]
    last = request(MAX_PIPELINED, b"connection: close\r\n")
    with connected(impatient, b"".join([*ahead, last])) as connection:
        found = re.findall(rb'"instance":"/nothing/(\d+)"', until_closed(connection))
        assert found == [b"%d" % number for number in range(MAX_PIPELINED + 1)]
    with connected(impatient) as connection:
        assert is_cut_off(connection, b"".join(ahead * 50))


def test_silent_clients_leave_the_others_alone(impatient: httpx.Client):
    with ExitStack() as held:
        for number in range(150):
            sent = (b"", b"GET /recommend/u", HEAD)[number % 3]
            held.enter_context(connected(impatient, sent))
        for number in range(50):
            assert impatient.get(f"/recommend/u{number}").status_code == 200


def test_a_reply_that_takes_longer_is_not_cut_off(shared_store: Store):
    """The limits are for what the client does, not for what the service does."""
    from hashrec.service.app import create_app

    app = create_app(settings(shared_store.path, client_timeout_s=0.1))
    over = threading.Event()

    @app.get("/slow")
    def slow() -> str:
        over.wait(20)
        return "done"

    with (
        serving(app, client_timeout_s=0.1) as client,
        connected(client, b"GET /slow HTTP/1.1\r\nhost: test\r\n\r\n") as alone,
        connected(client, b"GET /slow HTTP/1.1\r\nhost: test\r\n\r\nGET /liv") as pipelined,
    ):
        with connected(client) as silent:  # when it is let go, their time would be over too
            until_closed(silent)
        over.set()
        for connection in (alone, pipelined):
            assert connection.recv(65_536).endswith(b'"done"')


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET /" + b"x" * MAX_TARGET_BYTES + b" HTTP/1.1\r\nhost: test\r\n\r\n", 414),
        (HEAD + b"x: y\r\n" * MAX_HEADERS + b"\r\n", 431),
        (HEAD + b"x: y\r\n" * 20_000, 431),
        (HEAD + b"x: " + b"y" * (MAX_HEAD_BYTES + 400_000), 431),
        (b"GET /" + b"x" * (MAX_HEAD_BYTES + 400_000), 431),
        (b"nonsense\r\n\r\n", 400),
    ],
)
def test_a_head_that_is_too_large_is_refused_with_a_problem(
    impatient: httpx.Client, sent: bytes, status: int
):
    with connected(impatient) as connection:
        connection.settimeout(20)
        reply = b""
        try:
            for place in range(0, len(sent), 50_000):
                connection.sendall(sent[place : place + 50_000])
                time.sleep(0.002)  # so that the service reads it in parts
            reply = until_closed(connection)
        except (ConnectionResetError, BrokenPipeError):
            reply = until_closed(connection)
        if reply:  # a connection that is reset with bytes unread may take the reply with it
            assert reply.startswith(b"HTTP/1.1 %d " % status)
            assert b"application/problem+json" in reply
            assert b'"status":%d' % status in reply


def test_the_largest_head_that_is_allowed_gets_its_answer(impatient: httpx.Client):
    path = "/recommend/u1?" + "&".join(f"exclude={number:050d}" for number in range(1000))
    assert impatient.get(path).status_code == 200
    headers = {f"x-{number}": "y" for number in range(MAX_HEADERS - 10)}
    assert impatient.get("/livez", headers=headers).status_code == 200


def test_endless_trailers_are_not_kept(impatient: httpx.Client):
    head = BATCH.replace(b"content-length: 1000", b"transfer-encoding: chunked")
    head += b"2\r\n{}\r\n0\r\n"
    with connected(impatient, head) as connection:
        assert is_cut_off(connection, b"x: y\r\n" * 10_000)
    with connected(impatient, head + b"x: ") as connection:
        assert is_cut_off(connection, b"y" * 100_000)


def test_letting_go_of_clients_is_no_error(shared_store: Store, capfd: pytest.CaptureFixture[str]):
    with serving(settings(shared_store.path, client_timeout_s=0.1)) as client:
        with connected(client, BATCH + b"{") as connection:
            until_closed(connection)
        assert client.get("/readyz").status_code == 200
    assert logged(capfd.readouterr().err, "request failed") == []
