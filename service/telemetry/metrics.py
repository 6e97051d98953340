"""Prometheus metrics of the service: of one worker process, and their sum over all workers."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from pathlib import Path

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

from hashrec.index.artifacts.durable import is_running

REQUEST_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
SEARCH_BUCKETS = (0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 1.0)


class Metrics:
    """The metrics of one worker process, and their sum over all workers.

    An attribute with labels is a function from label values to a metric. It is cached, because
    `labels` costs more than the count itself.

    Args:
        shared_folder: folder in which worker processes share metrics; None for a single process.
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
                "Lists of recommendations answered, by source of their items and by cache.",
                ("source", "cache"),
                registry=registry,
            ).labels
        )
        self.searches = functools.cache(
            Histogram(
                "hashrec_search_duration_seconds",
                "Time to rank the items of a list that was in no cache.",
                ("index",),
                buckets=SEARCH_BUCKETS,
                registry=registry,
            ).labels
        )
        self.cache_operations = functools.cache(
            Counter(
                "hashrec_cache_operations_total",
                "Reads by outcome (hit, miss, invalid, unavailable) and lost writes "
                "(dropped, refused).",
                ("tier", "outcome"),
                registry=registry,
            ).labels
        )
        self.fallbacks = functools.cache(
            Counter(
                "hashrec_fallback_total",
                "Lists of recommendations filled with popular items, by reason.",
                ("reason",),
                registry=registry,
            ).labels
        )
        self.events = functools.cache(
            Counter(
                "hashrec_events_total",
                "Events by type and outcome (accepted, duplicate, rejected, unavailable).",
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
            "Unix time at which the latest model went into service.",
            registry=registry,
            multiprocess_mode="livemax",
        )
        self.models_refused = Counter(
            "hashrec_models_refused_total",
            "Published versions that were not served because they are damaged.",
            registry=registry,
        )
        self.degraded = Gauge(
            "hashrec_degraded",
            "1 while a worker serves without Redis, or a version older than the published one.",
            registry=registry,
            multiprocess_mode="livemax",
        )
        self.experiment_requests = functools.cache(
            Counter(
                "hashrec_experiment_requests_total",
                "Lists answered for a user during an experiment, by version.",
                ("version",),
                registry=registry,
            ).labels
        )
        self._served: tuple[str, str] | None = None
        self._candidate: tuple[str, str] | None = None

    def model_served(
        self, version: str, n_bits: int, n_items: int, n_bytes: int, activated_at: float
    ) -> None:
        """Record the model that is now served, and remove the previous one from the metrics."""
        if self._served is not None:
            self._model_info.labels(*self._served).set(0)
        self._served = (version, str(n_bits))
        self._model_info.labels(*self._served).set(1)
        self.index_items.set(n_items)
        self.index_bytes.set(n_bytes)
        self.model_activated.set(activated_at)

    def candidate_served(self, candidate: tuple[str, str] | None) -> None:
        """Record the version and bits of the experiment's candidate; None if there is none."""
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
    """Omits versions that no worker serves: labels of a shared metric cannot be removed."""

    def __init__(self, collector: Collector) -> None:
        self._collector = collector

    def collect(self) -> Iterable[Metric]:
        for metric in self._collector.collect():
            if metric.name == "hashrec_model_info":
                metric.samples = [sample for sample in metric.samples if sample.value]
            yield metric


def _forget_dead_workers(folder: Path) -> None:
    """Remove the gauges of workers that have ended; their counters stay."""
    for file in folder.glob("gauge_live*_*.db"):
        pid = int(file.stem.rpartition("_")[2])
        if not is_running(pid):
            mark_process_dead(pid, str(folder))
