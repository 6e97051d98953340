"""The largest request body the service reads."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

STREAMED_PATHS = ("/events", "/v1/events")
_NDJSON = frozenset({"application/x-ndjson", "application/ndjson", "application/jsonl"})


class BodyLimit:
    """Makes reading a body that is too large an error 413, which the error handlers dress up.

    A body is counted as it arrives, whatever its head says of its length; and a head that says too
    much ends the matter before anything is read.

    Args:
        app: what is behind.
        max_bytes: of a body that is read as a whole.
        max_streamed_bytes: of lines of JSON, on routes that take them piece by piece.
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
    """Tell whether a request's body is lines of JSON."""
    media_type = headers.get("content-type", "").partition(";")[0]
    return media_type.strip().lower() in _NDJSON
