"""Requests that no library would send, over raw sockets: refused or answered, never a failure."""

from __future__ import annotations

import re
import socket
from collections.abc import Generator
from pathlib import Path

import httpx
import pytest

from hashrec.index.artifacts.store import Store
from tests.service.serving import samples, serving, settings

IDS = (
    *("0", "-1", "9223372036854775808", "1" + "0" * 400, "%00", "%D9%A1", "%F0%9D%9F%99", "%FF"),
    *("%ED%A0%80", "%C0%AE", "..", "%2E%2E%2F", "%", "%zz", "x" * 513, "%00" * 300, "a%0D%0Ab"),
    *("{user_id}", "$(id)", "'%20OR%201=1--", "%E2%80%AE", "e%CC%81", "null", "NaN"),
)
NUMBERS = (
    *("1000000000", "-1", "0", "1e3", "%D9%A3", "0x10", "1_0", "%205", "%2B5", "NaN", "inf", ""),
    *("9" * 5000, "-0", "1.0", "1" + "0" * 400, "null", "true", "[]"),
)
PATHS = ("/recommend/{}", "/items/{}/similar", "/users/{}/similar", "/items/{}", "/users/{}")
QUERIES = (
    *("k={}", "n={}", "diversity={}", "cursor={}", "explain={}", "strict={}", "exclude={}"),
    *("include={}", "category={}", "category_mode={}", "fields={}", "{}=1", "{}", "k=1&{}"),
)
BODIES = (
    *(b"", b"null", b"0", b"[]", b"{", b"\xff\xfe", b'"\\ud800"', b"[" * 100_000),
    *(b'{"positive": ' + b"[" * 50_000, b'{"k": 1e999}', b'{"k": NaN}', b'{"k": 1' + b"0" * 5000),
    *(b'{"positive": ["\\ud800"]}', b'{"positive": [null, 1, {}]}', b'{"k": 1, "k": 2}'),
    *(b'{"user_ids": ["\\u0000"]}', b'{"user_ids": [""]}', b"\x1f\x8b\x08\x00", b"\n" * 1000),
    b'{"user_id": "u", "item_id": "i", "type": "click", "timestamp": 1e308}',
    b'{"user_id": "u", "item_id": "i", "type": "\\u0000"}',
)
CLOSE = b"host: test\r\nconnection: close\r\n"
FRAMES = (
    b"POST /recommend HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n"
    b"\r\n0\r\n\r\nGET /livez HTTP/1.1\r\n\r\n",
    b"POST /recommend HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{} ",
    b"POST /recommend HTTP/1.1\r\nhost: a\r\ncontent-length: -1\r\n\r\n",
    b"POST /recommend HTTP/1.1\r\nhost: a\r\ncontent-length: +2\r\n\r\n{}",
    b"POST /recommend HTTP/1.1\r\nhost: a\r\ncontent-length: 1" + b"0" * 400 + b"\r\n\r\n",
    b"POST /recommend HTTP/1.1\r\nhost: a\r\ncontent-length: \r\n\r\n",
    b"POST /recommend HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip\r\n\r\n{}",
    b"POST /recommend HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n"
    b"FFFFFFFFFFFFFFFFFF\r\n",
    b"POST /recommend HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n-1\r\n\r\n",
    b"POST /recommend HTTP/1.1\r\nhost: a\r\ncontent-encoding: gzip\r\ncontent-length: 2\r\n\r\n{}",
    b"POST /recommend HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n",
    b"GET /livez\r\n\r\n",
    b"GET /livez HTTP/9.9\r\n\r\n",
    b"GET /livez HTTP/1.1\nhost: a\n\n",
    b"GET /livez HTTP/1.1\r\nhost: a\r\n folded\r\n\r\n",
    b"GET /livez HTTP/1.1\r\nhost : a\r\n\r\n",
    b"GET /livez HTTP/1.1\r\nx: a\x00b\r\n\r\n",
    b"GET /livez HTTP/1.1\r\n\xff: \xff\r\n\r\n",
    b"GET /livez HTTP/1.1\r\nx-request-id: \xff\xfe\r\nx-api-key: \xff\r\n" + CLOSE + b"\r\n",
    b"GET http://elsewhere.example/livez HTTP/1.1\r\n" + CLOSE + b"\r\n",
    b"GET //livez HTTP/1.1\r\n" + CLOSE + b"\r\n",
    b"GET livez HTTP/1.1\r\n" + CLOSE + b"\r\n",
    b"GET /\xff HTTP/1.1\r\n" + CLOSE + b"\r\n",
    b"OPTIONS * HTTP/1.1\r\n" + CLOSE + b"\r\n",
    b"CONNECT elsewhere.example:443 HTTP/1.1\r\n" + CLOSE + b"\r\n",
    b"TRACE /livez HTTP/1.1\r\n" + CLOSE + b"\r\n",
    b"get /livez HTTP/1.1\r\n" + CLOSE + b"\r\n",
    b"X" * 70_000 + b" / HTTP/1.1\r\n\r\n",
    b"GET /livez HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n",
    b"GET /livez HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 500,
    b"\x00" * 1000,
    b"GET /recommend/" + b"x" * 1_048_576 + b" HTTP/1.1\r\nhost: a\r\n\r\n",
    b"GET /livez HTTP/1.1\r\n" + b"x: y\r\n" * 20_000 + b"\r\n",
)


