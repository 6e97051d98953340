"""Limit on the size of request bodies."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

STREAMED_PATHS = ("/events", "/v1/events")
_NDJSON = frozenset({"application/x-ndjson", "application/ndjson", "application/jsonl"})


class BodyLimit:
    """ASGI layer that raises an error 413 when a route reads a body that is too large.

    Bytes are counted as they arrive, whatever `Content-Length` says. If `Content-Length` exceeds
    the limit, nothing is read.

    Args:
        app: the layer behind.
        max_bytes: limit of a body that is read as a whole.
        max_streamed_bytes: limit of JSON lines, on routes that read them in parts.
    """

    def __init__(self, app: ASGIApp, max_bytes: int, max_streamed_bytes: int) -> None:
        self._app = app
        self._max_bytes = max_bytes
        self._max_streamed_bytes = max_streamed_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        streamed = scope["path"] in STREAMED_PATHS and is_ndjson(Headers(scope=scope))
        limit = self._max_streamed_bytes if streamed else self._max_bytes
        announced = int(dict(scope["headers"]).get(b"content-length", 0))  # the server checked it
        received = 0

        async def limited_receive() -> Message:
            nonlocal received
            message: Message = {} if announced > limit else await receive()
            received += len(message.get("body", b""))
            if max(announced, received) > limit:
                raise HTTPException(413, f"the body has more than {limit} bytes")
            return message

        await self._app(scope, limited_receive, send)


def is_ndjson(headers: Headers) -> bool:
    """Tell whether the body of a request is JSON lines."""
    media_type = headers.get("content-type", "").partition(";")[0]
    return media_type.strip().lower() in _NDJSON
