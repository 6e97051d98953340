"""The ASGI application: its layers, routes and lifespan."""

from __future__ import annotations

import asyncio
import importlib.metadata
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import faiss
import structlog
from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from hashrec.index.artifacts.store import Store
from hashrec.index.errors import MissingLibraryError
from hashrec.index.model.recent import days_of
from hashrec.service.access.gate import GUARDED, OPEN_ROUTERS, Access, Gate
from hashrec.service.answers.cache_tiers import CacheTiers
from hashrec.service.answers.cached_recommender import CachedRecommender
from hashrec.service.answers.caches import LocalCache, RedisCache
from hashrec.service.http.body_limit import BodyLimit
from hashrec.service.http.compression import Compression
from hashrec.service.http.methods import ROUTED, Methods
from hashrec.service.http.problems import add_error_handlers
from hashrec.service.live.event_log import EventLog
from hashrec.service.live.journal_state import JournalState
from hashrec.service.routes import ROUTERS, events
from hashrec.service.routes.dependencies import Services, State
from hashrec.service.routes.fast_path import FastPath
from hashrec.service.settings import CorsSettings, Settings, multiprocess_metrics_folder
from hashrec.service.telemetry import logs
from hashrec.service.telemetry.draining import Draining, drain_on_sigterm
from hashrec.service.telemetry.metrics import Metrics
from hashrec.service.telemetry.request_observer import RequestObserver
from hashrec.service.telemetry.spans import Spans, no_span
from hashrec.service.versions.experiment import Experiment
from hashrec.service.versions.served_models import ServedModels

if TYPE_CHECKING:
    from hashrec.service.telemetry.tracing import Tracing

MAX_BODY_BYTES = 1_048_576
MAX_STREAMED_BYTES = 67_108_864  # read in parts, not held in memory
FIRST_MODEL_WAIT_S = 10.0  # after that /livez answers while the model still loads

log = structlog.stdlib.get_logger("service")


