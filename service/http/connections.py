"""Connections that cannot be held for nothing: limits of time and of bytes around each request.

Without them the server waits for ever for a client that connects and says nothing, or half of a
request's head, and keeps whatever such a client sends.
"""

from __future__ import annotations

import asyncio
import math
from http import HTTPStatus
from typing import Any

import orjson
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

MAX_HEADERS = 200  # browsers send about 20, and each proxy adds a few
MAX_TARGET_BYTES = 65_536  # a thousand ids to leave out fit; for longer ones there is POST
MAX_HEAD_BYTES = 2 * MAX_TARGET_BYTES  # beyond what comes with its beginning, at most 256 KiB
MAX_PIPELINED = 64  # requests that wait behind another on their connection
MAX_GAP_BYTES = 1_048_576  # of chunked encoding between two parts of a body
NEVER = math.inf


class BoundedProtocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol, which gives up on clients that keep it waiting.

    A client has `client_timeout_s` to send a whole head, from when it connected or sent the head's
    first byte; as long to send more of a body; and as long to take more of a reply. One timer a
    connection looks at how long that has been, so that a request costs next to nothing.

    Args:
        client_timeout_s: seconds.
    """

    def __init__(self, *args: Any, client_timeout_s: float, **options: Any) -> None:
        super().__init__(*args, **options)
        self._timeout_s = client_timeout_s
        self._timer: asyncio.TimerHandle | None = None
        self._waiting_since = NEVER  # for the client, unless it waits for us
        self._blocked_since = 0.0  # while it does not read
        self._in_body = False
        self._chunk_bytes = 0
        self._uncounted_bytes = 0  # of a head, or between parts of a body
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
        if self._running is not None:  # the parent only knows the last of several
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
        if self._waiting_since == NEVER:  # it came behind another request
            self._waiting_since = self.loop.time()
        self._uncounted_bytes = -self._chunk_bytes  # some of these are of what came before
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """See the parent; a head that is too large is refused here."""
        if len(self.url) > MAX_TARGET_BYTES:
            self._refusal = HTTPStatus.REQUEST_URI_TOO_LONG
        elif len(self.headers) > MAX_HEADERS:
            self._refusal = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
        elif len(self.pipeline) >= MAX_PIPELINED:
            self._refusal = HTTPStatus.TOO_MANY_REQUESTS
        if self._refusal is not HTTPStatus.BAD_REQUEST:
            raise ValueError(self._refusal.phrase)  # the parser stops, and the parent refuses
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
        """See the parent, which would read more requests for each that it has answered."""
        super().on_response_complete()
        if self.pipeline:
            self.flow.pause_reading()

    def pause_writing(self) -> None:
        """See the parent."""
        self._blocked_since = self.loop.time()
        super().pause_writing()

    def send_400_response(self, msg: str) -> None:
        """Refuse what cannot become a request, with a problem like any other error."""
        del msg
        is_next = self._is_answering() and not self._in_body  # it is not the one that is answered
        if self.pipeline or is_next or (self._in_body and self.cycle.response_started):
            self.transport.close()
            return
        status = self._refusal
        body = orjson.dumps(
            {
                "type": "about:blank",
                "title": status.phrase,
                "status": status,
                "detail": "this is not a request that the server can read"
                if status is HTTPStatus.BAD_REQUEST
                else "the request's head is larger than the server reads",
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
        """End the connection if the client has kept it waiting for too long, or look again."""
        now = self.loop.time()
        if self.transport.is_closing():  # and the client does not take what it still gets
            self.transport.abort()
            return
        if self.flow.write_paused:
            since = self._blocked_since
        elif self._waiting_since == NEVER:
            since = now
        elif self.flow.read_paused or (not self._in_body and self._is_answering()):
            since = self._waiting_since = now  # what keeps the next request waiting is this one
        else:
            since = self._waiting_since
        left = since + self._timeout_s - now
        if left <= 0:
            self.transport.abort() if self.flow.write_paused else self.transport.close()
            left = self._timeout_s
        self._timer = self.loop.call_later(left, self._look)

    def _is_answering(self) -> bool:
        return bool(self.cycle) and not self.cycle.response_complete
