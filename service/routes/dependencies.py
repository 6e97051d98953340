"""The parts of the service in a worker process, and how routes get them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Annotated, TypedDict

from fastapi import Depends, Request
from fastapi.exceptions import RequestValidationError
from starlette.convertors import PathConvertor, register_url_convertor

from hashrec.service.access.gate import Access
from hashrec.service.answers.cached_recommender import CachedRecommender
from hashrec.service.answers.caches import Cache
from hashrec.service.live.event_log import EventLog
from hashrec.service.live.journal_state import JournalState
from hashrec.service.routes.schemas import REPEATABLE
from hashrec.service.telemetry.draining import Draining
from hashrec.service.telemetry.metrics import Metrics
from hashrec.service.versions.served_models import ServedModels


@dataclass(frozen=True, slots=True)
class Services:
    """The parts of the service that routes use."""

    models: ServedModels
    recommendations: CachedRecommender
    shared_cache: Cache | None
    metrics: Metrics
    draining: Draining
    access: Access
    events: EventLog
    journal_state: JournalState

    def away(self) -> str | None:
        """Return the configured parts that are unavailable, None if there are none."""
        cache = self.shared_cache
        name = None if cache is None or cache.available else cache.name
        if self.journal_state.available:
            return name
        return "journal" if name is None else f"{name}, journal"

    def report_health(self) -> bool:
        """Update the gauge, and return whether the service is degraded."""
        degraded = (
            self.away() is not None
            or self.models.refusal is not None
            or self.models.candidate_refusal is not None
            or self.events.state == "unavailable"
        )
        self.metrics.degraded.set(degraded)
        return degraded


class State(TypedDict):
    """State of the lifespan, which the server passes to every request."""

    services: Services


def get_services(request: Request) -> Services:
    """Return the services of the process."""
    return request.state.services


async def refuse_repeated_options(request: Request) -> None:
    """Check that a query has each option once, except those that are lists.

    Raises:
        RequestValidationError: it does not. FastAPI would take the last one.
    """
    given = Counter(key for key, _ in request.query_params.multi_items())
    if repeated := [key for key, n in given.items() if n > 1 and key not in REPEATABLE]:
        raise RequestValidationError(
            [{"loc": ("query", key), "msg": "give this option once"} for key in repeated]
        )


class _IdConvertor(PathConvertor):
    """Accepts every character, as ids do.

    Starlette's own `path` ends at a line break, so that one user's path led to another's list.
    """

    regex = "(?s:.*)"


register_url_convertor("id", _IdConvertor())  # for paths such as `/users/{user_id:id}`
ServicesDependency = Annotated[Services, Depends(get_services)]