class _Application(FastAPI):
    """FastAPI with layers in front of its own, which can answer a request without routing."""

    def __init__(self, in_front: Callable[[ASGIApp], ASGIApp], **options: Any) -> None:
        super().__init__(**options)
        self._front = in_front(super().__call__)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or the lifespan."""
        await self._front(scope, receive, send)

    def openapi(self) -> dict[str, Any]:
        """Return the OpenAPI document, with the schemas of bodies that routes read by hand."""
        if self.openapi_schema is None:
            super().openapi()["components"]["schemas"].update(events.SCHEMAS)
        return super().openapi()


def create_app(settings: Settings, *, fast_path: bool = True) -> FastAPI:
    """Create the application; its lifespan, in the worker process, opens everything it needs.

    Args:
        settings: the settings in force.
        fast_path: False sends every request through FastAPI, for comparison.
    """
    tracing = tracing_of(settings)
    logs.configure(settings.log_level, more=tracing and tracing.add_ids)
    metrics = Metrics(multiprocess_metrics_folder())
    draining = Draining()
    access = Access(settings)

    def in_front(app: ASGIApp) -> ASGIApp:
        cors = _cross_origin(app, settings.cors)
        observed = RequestObserver if tracing is None else tracing.observer
        observer = observed(cors or app, metrics, draining, settings.log_requests)
        front = FastPath(observer, access, cors) if fast_path else observer
        return front if tracing is None else tracing.in_front(front)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[State]:
        del app
        faiss.omp_set_num_threads(1)  # parallelism is across requests
        if tracing is not None:
            tracing.start()
        span = no_span if tracing is None else tracing.span
        services = _services(settings, metrics, draining, access, span)
        if services.shared_cache is not None:
            await services.shared_cache.start()
        await services.events.open()
        looked = asyncio.Event()
        watch = asyncio.create_task(_watch(services, settings.poll_interval_s, looked))
        with suppress(TimeoutError):
            async with asyncio.timeout(FIRST_MODEL_WAIT_S):
                await looked.wait()
        with drain_on_sigterm(draining, settings.drain_s):
            yield {"services": services}
        watch.cancel()
        with suppress(asyncio.CancelledError):
            await watch
        await services.events.close()
        await access.close()
        if services.shared_cache is not None:
            await services.shared_cache.close()
        if tracing is not None:
            await tracing.close()

    app = _Application(
        in_front,
        title="hashrec",
        summary="Recommendations by Hamming distance between binary codes.",
        version=importlib.metadata.version("hashrec"),
        lifespan=lifespan,
        openapi_url=None,  # served by routes/docs.py, under both prefixes
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=_operation_id,
    )
    app.add_middleware(BodyLimit, max_bytes=MAX_BODY_BYTES, max_streamed_bytes=MAX_STREAMED_BYTES)
    app.add_middleware(Gate, access=access)  # outside BodyLimit: a refused body is not read
    app.add_middleware(Compression)
    app.add_middleware(Methods)  # the last layer added is the outermost
    add_error_handlers(app)
    for prefix in ("", "/v1"):
        for name, router in ROUTERS.items():
            guarded = {} if name in OPEN_ROUTERS else GUARDED
            app.include_router(router, prefix=prefix, include_in_schema=not prefix, **guarded)
    return app


def _operation_id(route: APIRoute) -> str:
    """Return the id of an operation, by which client generators name its method."""
    return route.name


def from_environment() -> FastAPI:
    """Create the application from the environment, for `uvicorn --factory`."""
    return create_app(Settings.load())


def _cross_origin(app: ASGIApp, settings: CorsSettings) -> CORSMiddleware | None:
    """Return the CORS layer, or None if no origin is configured."""
    if settings.origins is None:
        return None
    return CORSMiddleware(
        app,
        allow_origins=settings.origins,
        allow_credentials=settings.credentials,
        allow_methods=(*ROUTED, "HEAD"),
        allow_headers=(
            *("Authorization", "If-None-Match", "X-API-Key", "X-Request-ID"),
            *("traceparent", "tracestate"),
        ),
        expose_headers=(
            *("ETag", "Retry-After", "Server-Timing", "X-Cache", "X-Degraded"),
            *("X-Model-Version", "X-Request-ID"),
        ),
    )


def tracing_of(settings: Settings) -> Tracing | None:
    """Return the tracing of requests, or None, without its imports, if no collector is configured.

    Raises:
        MissingLibraryError: the OpenTelemetry libraries are not installed.
    """
    if settings.otel.endpoint is None:
        return None
    try:
        from hashrec.service.telemetry.tracing import Tracing  # noqa: PLC0415
    except ModuleNotFoundError as error:
        if not (error.name or "").startswith("opentelemetry"):
            raise
        raise MissingLibraryError("HASHREC_OTEL__ENDPOINT", "OpenTelemetry", "otel") from None
    return Tracing(settings.otel)


def _services(
    settings: Settings, metrics: Metrics, draining: Draining, access: Access, span: Spans
) -> Services:
    def report(tier: str) -> Callable[[str], None]:
        return lambda outcome: metrics.cache_operations(tier, outcome).inc()

    window = settings.fallback_window
    models = ServedModels(
        Store(settings.store),
        metrics,
        Experiment.of(settings.experiment),
        fallback_days=None if window is None else days_of(window),
    )
    local = LocalCache.create(settings, report("local"))
    shared = RedisCache.create(settings, report("redis"), span) if settings.redis.url else None
    events = EventLog(settings, span)
    journal = JournalState(events, settings.events.given_negative, span)
    tiers = CacheTiers(local, shared, metrics, settings.cache)
    recommendations = CachedRecommender(models, tiers, journal, metrics, span=span)
    return Services(models, recommendations, shared, metrics, draining, access, events, journal)


async def _watch(services: Services, interval_s: float, looked: asyncio.Event) -> None:
    """Check the store for a new version, again and again until the process ends."""
    while True:
        try:
            await services.models.look()
            for model in (services.models.current, services.models.candidate):
                if model is not None:  # so that no request waits for a long journal
                    await services.journal_state.catch_up(model.recommender)
        except Exception:
            log.exception("could not check for a new version")
        looked.set()
        services.report_health()
        services.access.refresh()
        await services.events.open()  # does nothing once it is
        await asyncio.sleep(interval_s)
