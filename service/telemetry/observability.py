"""Metrics of the service, and the ASGI layer that names, times and logs every request."""

from __future__ import annotations

import functools
import itertools
import os
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any, Literal

import structlog
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Metric,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.multiprocess import (  # pyright: ignore[reportMissingTypeStubs]
    MultiProcessCollector,
    mark_process_dead,  # pyright: ignore[reportUnknownVariableType]
)
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

REQUEST_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
SEARCH_BUCKETS = (0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 1.0)
Headers = Iterable[tuple[bytes, bytes]]

UNMATCHED = "unmatched"  # in the place of a route where there is none
METHODS = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})
# Headers of a reply that its line in the log repeats, and the member that holds them.
LOGGED_HEADERS = {
    b"content-length": "bytes",
    b"x-model-version": "model_version",
    b"x-cache": "cache",
    b"x-degraded": "degraded",
}
SANE_REQUEST_ID = re.compile(rb"[A-Za-z0-9._:@+/=-]{1,128}")

log = structlog.stdlib.get_logger("service.requests")


class Metrics:
    """Every metric of one worker process, and their sum over all workers.

    The attributes that take labels are functions from label values to the metric; they are cached,
    because `labels` costs more than the count itself.

    Args:
        shared_folder: where worker processes share their metrics; None for a single process.
    """

    def __init__(self, shared_folder: Path | None = None) -> None:
        disable_created_metrics()
        self._shared_folder = shared_folder
        self._registry = registry = CollectorRegistry()
        self.requests = functools.cache(
            Histogram(
                "http_request_duration_seconds",
                "Time from a request's head to the end of its reply.",
                ("method", "route", "status"),
                buckets=REQUEST_BUCKETS,
                registry=registry,
            ).labels
        )
        self.recommendations = functools.cache(
            Counter(
                "hashrec_recommend_requests_total",
                "Lists of recommendations answered, by where they come from and who had them.",
                ("source", "cache"),
                registry=registry,
            ).labels
        )
        self.searches = functools.cache(
            Histogram(
                "hashrec_search_duration_seconds",
                "Time to rank items for one list that no cache had.",
                ("index",),
                buckets=SEARCH_BUCKETS,
                registry=registry,
            ).labels
        )
        self.cache_operations = functools.cache(
            Counter(
                "hashrec_cache_operations_total",
                "Reads by outcome (hit, miss, invalid, unavailable) and writes that were lost "
                "(dropped, refused).",
                ("tier", "outcome"),
                registry=registry,
            ).labels
        )
        self.fallbacks = functools.cache(
            Counter(
                "hashrec_fallback_total",
                "Lists of recommendations that popular items filled, by reason.",
                ("reason",),
                registry=registry,
            ).labels
        )
        self.events = functools.cache(
            Counter(
                "hashrec_events_total",
                "Events by type and by what became of them (accepted, duplicate, rejected, "
                "unavailable).",
                ("type", "outcome"),
                registry=registry,
            ).labels
        )
        self.index_items = Gauge(
            "hashrec_index_items",
            "Items in the served index.",
            registry=registry,
            multiprocess_mode="livemostrecent",
        )
        self.index_bytes = Gauge(
            "hashrec_index_bytes",
            "Bytes of codes in the served index.",
            registry=registry,
            multiprocess_mode="livemostrecent",
        )
        self._model_info = Gauge(
            "hashrec_model_info",
            "1 for each model version that a worker serves.",
            ("version", "bits"),
            registry=registry,
            multiprocess_mode="livemax",
        )
        self.model_activated = Gauge(
            "hashrec_model_activated_timestamp_seconds",
            "When the latest model went into service, in Unix time.",
            registry=registry,
            multiprocess_mode="livemax",
        )
        self.models_refused = Counter(
            "hashrec_models_refused_total",
            "Published versions that were not put into service because they are damaged.",
            registry=registry,
        )
        self.degraded = Gauge(
            "hashrec_degraded",
            "1 while a worker serves without Redis, or serves an older version than published.",
            registry=registry,
            multiprocess_mode="livemax",
        )
        self.experiment_requests = functools.cache(
            Counter(
                "hashrec_experiment_requests_total",
                "Lists for a user that were answered while an experiment ran, by version.",
                ("version",),
                registry=registry,
            ).labels
        )
        self._served: tuple[str, str] | None = None
        self._candidate: tuple[str, str] | None = None

    def model_served(
        self, version: str, n_bits: int, n_items: int, n_bytes: int, activated_at: float
    ) -> None:
        """Describe the model that is served from now on; the one before goes out of the metrics."""
        if self._served is not None:
            self._model_info.labels(*self._served).set(0)
        self._served = (version, str(n_bits))
        self._model_info.labels(*self._served).set(1)
        self.index_items.set(n_items)
        self.index_bytes.set(n_bytes)
        self.model_activated.set(activated_at)

    def candidate_served(self, candidate: tuple[str, str] | None) -> None:
        """Name the version and bits of the model that a share of the users gets; None: none."""
        if self._candidate not in (None, candidate, self._served):
            self._model_info.labels(*self._candidate).set(0)
        self._candidate = candidate
        if candidate is not None:
            self._model_info.labels(*candidate).set(1)

    def exposition(self) -> bytes:
        """Return all metrics in Prometheus' text format, summed over the workers."""
        collector: Collector = self._registry
        if self._shared_folder is not None:
            _forget_dead_workers(self._shared_folder)
            collector = MultiProcessCollector(None, path=str(self._shared_folder))
        registry = CollectorRegistry()
        registry.register(_ServedModelsOnly(collector))
        return generate_latest(registry)


class _ServedModelsOnly(Collector):
    """Leaves out versions that no worker serves: a shared metric's labels cannot be removed."""

    def __init__(self, collector: Collector) -> None:
        self._collector = collector

    def collect(self) -> Iterable[Metric]:
        for metric in self._collector.collect():
            if metric.name == "hashrec_model_info":
                metric.samples = [sample for sample in metric.samples if sample.value]
            yield metric


def _forget_dead_workers(folder: Path) -> None:
    """Drop the gauges of workers that are gone; their counts stay."""
    for file in folder.glob("gauge_live*_*.db"):
        pid = int(file.stem.rpartition("_")[2])
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            mark_process_dead(pid, str(folder))


@dataclass(slots=True)
class Draining:
    """Whether the process was asked to end and only finishes what it has."""

    begun: bool = False


class RequestObserver:
    """The outermost ASGI layer: request ids, `Server-Timing`, metrics, one log line a request."""

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
            if status < 500:  # no error page went out: let the server end the connection
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
        """Return the id that the client gave its request if it is sane, else a new one."""
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
            # A client that keeps a connection open could send into it just as it is closed.
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
        """Count a request that is over, and log it if requests of its kind are logged.

        Args:
            scope: the request.
            route: the template of its path.
            status: of the reply.
            request_id: the request's id.
            started: when its head had come.
            headers: of the reply, of which the log repeats some.
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
    """Return the template of the route that took a request, never the path itself."""
    route: Any = scope.get("route")
    return getattr(route, "path_format", None) or UNMATCHED
