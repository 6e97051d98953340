"""Gzip for large replies, if the client accepts it."""

from __future__ import annotations

import re
from collections.abc import Iterable

from starlette.datastructures import MutableHeaders
from starlette.middleware.gzip import GZipResponder, IdentityResponder
from starlette.types import ASGIApp, Message, Receive, Scope, Send

FROM_BYTES = 2048  # a list of ten items is smaller: to compress it costs more than it saves
LEVEL = 4  # lists become nearly as small as at 9, in a third of the time
_GZIP = re.compile(rb"(?:^|,)\s*(?:x-)?gzip\s*(?:;\s*q\s*=\s*([0-9.]+)\s*)?(?=,|$)", re.IGNORECASE)


class Compression:
    """ASGI layer that compresses replies; see `compressing`."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "http":
            send = compressing(scope["headers"], send)
        await self._app(scope, receive, send)


def accepts_gzip(request_headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Tell whether `Accept-Encoding` names gzip, and not with `q=0`."""
    for name, value in request_headers:
        if name == b"accept-encoding" and (found := _GZIP.search(value)):
            return found[1] is None or found[1].strip(b"0.") != b""
    return False


def compressing(request_headers: Iterable[tuple[bytes, bytes]], send: Send) -> Send:
    """Return a `send` that compresses bodies from `FROM_BYTES` on, if the client accepts gzip.

    The entity tag of a compressed reply is weak: the reply has the meaning of the uncompressed one,
    not its bytes.
    """
    if not accepts_gzip(request_headers):
        identity = IdentityResponder(_answered_already, FROM_BYTES)
        identity.send = send
        return identity.send_with_compression

    async def send_weakened(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(raw=message["headers"])
            etag = headers.get("etag")
            if etag is not None and "content-encoding" in headers:
                headers["etag"] = weak(etag)
        await send(message)

    packing = GZipResponder(_answered_already, FROM_BYTES, LEVEL)
    packing.send = send_weakened
    return packing.send_with_compression


def weak(etag: str) -> str:
    """Return the weak form of an entity tag."""
    return etag if etag.startswith("W/") else f"W/{etag}"


async def _answered_already(scope: Scope, receive: Receive, send: Send) -> None:
    """Fill the place of the application in a responder that only sends."""
