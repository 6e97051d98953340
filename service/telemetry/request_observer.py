"""The outermost ASGI layer: it gives every request an id, and times, counts and logs it."""

from __future__ import annotations

import itertools
import re
import secrets
from collections.abc import Iterable
from time import perf_counter
from typing import Any, Literal

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hashrec.service.telemetry.draining import Draining
from hashrec.service.telemetry.metrics import Metrics

Headers = Iterable[tuple[bytes, bytes]]

UNMATCHED = "unmatched"  # stands for the route of a request that no route matched
METHODS = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})
# Headers of a reply that are logged, and the members of the log line that hold them.
LOGGED_HEADERS = {
    b"content-length": "bytes",
    b"x-model-version": "model_version",
    b"x-cache": "cache",
    b"x-degraded": "degraded",
}
SANE_REQUEST_ID = re.compile(rb"[A-Za-z0-9._:@+/=-]{1,128}")

log = structlog.stdlib.get_logger("service.requests")


class RequestObserver:
    """The outermost ASGI layer: request ids, `Server-Timing`, metrics and the request log."""

    def __init__(
        self,
        app: ASGIApp,
        metrics: Metrics,
        draining: Draining,
        log_requests: Literal["all", "failed"],
    ) -> None:
        self._app = app
        self._draining = draining
        self._metrics = metrics
        self._log_from_status = 0 if log_requests == "all" else 500
        self._id_prefix = secrets.token_hex(6).encode() + b"-"
        self._numbers = itertools.count(1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = perf_counter()
        request_id = self.request_id(scope["headers"])
        scope.setdefault("state", {})["request_id"] = request_id.decode()
        status = 0  # none sent yet
        reply_headers: Headers = ()

        async def observed_send(message: Message) -> None:
            nonlocal status, reply_headers
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = reply_headers = [
                    *message.get("headers", ()),
                    *self.headers(request_id, started),
                ]
            await send(message)

        try:
            await self._app(scope, receive, observed_send)
        except Exception:
            self.log_bug(route_of(scope), request_id)
            if status < 500:  # no error was sent: let the server close the connection
                raise
        finally:
            self.finish(
                scope,
                route_of(scope),
                status or 500,
                request_id,
                started,
                headers=reply_headers,
            )

    def request_id(self, headers: Headers) -> bytes:
        """Return the id that the client sent if it is well-formed, else a new id."""
        for name, value in headers:
            if name == b"x-request-id" and SANE_REQUEST_ID.fullmatch(value):
                return value
        return self._id_prefix + b"%d" % next(self._numbers)

    def headers(self, request_id: bytes, started: float) -> list[tuple[bytes, bytes]]:
        """Return the headers that every reply has."""
        headers = [
            (b"x-request-id", request_id),
            (b"server-timing", b"app;dur=%.3f" % ((perf_counter() - started) * 1000)),
        ]
        if self._draining.begun:
            # Else a client could send a request on a kept connection while it is closed.
            headers.append((b"connection", b"close"))
        return headers

    def log_bug(self, route: str, request_id: bytes) -> None:
        """Log the exception that is being handled."""
        log.exception("request failed", route=route, request_id=request_id.decode())

    def finish(
        self,
        scope: Scope,
        route: str,
        status: int,
        request_id: bytes,
        started: float,
        *,
        headers: Headers,
    ) -> None:
        """Record the end of a request in the metrics and, by the settings, in the log.

        Args:
            scope: the request.
            route: the template of its path.
            status: status of the reply.
            request_id: the request's id.
            started: `perf_counter` when its head had arrived.
            headers: headers of the reply; some are logged.
        """
        seconds = perf_counter() - started
        method: str = scope["method"]
        if method not in METHODS:
            method = "OTHER"
        self._metrics.requests(method, route, str(status)).observe(seconds)
        if status >= self._log_from_status:
            log.log(
                40 if status >= 500 else 20,
                "request",
                method=method,
                route=route,
                status=status,
                milliseconds=round(seconds * 1000, 3),
                request_id=request_id.decode(),
                client=(scope.get("client") or ("unknown",))[0],
                **{
                    member: int(value) if member == "bytes" else value.decode("latin-1")
                    for name, value in headers
                    if (member := LOGGED_HEADERS.get(name)) is not None
                },
            )


def route_of(scope: Scope) -> str:
    """Return the path template of the route that matched a request, never the path itself."""
    route: Any = scope.get("route")
    return getattr(route, "path_format", None) or UNMATCHED