@pytest.fixture(scope="module")
def client(shared_store: Store) -> Generator[httpx.Client]:
    """A client of a service that does not wait long for the rest of a request."""
    with serving(settings(shared_store.path, client_timeout_s=0.5, keep_alive_s=1)) as client:
        yield client


def reply_to(client: httpx.Client, *parts: bytes) -> bytes:
    """What comes back until the service ends the connection."""
    came = b""
    with socket.create_connection(("127.0.0.1", client.base_url.port), timeout=20) as connection:
        try:
            for part in parts:
                connection.sendall(part)
            while part := connection.recv(65_536):
                came += part
        except (ConnectionResetError, BrokenPipeError):  # it is refused before all of it was sent
            pass
    return came


def assert_is_no_failure(reply: bytes, sent: bytes) -> None:
    """Check that a reply, if any came, is an answer or says what is wrong with the request."""
    statuses = [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", reply)]
    assert all(status < 500 for status in statuses), (sent[:200], reply[:500])
    for trace in (b"Traceback", b'File "', b"site-packages"):
        assert trace not in reply, sent[:200]
    if statuses and statuses[-1] >= 400 and b"\r\n\r\n" in reply:
        assert b"application/problem+json" in reply, (sent[:200], reply[:500])


def get(target: str) -> bytes:
    """A GET request for a target, sent as it stands."""
    return b"GET " + target.encode() + b" HTTP/1.1\r\n" + CLOSE + b"\r\n"


def post(path: str, body: bytes) -> bytes:
    """A POST request with a body that may not be JSON."""
    head = (
        f"POST {path} HTTP/1.1\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n"
    )
    return head.encode() + CLOSE + b"\r\n" + body


@pytest.mark.parametrize("path", [*PATHS, "/popular?user_id={}", "/v1/latest?user_id={}"])
def test_ids_of_every_kind_are_answered_or_refused(client: httpx.Client, path: str):
    for value in IDS:
        request = get(path.replace("{}", value))
        reply = reply_to(client, request)
        assert reply.startswith(b"HTTP/1.1 "), request[:200]
        assert_is_no_failure(reply, request)


@pytest.mark.parametrize("query", QUERIES)
def test_parameters_of_every_kind_are_answered_or_refused(client: httpx.Client, query: str):
    for path in ("/recommend/u1", "/items"):
        for value in (*NUMBERS, *IDS[:8]):
            request = get(f"{path}?{query.replace('{}', value)}")
            reply = reply_to(client, request)
            assert reply.startswith(b"HTTP/1.1 "), request[:200]
            assert_is_no_failure(reply, request)


@pytest.mark.parametrize("path", ["/recommend", "/recommend/batch", "/events", "/v1/nothing"])
def test_bodies_of_every_kind_are_answered_or_refused(client: httpx.Client, path: str):
    for body in BODIES:
        request = post(path, body)
        reply = reply_to(client, request)
        assert reply.startswith(b"HTTP/1.1 "), request[:200]
        assert_is_no_failure(reply, request)


@pytest.mark.parametrize("sent", FRAMES, ids=lambda sent: repr(sent[:40]))
def test_what_is_hardly_http_is_answered_refused_or_cut_off(client: httpx.Client, sent: bytes):
    assert_is_no_failure(reply_to(client, sent), sent)
    assert client.get("/livez").status_code == 200


def test_two_ways_to_say_how_long_a_body_is_are_one_request_at_most(client: httpx.Client):
    """What follows must not be taken for a second request: that is how requests are smuggled."""
    assert reply_to(client, FRAMES[0]).count(b"HTTP/1.1 ") <= 1


@pytest.mark.parametrize("path", ["/recommend", "/recommend/batch", "/events"])
@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_of_100_mib_is_refused_and_not_kept(client: httpx.Client, path: str, chunked: bool):
    def resident_mib() -> float:
        return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20

    part = b" " * 65_536
    length = b"transfer-encoding: chunked\r\n" if chunked else b"content-length: 104857600\r\n"
    head = b"POST %b HTTP/1.1\r\ncontent-type: application/json\r\n" % path.encode()
    piece = b"10000\r\n" + part + b"\r\n" if chunked else part
    before = resident_mib()
    reply = reply_to(client, head + length + CLOSE + b"\r\n", *[piece] * 1600)
    assert reply == b"" or reply.startswith(b"HTTP/1.1 413 ")  # a reset can take the reply with it
    assert resident_mib() - before < 50
    assert client.get("/livez").status_code == 200


def test_nothing_of_this_counts_as_a_failure(client: httpx.Client):
    for target in ("/recommend/%00", "/recommend/u1?k=" + "9" * 5000):
        client.get(target)
    failed = [
        labels
        for labels, value in samples(client, "http_request_duration_seconds_count")
        if labels["status"].startswith("5") and value
    ]
    assert failed == []


@pytest.mark.parametrize("path", ["/recommend/{}?strict=true", "/users/{}/similar", "/items/{}"])
def test_a_line_break_is_part_of_an_id_and_not_its_end(client: httpx.Client, path: str):
    known = "i1" if "items" in path else "u1"
    assert client.get(path.format(known)).status_code == 200
    for other in (f"{known}%0A", f"%0A{known}"):
        reply = client.get(path.format(other))
        assert reply.status_code == 404
        assert reply.json()["type"].startswith("urn:hashrec:unknown"), reply.text
