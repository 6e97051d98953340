"""The catalogue and the users: read both, change items."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query
from starlette.responses import Response

from hashrec.index.errors import UnknownItemError
from hashrec.index.live.catalogue import ItemPlace, item_now, items_from
from hashrec.index.live.catalogue_view import CatalogueView, ItemNow, categories_of
from hashrec.index.live.journal import ItemChange
from hashrec.index.live.model_overlay import OverlayView
from hashrec.index.model.model import Model
from hashrec.index.ranking.recommender import Recommender
from hashrec.service.access.gate import require_admin
from hashrec.service.answers import cursor, rendering
from hashrec.service.http.problems import documented
from hashrec.service.routes.catalogue_schemas import (
    OWN_CATEGORIES,
    CatalogueItem,
    CatalogueQuery,
    ItemBody,
    ItemsReply,
    UserReply,
)
from hashrec.service.routes.dependencies import (
    Services,
    ServicesDependency,
    refuse_repeated_options,
)
from hashrec.service.routes.schemas import ExternalId

router = APIRouter(tags=["catalogue"], dependencies=[Depends(refuse_repeated_options)])

ItemId = Annotated[ExternalId, Path(description="Any id.")]
CHANGES: dict[str, Any] = {
    "dependencies": [Depends(require_admin)],
    "response_class": Response,
}


@router.get(
    "/items",
    responses={200: {"model": ItemsReply}, **documented(410, 422, 500, 503)},
    response_class=Response,
)
async def list_items(
    services: ServicesDependency, query: Annotated[CatalogueQuery, Query()]
) -> Response:
    """List the catalogue with hidden items: the most popular first.

    A change of the catalogue moves no item, so paging neither repeats nor skips one while the model
    is served.
    """
    model, catalogue, version = await _catalogue(services)
    place = ItemPlace() if query.cursor is None else cursor.read_place(query.cursor, version)
    found, following = await asyncio.to_thread(items_from, model, catalogue, place, query.length)
    return _json(
        {
            "model_version": version,
            "items": [_described(item) for item in found],
            "count": len(found),
            "next_cursor": following and cursor.write_place(following, version),
        },
        version,
    )


@router.get(
    "/items/{item_id:id}",
    responses={200: {"model": CatalogueItem}, **documented(404, 422, 500, 503)},
    response_class=Response,
)
async def get_item(services: ServicesDependency, item_id: ItemId) -> Response:
    """Return an item of the catalogue, hidden or not."""
    model, catalogue, version = await _catalogue(services)
    return _json(_described(_found(model, catalogue, item_id)), version)


@router.put(
    "/items/{item_id:id}",
    responses={
        200: {"model": CatalogueItem, "description": "The item, which is kept."},
        **documented(400, 403, 404, 413, 422, 500, 503),
    },
    **CHANGES,
)
async def put_item(services: ServicesDependency, item_id: ItemId, body: ItemBody) -> Response:
    """Add an item, or replace all its attributes. All lists change at once."""
    change = body.replaced(item_id, time.time())
    row = services.models.get().recommender.artifact.model.items.row(item_id)
    async with services.journal_state.changing(item_id):
        await services.events.append([change])
    return _json(_described(ItemNow(item_id, change.attributes or {}, bool(change.hidden), row)))


@router.patch(
    "/items/{item_id:id}",
    responses={
        200: {"model": CatalogueItem, "description": "The item, which is kept."},
        **documented(400, 403, 404, 413, 422, 500, 503),
    },
    **CHANGES,
)
async def update_item(services: ServicesDependency, item_id: ItemId, body: ItemBody) -> Response:
    """Change some attributes of an item; null removes one. All lists change at once."""
    async with services.journal_state.changing(item_id):
        model, catalogue, _ = await _catalogue(services)
        item = _found(model, catalogue, item_id)
        change = body.merged(item_id, dict(item.attributes), time.time())
        if change.attributes is not None or change.hidden is not None:
            await services.events.append([change])
    attributes = item.attributes if change.attributes is None else change.attributes
    hidden = item.hidden if change.hidden is None else change.hidden
    return _json(_described(ItemNow(item_id, attributes, hidden, item.row)))


@router.delete(
    "/items/{item_id:id}",
    status_code=204,
    responses={204: {"description": "The item is gone."}, **documented(403, 404, 422, 500, 503)},
    **CHANGES,
)
async def delete_item(services: ServicesDependency, item_id: ItemId) -> Response:
    """Delete an item from the catalogue; all lists change at once."""
    async with services.journal_state.changing(item_id):
        model, catalogue, _ = await _catalogue(services)
        _found(model, catalogue, item_id)
        await services.events.append(
            [ItemChange(item_id, None, None, deleted=True, timestamp=time.time())]
        )
    return Response(status_code=204)


@router.get(
    "/users/{user_id:id}",
    tags=["users"],
    responses={200: {"model": UserReply}, **documented(404, 422, 500, 503)},
    response_class=Response,
)
async def get_user(
    services: ServicesDependency,
    user_id: Annotated[ExternalId, Path(description="Any id; the reply says if it is known.")],
) -> Response:
    """Return what the model and later events know of a user."""
    loaded = services.models.get()
    overlay = await services.journal_state.now(loaded.recommender)
    events, view = overlay.events(user_id), overlay.view(user_id)
    model = loaded.recommender.artifact.model
    row = model.users.row(user_id)
    return _json(
        {
            "user_id": user_id,
            "model_version": loaded.version,
            "known": row is not None,
            "seen": 0 if row is None else len(model.seen[row]),
            "positive": len(events.positives),
            "negative": len(events.negatives),
            "categories": await asyncio.to_thread(
                _own_categories, loaded.recommender, view, user_id
            ),
        },
        loaded.version,
    )


async def _catalogue(services: Services) -> tuple[Model, CatalogueView, str]:
    loaded = services.models.get()
    overlay = await services.journal_state.now(loaded.recommender)
    return loaded.recommender.artifact.model, overlay.catalogue(), loaded.version


def _found(model: Model, catalogue: CatalogueView, item_id: str) -> ItemNow:
    item = item_now(model, catalogue, item_id)
    if item is None:
        raise UnknownItemError(item_id)
    return item


def _described(item: ItemNow) -> dict[str, Any]:
    return {
        "item_id": item.item_id,
        **item.attributes,
        "hidden": item.hidden,
        "in_model": item.row is not None,
    }


def _own_categories(
    recommender: Recommender, view: OverlayView, user_id: str
) -> list[dict[str, Any]]:
    items = recommender.artifact.model.items
    counts: Counter[str] = Counter()
    for row in recommender.own_rows(user_id, view).tolist():
        counts.update(categories_of(view.catalogue.attributes(row, items.id(row))))
    most = sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))
    return [{"category": name, "items": count} for name, count in most[:OWN_CATEGORIES]]


def _json(content: dict[str, Any], version: str | None = None) -> Response:
    headers = {} if version is None else {"x-model-version": version}
    return Response(rendering.dumps(content), headers=headers, media_type="application/json")
