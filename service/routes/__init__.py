"""The routes. A new group is a file here and a line in `ROUTERS`."""

from fastapi import APIRouter

from service.routes import docs, events, health, items, metrics, models, popular, recommend, users

ROUTERS: dict[str, APIRouter] = {
    "recommend": recommend.router,
    "items": items.router,
    "users": users.router,
    "events": events.router,
    "popular": popular.router,
    "models": models.router,
    "health": health.router,
    "metrics": metrics.router,
    "docs": docs.router,
}

__all__ = ["ROUTERS"]
