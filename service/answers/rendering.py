"""The JSON of a reply that holds a list."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import orjson

from hashrec.index.live.catalogue_view import CatalogueView
from hashrec.index.ranking.recommendation import (
    Explanation,
    Recommendation,
    RecommendedItem,
    SimilarUser,
)
from hashrec.service.answers import cursor
from hashrec.service.answers.cache_tiers import BoundRequest
from hashrec.service.answers.envelope import Content


def render(request: BoundRequest, ranked: Recommendation | list[SimilarUser]) -> Content:
    """Make the content of a reply from its list."""
    if isinstance(ranked, list):
        return Content("similar", None, _users_body(request, ranked))
    personal = request.wanted.kind.personal
    fallback = None if personal is None else personal.fallback_of(ranked)
    return Content(ranked.source, fallback, _items_body(request, ranked))


def dumps(content: Mapping[str, Any]) -> bytes:
    """Return JSON. Attributes from a file can hold numbers beyond 64 bits, which orjson refuses."""
    try:
        return orjson.dumps(content)
    except TypeError:
        return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()


def _items_body(request: BoundRequest, ranked: Recommendation) -> bytes:
    wanted, model = request.wanted, request.model
    assert request.view is not None
    catalogue = request.view.catalogue
    reply: dict[str, Any] = {
        **wanted.names,
        "model_version": model.version,
        "recommendation_id": request.digest.hex(),
        "source": ranked.source,
        "items": [_item(item, catalogue, wanted.fields) for item in ranked.items],
        "count": len(ranked.items),
    }
    if wanted.kind.has_pages:
        following = ranked.bookmark
        reply["next_cursor"] = following and cursor.write(
            following, model.key, wanted.list_digest(model.key)
        )
    if wanted.kind.subject == "history":
        reply["unknown_ids"] = ranked.n_unknown
    return dumps(reply)


def _item(
    item: RecommendedItem, catalogue: CatalogueView, fields: tuple[str, ...] | None
) -> dict[str, Any]:
    item_id, rank, score, hamming, source, row, explanation = item
    entry: dict[str, Any] = {
        "item_id": item_id,
        "rank": rank,
        "score": score,
        "hamming": hamming,
        "source": source,
    }
    if fields is not None:
        attributes = catalogue.attributes(row, item_id)
        for field in fields:
            if field in attributes:
                entry.setdefault(field, attributes[field])
    elif (title := catalogue.title(row, item_id)) is not None:
        entry["title"] = title
    if explanation is not None:
        entry["explanation"] = _explanation(explanation, catalogue)
    return entry


def _explanation(explanation: Explanation, catalogue: CatalogueView) -> dict[str, Any]:
    because: list[dict[str, Any]] = []
    for own in explanation.because:
        entry: dict[str, Any] = {"item_id": own.item_id, "agreeing_bits": own.agreeing_bits}
        if (title := catalogue.title(own.row, own.item_id)) is not None:
            entry["title"] = title
        because.append(entry)
    return {
        "agreeing_bits": explanation.agreeing_bits,
        "bits": explanation.bits,
        "because": because,
    }


def _users_body(request: BoundRequest, users: list[SimilarUser]) -> bytes:
    return orjson.dumps(
        {
            **request.wanted.names,
            "model_version": request.model.version,
            "recommendation_id": request.digest.hex(),
            "users": [
                {
                    "user_id": user.user_id,
                    "rank": user.rank,
                    "score": user.score,
                    "hamming": user.hamming,
                }
                for user in users
            ],
            "count": len(users),
        }
    )
