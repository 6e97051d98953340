"""Limits on the time and bytes that a client may take for each part of a request or reply.

Without them the server would wait for ever for a client that connects and sends nothing or half of
a request's head, and would keep everything that such a client sends.
"""

from __future__ import annotations

import asyncio
import math
from http import HTTPStatus
from typing import Any

import orjson
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

MAX_HEADERS = 200  # browsers send about 20, and each proxy adds some
MAX_TARGET_BYTES = 65_536  # enough for a thousand excluded ids; longer lists go into a POST
MAX_HEAD_BYTES = 2 * MAX_TARGET_BYTES  # not counting the chunk it begins in, of at most 256 KiB
MAX_PIPELINED = 64  # requests that wait behind another on one connection
MAX_GAP_BYTES = 1_048_576  # of chunked encoding between two parts of a body
NEVER = math.inf


class BoundedProtocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol, which closes connections of clients that are too slow.

    A client has `client_timeout_s` to send a whole head, from when it connected or sent the head's
    first byte; the same time to send more of a body, and to read more of a reply. One timer for
    each connection checks that, so the cost of a request is small.

    Args:
        client_timeout_s: the limit, in seconds.
    """

    def __init__(self, *args: Any, client_timeout_s: float, **options: Any) -> None:
        super().__init__(*args, **options)
        self._timeout_s = client_timeout_s
        self._timer: asyncio.TimerHandle | None = None
        self._waiting_since = (
            NEVER  # since when the client owes us bytes; NEVER while the service answers
        )
        self._blocked_since = 0.0  # since when the client does not read, while writing is paused
        self._in_body = False
        self._chunk_bytes = 0
        self._uncounted_bytes = 0  # of a head, or between two parts of a body
        self._refusal = HTTPStatus.BAD_REQUEST
        self._running: RequestResponseCycle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """See the parent."""
        super().connection_made(transport)
        self._waiting_since = self.loop.time()
        self._timer = self.loop.call_later(self._timeout_s, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        """See the parent."""
        if self._timer is not None:
            self._timer.cancel()
        self.pipeline.clear()
        if self._running is not None:  # the parent knows only the last of several
            self._running.disconnected = True
            self._running.message_event.set()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """See the parent."""
        if self._waiting_since == NEVER or self._in_body:
            self._waiting_since = self.loop.time()
        self._chunk_bytes = len(data)
        super().data_received(data)
        if self._waiting_since == NEVER or self.transport.is_closing():
            return
        self._uncounted_bytes += len(data)
        too_large = MAX_GAP_BYTES if self._in_body else MAX_HEAD_BYTES
        if self._uncounted_bytes > too_large or len(self.headers or ()) > MAX_HEADERS:
            self._refusal = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
            self.send_400_response("")

    def on_message_begin(self) -> None:
        """See the parent."""
        if self._waiting_since == NEVER:  # it was sent behind another request
            self._waiting_since = self.loop.time()
        self._uncounted_bytes = (
            -self._chunk_bytes
        )  # some of these bytes belong to the request before
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """See the parent; refuse a head that is too large."""
        if len(self.url) > MAX_TARGET_BYTES:
            self._refusal = HTTPStatus.REQUEST_URI_TOO_LONG
        elif len(self.headers) > MAX_HEADERS:
            self._refusal = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
        elif len(self.pipeline) >= MAX_PIPELINED:
            self._refusal = HTTPStatus.TOO_MANY_REQUESTS
        if self._refusal is not HTTPStatus.BAD_REQUEST:
            raise ValueError(
                self._refusal.phrase
            )  # the parser stops, and the parent calls send_400_response
        self._in_body = True
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """See the parent."""
        self._uncounted_bytes = -self._chunk_bytes
        super().on_body(body)

    def on_message_complete(self) -> None:
        """See the parent."""
        self._in_body = False
        self._waiting_since = NEVER
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """See the parent, which alone would read another request for each one it has answered."""
        super().on_response_complete()
        if self.pipeline:
            self.flow.pause_reading()

    def pause_writing(self) -> None:
        """See the parent."""
        self._blocked_since = self.loop.time()
        super().pause_writing()

    def send_400_response(self, msg: str) -> None:
        """Refuse bytes that are not a request, with problem details like any other error."""
        del msg
        is_next = (
            self._is_answering() and not self._in_body
        )  # the bad request is not the one being answered
        if self.pipeline or is_next or (self._in_body and self.cycle.response_started):
            self.transport.close()
            return
        status = self._refusal
        body = orjson.dumps(
            {
                "type": "about:blank",
                "title": status.phrase,
                "status": status,
                "detail": "the request is not valid HTTP"
                if status is HTTPStatus.BAD_REQUEST
                else "the head of the request exceeds the limits of the server",
            }
        )
        head = (
            b"HTTP/1.1 %d %b\r\ncontent-type: application/problem+json\r\n"
            b"content-length: %d\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head % (status, status.phrase.encode(), len(body)) + body)
        self.transport.close()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._running = cycle
        super()._start_asgi_task(cycle, app)

    def _look(self) -> None:
        """Close the connection if the client is too slow; else set the timer again."""
        now = self.loop.time()
        if self.transport.is_closing():  # and the client does not read what was sent before
            self.transport.abort()
            return
        if self.flow.write_paused:
            since = self._blocked_since
        elif self._waiting_since == NEVER:
            since = now
        elif self.flow.read_paused or (not self._in_body and self._is_answering()):
            since = self._waiting_since = (
                now  # the next request waits for this one, not for the client
            )
        else:
            since = self._waiting_since
        left = since + self._timeout_s - now
        if left <= 0:
            self.transport.abort() if self.flow.write_paused else self.transport.close()
            left = self._timeout_s
        self._timer = self.loop.call_later(left, self._look)

    def _is_answering(self) -> bool:
        return bool(self.cycle) and not self.cycle.response_complete
