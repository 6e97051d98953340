"""The catalogue and the users: to look at, and the items to change."""

from __future__ import annotations

import asyncio
import base64
import binascii
import time
from collections import Counter
from typing import Annotated, Any

import numpy as np
import orjson
from fastapi import APIRouter, Depends, Path, Query
from starlette.responses import Response

from hashrec.index.arrays.seen import contained
from hashrec.index.errors import UnknownItemError
from hashrec.index.live.catalogue import ItemPlace, item_now, items_from
from hashrec.index.live.catalogue_state import ItemNow
from hashrec.index.live.journal import ItemChange
from hashrec.index.live.model_overlay import CatalogueView, OverlayView, categories_of
from hashrec.index.model.model import Model
from hashrec.service.access.gate import require_admin
from hashrec.service.answers import replies
from hashrec.service.errors import InvalidCursorError, StaleCursorError
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
async def items(
    services: ServicesDependency, query: Annotated[CatalogueQuery, Query()]
) -> Response:
    """List the catalogue, hidden items too: the most popular first, then what no model has.

    A change of the catalogue moves no item, so paging neither repeats nor skips one while the model
    is served.
    """
    model, catalogue, version = await _catalogue(services)
    place = ItemPlace() if query.cursor is None else _read_place(query.cursor, version)
    found, following = await asyncio.to_thread(items_from, model, catalogue, place, query.length)
    return _json(
        {
            "model_version": version,
            "items": [_described(item, model) for item in found],
            "count": len(found),
            "next_cursor": following and _write_place(following, version),
        },
        version,
    )


@router.get(
    "/items/{item_id:id}",
    responses={200: {"model": CatalogueItem}, **documented(404, 422, 500, 503)},
    response_class=Response,
)
async def get_item(services: ServicesDependency, item_id: ItemId) -> Response:
    """Describe an item of the catalogue, hidden or not."""
    model, catalogue, version = await _catalogue(services)
    return _json(_described(_found(model, catalogue, item_id), model), version)


@router.put(
    "/items/{item_id:id}",
    responses={
        200: {"model": CatalogueItem, "description": "The item, which is kept."},
        **documented(400, 403, 404, 413, 422, 500, 503),
    },
    **CHANGES,
)
async def put_item(services: ServicesDependency, item_id: ItemId, body: ItemBody) -> Response:
    """Add an item, or replace all that is known of it. Every list follows at once."""
    change = body.replaced(item_id, time.time())
    model = services.live.get().recommender.artifact.model
    async with services.state.changing(item_id):
        await services.events.append([change])
    return _json(_described(ItemNow(item_id, change.attributes or {}, bool(change.hidden)), model))


@router.patch(
    "/items/{item_id:id}",
    responses={
        200: {"model": CatalogueItem, "description": "The item, which is kept."},
        **documented(400, 403, 404, 413, 422, 500, 503),
    },
    **CHANGES,
)
async def patch_item(services: ServicesDependency, item_id: ItemId, body: ItemBody) -> Response:
    """Replace some attributes of an item; null takes one away. Every list follows at once."""
    async with services.state.changing(item_id):
        model, catalogue, _ = await _catalogue(services)
        item = _found(model, catalogue, item_id)
        change = body.merged(item_id, dict(item.attributes), time.time())
        if change.attributes is not None or change.hidden is not None:
            await services.events.append([change])
    attributes = item.attributes if change.attributes is None else change.attributes
    hidden = item.hidden if change.hidden is None else change.hidden
    return _json(_described(ItemNow(item_id, attributes, hidden), model))


@router.delete(
    "/items/{item_id:id}",
    status_code=204,
    responses={204: {"description": "The item is gone."}, **documented(403, 404, 422, 500, 503)},
    **CHANGES,
)
async def delete_item(services: ServicesDependency, item_id: ItemId) -> Response:
    """Take an item out of the catalogue, and out of every list at once."""
    async with services.state.changing(item_id):
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
    """Say what is known of a user: from the model, and from events since it learned."""
    loaded = services.live.get()
    live = await services.state.now(loaded.recommender)
    model = loaded.recommender.artifact.model
    view = OverlayView(_unchanged(model)) if live is None else live.view(user_id)
    events = None if live is None else live.events(user_id)
    row = model.users.row(user_id)
    return _json(
        {
            "user_id": user_id,
            "model_version": loaded.version,
            "known": row is not None,
            "seen": 0 if row is None else len(model.seen[row]),
            "positive": 0 if events is None else len(events.positives),
            "negative": 0 if events is None else len(events.negatives),
            "categories": await asyncio.to_thread(_own_categories, model, view, row),
        },
        loaded.version,
    )


async def _catalogue(services: Services) -> tuple[Model, CatalogueView, str]:
    loaded = services.live.get()
    live = await services.state.now(loaded.recommender)
    model = loaded.recommender.artifact.model
    return model, _unchanged(model) if live is None else live.catalogue(), loaded.version


def _unchanged(model: Model) -> CatalogueView:
    return CatalogueView.unchanged(model.item_table)


def _found(model: Model, catalogue: CatalogueView, item_id: str) -> ItemNow:
    item = item_now(model, catalogue, item_id)
    if item is None:
        raise UnknownItemError(item_id)
    return item


def _described(item: ItemNow, model: Model) -> dict[str, Any]:
    return {
        "item_id": item.item_id,
        **item.attributes,
        "hidden": item.hidden,
        "in_model": model.items.row(item.item_id) is not None,
    }


def _own_categories(model: Model, view: OverlayView, user_row: int | None) -> list[dict[str, Any]]:
    seen = np.empty(0, np.int64) if user_row is None else model.seen[user_row]
    rows = np.union1d(seen[~contained(seen, view.negatives)], view.positives)
    counts: Counter[str] = Counter()
    for row in rows.tolist():
        item_id = model.items.id(row)
        attributes = view.catalogue.attributes.get(item_id)
        counts.update(categories_of(model.item_table.of(row) if attributes is None else attributes))
    most = sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))
    return [{"category": name, "items": count} for name, count in most[:OWN_CATEGORIES]]


def _json(content: dict[str, Any], version: str | None = None) -> Response:
    headers = {} if version is None else {"x-model-version": version}
    return Response(replies.dumps(content), headers=headers, media_type="application/json")


def _write_place(place: ItemPlace, version: str) -> str:
    content = orjson.dumps([version, place.row, place.after])
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def _read_place(cursor: str, version: str) -> ItemPlace:
    try:
        content = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        of_version, row, after = orjson.loads(content)
    except (binascii.Error, ValueError, TypeError):
        raise InvalidCursorError("it is none of a catalogue") from None
    if not (isinstance(of_version, str) and isinstance(after, str) and type(row) is int):
        raise InvalidCursorError("it is none of a catalogue")
    if of_version != version:
        raise StaleCursorError
    if not 0 <= row < 2**31:
        raise InvalidCursorError("it is none of a catalogue")
    return ItemPlace(row, after)
