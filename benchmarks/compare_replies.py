"""Sending a request to one version, and comparing its reply with the other version's."""

from __future__ import annotations

import http.client
import json
import re
import socket
from collections.abc import Iterator
from typing import Any, NamedTuple

from benchmarks.compare_differences import (
    IN_WORDS,
    Difference,
    is_description,
    of_bytes,
    of_documents,
    of_json,
    of_values,
)
from benchmarks.compare_requests import KEYS, Request

# What the service draws for a request, and times: replaced in bodies and headers by a word.
DRAWN = (
    (re.compile(rb'(?<="request_id":")[0-9a-f]{12}-[0-9]+(?=")'), b"DRAWN"),
    (re.compile(rb'(?<="activated_at":")[0-9T:+-]+(?=")'), b"TIME"),
)
DRAWN_ID = re.compile(r"[0-9a-f]{12}-[0-9]+")
LEFT_OUT = {"date", "server-timing", "last-modified"}
TIMED_METRIC = re.compile(r"_bucket\{|_sum(\{|$)|_timestamp_seconds$")
POLLED = 'route="/readyz"'  # until the server answers, however often that is
PAGE, PROBLEM, METRICS = "text/html", "application/problem+json", "text/plain"


class Reply(NamedTuple):
    """A reply as it came, but for what differs from request to request."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    @property
    def media_type(self) -> str:
        """The kind of the body, empty if it has none."""
        return self.header("content-type").partition(";")[0]

    def header(self, name: str) -> str:
        """Return a header, empty if there is none."""
        return dict(self.headers).get(name, "")

    def without(self, name: str) -> Reply:
        """Return the reply without a header."""
        return self._replace(headers=[header for header in self.headers if header[0] != name])


class Client:
    """Sends requests to one server over one connection, and remembers what is kept."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        self._kept: dict[str, str] = {}
        self._n_sent = 0

    def ask(self, request: Request) -> Reply:
        """Send a request, and return the reply."""
        self._n_sent += 1
        if request.raw:
            return self._ask_raw(request)
        connection, target = self._connection, self._filled(request.target)
        connection.putrequest(request.method, target, skip_accept_encoding=True)
        body = self._filled(request.body.decode("latin-1")).encode("latin-1")
        for name, value in self._headers(request, len(body)):
            connection.putheader(name, self._filled(value))
        if request.chunks:
            pieces = (b"%x\r\n%b\r\n" % (len(piece), piece) for piece in request.chunks)
            body = b"".join(pieces) + b"0\r\n\r\n"
        connection.endheaders(body or None)
        found = connection.getresponse()
        reply = _reply(found)
        if request.announced or found.will_close:
            connection.close()  # the next request opens another
        if request.kept:
            self._keep(request.kept, reply)
        return reply

    @property
    def goes_on(self) -> bool:
        """Whether the list that was kept as `page` has another page."""
        return bool(self._kept["<page.cursor>"])

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _headers(self, request: Request, n_bytes: int) -> Iterator[tuple[str, str]]:
        if request.own_id:
            yield "X-Request-ID", f"compare-{self._n_sent}"
        if request.key is not None:
            yield "X-API-Key", KEYS.get(request.key, request.key)
        yield from request.headers
        if request.chunks:
            yield "Transfer-Encoding", "chunked"
        elif n_bytes or request.announced or request.method in {"POST", "PUT", "PATCH"}:
            yield "Content-Length", str(request.announced or n_bytes)

    def _ask_raw(self, request: Request) -> Reply:
        with socket.create_connection(("127.0.0.1", self._port), timeout=120) as connection:
            connection.sendall(request.raw)
            found = http.client.HTTPResponse(connection, method=request.method)
            found.begin()
            return _reply(found)

    def _filled(self, text: str) -> str:
        for name, value in self._kept.items():
            text = text.replace(name, value)
        return text

    def _keep(self, name: str, reply: Reply) -> None:
        content = json.loads(reply.body)
        self._kept[f"<{name}.cursor>"] = content.get("next_cursor") or ""
        self._kept[f"<{name}.id>"] = content.get("recommendation_id") or ""
        self._kept[f"<{name}.etag>"] = reply.header("etag")


def _reply(found: http.client.HTTPResponse) -> Reply:
    body = found.read()
    for pattern, word in DRAWN:
        body = pattern.sub(word, body)
    headers = [(name.lower(), value) for name, value in found.getheaders()]
    of_a_file = any(name == "last-modified" for name, _ in headers)  # so its tag is a time, too
    kept = [
        (name, DRAWN_ID.sub("DRAWN", value) if name == "x-request-id" else value)
        for name, value in headers
        if name not in LEFT_OUT and not (of_a_file and name == "etag")
    ]
    if found.status == 429:  # how long to wait depends on when the request came
        kept = [(name, "TIME" if name == "retry-after" else value) for name, value in kept]
        body = re.sub(rb"\b[0-9]+(?= s\b)", b"TIME", body)
    return Reply(found.status, sorted(kept), body)


def of_replies(request: Request, before: Reply, after: Reply, where: str) -> list[Difference]:
    """Compare two replies to a request.

    The length of a body is no difference of its own: it is compared where no body is sent, and not
    where that depends on words.
    """
    found = of_values(before.status, after.status, f"{where}: status")
    found += _of_bodies(request, before, after, where)
    lengths = [reply.header("content-length") for reply in (before, after)]
    if all(lengths) and (before.body or after.body or _is_worded(request, before)):
        if lengths[0] != lengths[1] and not (before.body or before.media_type == METRICS):
            found.append(Difference(f"{where}: content-length", *lengths, kind="wording"))
        before, after = (reply.without("content-length") for reply in (before, after))
    gone = sorted(set(before.headers) - set(after.headers))
    return found + of_values(
        gone, sorted(set(after.headers) - set(before.headers)), f"{where}: headers"
    )


def _of_bodies(request: Request, before: Reply, after: Reply, where: str) -> list[Difference]:
    kinds = {before.media_type, after.media_type}
    if kinds == {PAGE}:
        return of_bytes(before.body, after.body, where, "wording")
    if kinds == {METRICS} and before.body:
        return of_documents(metrics_of(before.body), metrics_of(after.body), where)
    if kinds <= {"application/json", PROBLEM} and "content-encoding" not in dict(before.headers):
        rule = {"is_wording": is_description} if _is_document(request) else {}
        return of_json(before.body, after.body, where, **rule)
    return of_bytes(before.body, after.body, where)


def _is_worded(request: Request, reply: Reply) -> bool:
    """Tell whether the length of a body that is not sent depends on words, or on seconds."""
    return reply.media_type in {PAGE, PROBLEM, METRICS} or _is_document(request)


def _is_document(request: Request) -> bool:
    return request.target.endswith("/openapi.json")


def metrics_of(exposition: bytes) -> dict[str, Any]:
    """Return metrics by name and labels, without what a clock decides: seconds, and polls."""
    found: dict[str, Any] = {}
    for line in exposition.decode().splitlines():
        if line.startswith("# HELP "):
            name, _, text = line.removeprefix("# HELP ").partition(" ")
            found[f"help of {name}"] = {IN_WORDS: text}
        elif line.startswith("# TYPE "):
            name, _, kind = line.removeprefix("# TYPE ").partition(" ")
            found[f"type of {name}"] = kind
        elif POLLED not in line:
            sample, _, value = line.rpartition(" ")
            found[sample] = "TIME" if TIMED_METRIC.search(sample) else value
    return dict(sorted(found.items()))  # they come in the order in which requests ended
