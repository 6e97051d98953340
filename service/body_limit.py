"""The largest request body the service reads."""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class BodyLimit:
    """Makes reading a body that is too large an error 413, which the error handlers dress up.

    A body is counted as it arrives, whatever its head says of its length; and a head that says too
    much ends the matter before anything is read.
    """

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        announced = int(dict(scope["headers"]).get(b"content-length", 0))  # the server checked it
        received = 0

        async def limited_receive() -> Message:
            nonlocal received
            message: Message = {} if announced > self._max_bytes else await receive()
            received += len(message.get("body", b""))
            if max(announced, received) > self._max_bytes:
                raise HTTPException(413, f"the body has more than {self._max_bytes} bytes")
            return message

        await self._app(scope, limited_receive, send)
