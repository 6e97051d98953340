"""The bytes and headers of a reply that holds a list of items."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import orjson

from hashrec.index.ranking.recommendation import Explanation, Recommendation, SimilarUser
from hashrec.service.answers.answer import Answer
from hashrec.service.http import compression

NO_PAGES: Mapping[str, str | None] = {}


def body(
    recommendation: Recommendation,
    subject: dict[str, str | None],
    recommendation_id: str,
    title: Callable[[str], str | None],
    paging: Mapping[str, str | None] = NO_PAGES,
    *,
    described: Callable[[str], Mapping[str, Any]] | None = None,
) -> bytes:
    """Build a reply's JSON.

    Args:
        recommendation: the list.
        subject: whom or what it is for, such as `{"user_id": "42"}`; a user without an id came with
            a history, of which the reply says how much was not known.
        recommendation_id: quoted by events that follow from the list.
        title: returns an item's title, or None.
        paging: `next_cursor`, for a list that has pages.
        described: returns the attributes of an item that were asked for; None gives the title.
    """
    items: list[dict[str, Any]] = []
    for item_id, rank, score, hamming, source, explanation in recommendation.items:
        entry: dict[str, Any] = {
            "item_id": item_id,
            "rank": rank,
            "score": score,
            "hamming": hamming,
            "source": source,
        }
        if described is not None:
            for field, value in described(item_id).items():
                entry.setdefault(field, value)
        elif (name := title(item_id)) is not None:
            entry["title"] = name
        if explanation is not None:
            entry["explanation"] = _explanation(explanation, title)
        items.append(entry)
    reply: dict[str, Any] = {
        **subject,
        "model_version": recommendation.model_version,
        "recommendation_id": recommendation_id,
        "source": recommendation.source,
        "items": items,
        "count": len(items),
        **paging,
    }
    if None in subject.values():
        reply["unknown_ids"] = recommendation.n_unknown
    return dumps(reply)


def dumps(content: Mapping[str, Any]) -> bytes:
    """Return JSON, of attributes too that hold numbers beyond 64 bits: a file can have them."""
    try:
        return orjson.dumps(content)
    except TypeError:
        return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()


def users_body(
    users: Sequence[SimilarUser], user_id: str | None, model_version: str, recommendation_id: str
) -> bytes:
    """Build the JSON of a reply that lists users."""
    return orjson.dumps(
        {
            "user_id": user_id,
            "model_version": model_version,
            "recommendation_id": recommendation_id,
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


def _explanation(explanation: Explanation, title: Callable[[str], str | None]) -> dict[str, Any]:
    because: list[dict[str, Any]] = []
    for own in explanation.because:
        entry: dict[str, Any] = {"item_id": own.item_id, "agreeing_bits": own.agreeing_bits}
        if (name := title(own.item_id)) is not None:
            entry["title"] = name
        because.append(entry)
    return {
        "agreeing_bits": explanation.agreeing_bits,
        "bits": explanation.bits,
        "because": because,
    }


def etag(recommendation_id: str) -> bytes:
    """Return the entity tag of a reply: its bytes depend only on what the id is made from."""
    return b'"%b"' % recommendation_id.encode()


def matches(if_none_match: bytes, tag: bytes) -> bool:
    """Tell whether an `If-None-Match` header names an entity tag (RFC 9110, weak comparison)."""
    if if_none_match.strip() == b"*":
        return True
    return any(one.strip().removeprefix(b"W/") == tag for one in if_none_match.split(b","))


def status_and_body(
    answer: Answer, request_headers: Iterable[tuple[bytes, bytes]]
) -> tuple[int, bytes]:
    """Return 200 and the bytes, or 304 and none where the client has them."""
    for name, value in request_headers:
        if name == b"if-none-match" and matches(value, etag(answer.recommendation_id)):
            return 304, b""
    return 200, answer.body


def headers(
    answer: Answer,
    body: bytes,
    away: str | None,
    request_headers: Iterable[tuple[bytes, bytes]] = (),
) -> list[tuple[bytes, bytes]]:
    """Return a list reply's headers, but for those that every reply has.

    Args:
        answer: what is replied.
        body: the bytes that are sent; none for 304.
        away: what the service works without at the moment, if anything.
        request_headers: of the request, for 304: its headers are those of the reply it stands for.
    """
    tag = etag(answer.recommendation_id)
    varies = not body and len(answer.body) >= compression.FROM_BYTES
    if varies and compression.accepts_gzip(request_headers):
        tag = b"W/" + tag
    found = [
        (b"etag", tag),
        (b"x-model-version", answer.model_version.encode()),
        (b"x-cache", answer.cache.encode()),
    ]
    if body:
        found += [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    if varies:
        found.append((b"vary", b"Accept-Encoding"))
    if away is not None:
        found.append((b"x-degraded", away.encode()))
    return found
