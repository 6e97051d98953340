"""HEAD and OPTIONS for every route, and the methods that a path supports."""

from __future__ import annotations

from fastapi import FastAPI
from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

ROUTED = ("GET", "POST", "PUT", "PATCH", "DELETE")  # in the order in which `Allow` names them


class Methods:
    """ASGI layer: HEAD is answered as GET without a body, OPTIONS with the methods of the path."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        method = scope["method"] if scope["type"] == "http" else ""
        if method == "HEAD":
            await self._head(scope, receive, send)
        elif method == "OPTIONS":
            await self._app(scope, receive, _options_sender(send))
        else:
            await self._app(scope, receive, send)

    async def _head(self, scope: Scope, receive: Receive, send: Send) -> None:
        # A copy: the server reads the method of the original to know that no body may follow.
        as_get = {**scope, "method": "GET"}

        async def send_head(message: Message) -> None:
            if message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        try:
            await self._app(as_get, receive, send_head)
        finally:
            if "route" in as_get:  # for the metrics
                scope["route"] = as_get["route"]


def _options_sender(send: Send) -> Send:
    """Turn the router's 405, whose `Allow` header names the methods, into a 204."""
    refused = False

    async def send_options(message: Message) -> None:
        nonlocal refused
        if message["type"] == "http.response.start" and message["status"] == 405:
            refused = True
            allow = [header for header in message["headers"] if header[0] == b"allow"]
            message = {**message, "status": 204, "headers": allow}
        elif refused:
            message = {**message, "body": b""}
        await send(message)

    return send_options


def allowed_methods(scope: Scope) -> str:
    """Return the `Allow` header of a path that has a route.

    Several routes can share a path, so every route is tried with every method.
    """
    app: FastAPI = scope["app"]
    allowed = [
        method
        for method in ROUTED
        if any(route.matches({**scope, "method": method})[0] is Match.FULL for route in app.routes)
    ]
    if "GET" in allowed:
        allowed.insert(1, "HEAD")
    return ", ".join([*allowed, "OPTIONS"])
