"""Status, headers and entity tag of a reply that holds a list."""

from __future__ import annotations

from collections.abc import Iterable

from hashrec.service.answers.answer import Answer
from hashrec.service.http import compression


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
