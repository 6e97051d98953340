"""Traces of requests, sent to an OpenTelemetry collector.

Imported only if a collector is configured, because its libraries are optional. The spans come from
a provider of their own, not from the global one of the process, to which other libraries add spans.
A thread sends them in batches; while the collector is away its queue fills, and spans are dropped.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import threading
from collections.abc import Generator, Iterable, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from importlib import metadata
from typing import Any

import structlog
from opentelemetry.context import Context, attach, detach
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExportResult
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import (
    NoOpTracer,
    SpanKind,
    StatusCode,
    Tracer,
    format_span_id,
    format_trace_id,
    get_current_span,
    set_span_in_context,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from starlette.types import ASGIApp, Receive, Scope, Send

from hashrec.index.errors import HashrecError
from hashrec.service.settings import OtelSettings
from hashrec.service.telemetry.request_observer import METHODS, UNMATCHED, Headers, RequestObserver
from hashrec.service.telemetry.spans import Attributes

FLUSH_S = 1.0  # on top of the time for open requests: container engines kill after 10 s
# They repeat at each attempt what is logged here once, or log the bad headers of each request.
LOUD_LOGGERS = (
    "opentelemetry.exporter",
    "opentelemetry.sdk._shared_internal",
    "opentelemetry.trace",
)
# Headers of a reply that its span records, and the attributes that hold them.
REPEATED_HEADERS = {
    b"x-model-version": "hashrec.model_version",
    b"x-cache": "hashrec.cache",
    b"x-degraded": "hashrec.degraded",
}

_W3C = TraceContextTextMapPropagator()

log = structlog.stdlib.get_logger("service.tracing")


class TracedObserver(RequestObserver):
    """A request observer that also records the end of a request in its span."""

    def log_bug(self, route: str, request_id: bytes) -> None:
        """Log the exception that is being handled."""
        super().log_bug(route, request_id)
        error = sys.exception()
        if error is not None:
            span = get_current_span()
            span.record_exception(error)
            span.set_status(StatusCode.ERROR)
            span.set_attribute("error.type", type(error).__qualname__)

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
        """See `RequestObserver.finish`."""
        super().finish(scope, route, status, request_id, started, headers=headers)
        span = get_current_span()
        if not span.is_recording():
            return
        attributes = _described(scope)
        attributes["http.response.status_code"] = status
        attributes["hashrec.request_id"] = request_id.decode()
        if route != UNMATCHED:
            attributes["http.route"] = route
            span.update_name(f"{_method(scope)} {route}")
        for name, value in headers:
            if (attribute := REPEATED_HEADERS.get(name)) is not None:
                attributes[attribute] = value.decode("latin-1")
        if status >= 500:
            attributes["error.type"] = str(status)
            span.set_status(StatusCode.ERROR)
        span.set_attributes(attributes)  # all at once: each time takes a lock


def add_trace_ids(
    logger: Any, method: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """Add the ids of the current trace and span to a log line."""
    del logger, method
    context = get_current_span().get_span_context()
    if context.is_valid:
        event["trace_id"] = format_trace_id(context.trace_id)
        event["span_id"] = format_span_id(context.span_id)
    return event


class Tracing:
    """The spans of a worker process, and the thread that sends them.

    Attributes:
        tracer: starts spans; before `start` they are dropped.
        observer: the class of the request observer to use with `in_front`.
        add_ids: log processor that adds the ids of trace and span.
    """

    observer = TracedObserver
    add_ids = staticmethod(add_trace_ids)

    def __init__(self, settings: OtelSettings) -> None:
        self._share = settings.share
        self._url = f"{settings.endpoint}/v1/traces"
        self._provider: TracerProvider | None = None
        self._exporter: _Exporter | None = None
        self.tracer: Tracer = NoOpTracer()

    def in_front(self, app: ASGIApp) -> ASGIApp:
        """Return an application that runs each request in a span."""
        return RequestSpans(app, self)

    def start(self) -> None:
        """Start the thread that sends spans."""
        for name in LOUD_LOGGERS:
            logging.getLogger(name).setLevel(logging.CRITICAL)
        version = metadata.version("hashrec")
        self._provider = TracerProvider(
            sampler=ParentBased(TraceIdRatioBased(self._share)),
            resource=Resource.create(
                {
                    "service.name": "hashrec",
                    "service.version": version,
                    "process.pid": os.getpid(),
                }
            ),
            shutdown_on_exit=False,  # that may take half a minute; see `close`
        )
        self._exporter = _Exporter(self._url)
        self._provider.add_span_processor(BatchSpanProcessor(self._exporter))
        self.tracer = self._provider.get_tracer("hashrec", version)

    async def close(self) -> None:
        """Send the waiting spans, for at most `FLUSH_S` seconds."""
        if self._provider is None or self._exporter is None:
            return
        sending = threading.Thread(target=self._provider.shutdown, daemon=True)
        sending.start()
        await asyncio.to_thread(sending.join, FLUSH_S)
        if sending.is_alive():
            log.warning("the last spans are lost, the collector does not accept them")
            self._exporter.shutdown()  # else it would retry for a while

    def try_collector(self, timeout_s: float) -> str | None:
        """Send an empty batch of spans; return the reason if the collector does not accept it."""
        reasons = _Reasons()
        logger = logging.getLogger("opentelemetry.exporter")
        level = logger.level
        logger.setLevel(logging.WARNING)
        logger.addHandler(reasons)
        exporter = OTLPSpanExporter(self._url, timeout=timeout_s)
        try:
            if exporter.export([]) is SpanExportResult.SUCCESS:
                return None
        finally:
            exporter.shutdown()
            logger.removeHandler(reasons)
            logger.setLevel(level)
        return reasons.first

    def span(
        self, name: str, attributes: Attributes, *, remote: bool = False
    ) -> AbstractContextManager[object]:
        """Start a span of the current request, if that is traced; see `Spans`."""
        if not get_current_span().is_recording():
            return nullcontext()
        return self._child(name, attributes, SpanKind.CLIENT if remote else SpanKind.INTERNAL)

    @contextmanager
    def _child(self, name: str, attributes: Attributes, kind: SpanKind) -> Generator[None]:
        with self.tracer.start_as_current_span(
            name,
            kind=kind,
            attributes=attributes,
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            try:
                yield
            except HashrecError:  # the status of the reply says whether the service failed
                raise
            except Exception as error:
                span.set_status(StatusCode.ERROR)
                span.set_attribute("error.type", type(error).__qualname__)
                raise


class RequestSpans:
    """ASGI layer around all others that runs each request in a span.

    `TracedObserver` adds the attributes that are known at the end of a request.
    """

    def __init__(self, app: ASGIApp, tracing: Tracing) -> None:
        self._app = app
        self._tracing = tracing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        parent = _parent(scope["headers"])
        span = self._tracing.tracer.start_span(_method(scope), parent, SpanKind.SERVER)
        current = attach(set_span_in_context(span, parent))  # in half the time of a `with`
        try:
            await self._app(scope, receive, send)
        finally:
            detach(current)
            span.end()


class _Exporter(OTLPSpanExporter):
    """Sends spans, and logs when sending starts to fail and when it works again."""

    _fails = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = super().export(spans)
        fails = result is not SpanExportResult.SUCCESS
        if fails and not self._fails:
            log.warning("spans cannot be sent and are dropped; `hashrec doctor` says why")
        elif self._fails and not fails:
            log.info("spans are sent again")
        self._fails = fails
        return result


class _Reasons(logging.Handler):
    """Keeps the first log message of the exporter: it reports its failures in no other way."""

    first = "it gives no reason"

    def emit(self, record: logging.LogRecord) -> None:
        if "first" not in vars(self):
            self.first = record.getMessage()


def _method(scope: Scope) -> str:
    """Return the method of a request for the name of its span; "HTTP" for an unknown method."""
    return scope["method"] if scope["method"] in METHODS else "HTTP"


def _parent(headers: Iterable[tuple[bytes, bytes]]) -> Context:
    """Return the context with the caller's span, if the request names one."""
    carrier: dict[str, list[str]] = {}
    for name, value in headers:
        if name in (b"traceparent", b"tracestate"):
            carrier.setdefault(name.decode(), []).append(value.decode("latin-1"))
    return _W3C.extract(carrier) if carrier else Context()


def _described(scope: Scope) -> dict[str, str | int]:
    """Return the attributes of a request, without its query, which may reveal a user's taste."""
    method: str = scope["method"]
    attributes: dict[str, str | int] = {
        "http.request.method": method if method in METHODS else "_OTHER",
        "url.scheme": scope["scheme"],
        "url.path": scope["path"],
    }
    if server := scope.get("server"):
        attributes["server.address"], port = server
        if port is not None:  # a Unix socket has none
            attributes["server.port"] = port
    if client := scope.get("client"):
        attributes["client.address"] = client[0]
    return attributes
