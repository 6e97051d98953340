"""Traces of requests, sent to an OpenTelemetry collector.

Imported only where a collector is named: its libraries are an extra. Spans are made by a provider
of our own, not the process's global one, to which other libraries would add theirs. A thread sends
them in batches; while the collector is away the queue fills up, and then spans are dropped.
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
from hashrec.service.telemetry.observability import METHODS, UNMATCHED, Headers, RequestObserver
from hashrec.service.telemetry.spans import Attributes

FLUSH_S = 1.0  # beside the seconds for requests under way: container engines kill after 10
# They say at every attempt what we say once, or at every request what is wrong with its headers.
LOUD_LOGGERS = (
    "opentelemetry.exporter",
    "opentelemetry.sdk._shared_internal",
    "opentelemetry.trace",
)
# Headers of a reply that its span repeats, and the attribute that holds them.
REPEATED_HEADERS = {
    b"x-model-version": "hashrec.model_version",
    b"x-cache": "hashrec.cache",
    b"x-degraded": "hashrec.degraded",
}

_W3C = TraceContextTextMapPropagator()

log = structlog.stdlib.get_logger("service.tracing")


class TracedObserver(RequestObserver):
    """The observer of requests, which also tells their spans what became of them."""

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
    """Add to what is logged during a request which trace and span it belongs to."""
    del logger, method
    context = get_current_span().get_span_context()
    if context.is_valid:
        event["trace_id"] = format_trace_id(context.trace_id)
        event["span_id"] = format_span_id(context.span_id)
    return event


class Tracing:
    """Makes the spans of a worker process, and has them sent.

    Attributes:
        tracer: makes spans; before `start` they are lost.
        observer: the observer of requests that goes with `in_front`.
        add_ids: adds the ids of trace and span to a line of the log.
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
        """Return an application for whose every request there is a span."""
        return RequestSpans(app, self)

    def start(self) -> None:
        """Begin to send spans, from a thread."""
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
            shutdown_on_exit=False,  # it may take half a minute; see `close`
        )
        self._exporter = _Exporter(self._url)
        self._provider.add_span_processor(BatchSpanProcessor(self._exporter))
        self.tracer = self._provider.get_tracer("hashrec", version)

    async def close(self) -> None:
        """Send what is waiting, but not for longer than `FLUSH_S` seconds."""
        if self._provider is None or self._exporter is None:
            return
        sending = threading.Thread(target=self._provider.shutdown, daemon=True)
        sending.start()
        await asyncio.to_thread(sending.join, FLUSH_S)
        if sending.is_alive():
            log.warning("the last spans are lost, the collector does not take them")
            self._exporter.shutdown()  # or it would try again for a while

    def try_collector(self, timeout_s: float) -> str | None:
        """Send no spans, and return what is wrong if the collector does not take that."""
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
        """Begin a span of the request that is being answered, if it is traced; see `Spans`."""
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
            except HashrecError:  # whose fault it is the status of the reply says
                raise
            except Exception as error:
                span.set_status(StatusCode.ERROR)
                span.set_attribute("error.type", type(error).__qualname__)
                raise


class RequestSpans:
    """The ASGI layer around all others, for which each request is a span.

    What `TracedObserver` knows at its end is added there.
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
    """Sends spans, and says when that begins to fail and when it works again."""

    _fails = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = super().export(spans)
        fails = result is not SpanExportResult.SUCCESS
        if fails and not self._fails:
            log.warning("spans cannot be sent, they are dropped; `hashrec doctor` says why")
        elif self._fails and not fails:
            log.info("spans are sent again")
        self._fails = fails
        return result


class _Reasons(logging.Handler):
    """Keeps the first thing that the exporter says, which is the only way it says why it fails."""

    first = "it does not say why"

    def emit(self, record: logging.LogRecord) -> None:
        if "first" not in vars(self):
            self.first = record.getMessage()


def _method(scope: Scope) -> str:
    """Return a request's method as spans are named by it, which made-up ones are not."""
    return scope["method"] if scope["method"] in METHODS else "HTTP"


def _parent(headers: Iterable[tuple[bytes, bytes]]) -> Context:
    """Return the span of the caller, of which a request's is a part, if the request names one."""
    carrier: dict[str, list[str]] = {}
    for name, value in headers:
        if name in (b"traceparent", b"tracestate"):
            carrier.setdefault(name.decode(), []).append(value.decode("latin-1"))
    return _W3C.extract(carrier) if carrier else Context()


def _described(scope: Scope) -> dict[str, str | int]:
    """Return what a request was, without its query, which may tell what somebody likes."""
    method: str = scope["method"]
    attributes: dict[str, str | int] = {
        "http.request.method": method if method in METHODS else "_OTHER",
        "url.scheme": scope["scheme"],
        "url.path": scope["path"],
    }
    if server := scope.get("server"):
        attributes["server.address"], port = server
        if port is not None:  # a path has none
            attributes["server.port"] = port
    if client := scope.get("client"):
        attributes["client.address"] = client[0]
    return attributes
