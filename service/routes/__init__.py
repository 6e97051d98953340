"""Routes: requests are validated here and handed on. A new group is a file and a line in `ROUTERS`.

`fast_path` answers the most frequent request in front of FastAPI. `dependencies` gives the routes
the parts of the service. `schemas`, `catalogue_schemas`, `version_schemas` and `event_bodies` are
the bodies and replies of the OpenAPI document.

Public: `ROUTERS`, `fast_path.FastPath`, `dependencies.Services`.
"""

from fastapi import APIRouter

from hashrec.service.routes import (
    catalogue,
    docs,
    events,
    health,
    items,
    metrics,
    models,
    popular,
    recommend,
    users,
)

ROUTERS: dict[str, APIRouter] = {
    "recommend": recommend.router,
    "items": items.router,
    "users": users.router,
    "catalogue": catalogue.router,  # behind paths that go on where its own end
    "events": events.router,
    "popular": popular.router,
    "models": models.router,
    "health": health.router,
    "metrics": metrics.router,
    "docs": docs.router,
}

__all__ = ["ROUTERS"]
