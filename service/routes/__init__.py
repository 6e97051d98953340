"""The routes. A new group is a file here and a line in `ROUTERS`."""

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
