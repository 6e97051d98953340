"""How an answer is wrapped for a cache, so that only the right bytes come out again.

    magic (4) | recommendation id (16) | source (1) | fallback (1) | seal (16) | body

The id is derived from model, user and parameters, so another user's answer does not fit. The seal
is a digest of all the rest, keyed by the model's manifest: who can write to the cache, but has not
read the published model, cannot make one.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import NamedTuple

MAGIC = b"HRa1"
DIGEST_BYTES = 16
_SEAL_AT = len(MAGIC) + DIGEST_BYTES + 2
_BODY_AT = _SEAL_AT + DIGEST_BYTES

# Positions are what is stored: add at the end, and change MAGIC to reorder.
SOURCES = (
    *("personal", "category_popular", "popular", "similar", "fold_in", "latest"),
    "recent_popular",
)
FALLBACKS = (None, "unknown_user", "too_few_found", "unknown_history")


class Content(NamedTuple):
    """What the service keeps of an answer.

    Attributes:
        source: where the list comes from, one of `SOURCES`.
        fallback: why it holds popular items although it should be personal, one of `FALLBACKS`.
        body: the reply's JSON.
    """

    source: str
    fallback: str | None
    body: bytes


def wrap(content: Content, digest: bytes, key: bytes) -> bytes:
    """Wrap an answer.

    Args:
        content: the answer.
        digest: its recommendation id, 16 bytes.
        key: the model's key, at most 64 bytes.
    """
    head = (
        MAGIC + digest + bytes((SOURCES.index(content.source), FALLBACKS.index(content.fallback)))
    )
    return head + _seal(head, content.body, key) + content.body


def unwrap(value: bytes, digest: bytes, key: bytes, *, trusted: bool) -> Content | None:
    """Return the answer in an envelope, or None if it is not the one asked for.

    Args:
        value: what a cache returned.
        digest: the recommendation id asked for.
        key: the model's key.
        trusted: nobody else can write to the cache, so the seal needs no check.
    """
    if value[: _SEAL_AT - 2] != MAGIC + digest:
        return None
    body = value[_BODY_AT:]
    if not trusted and (
        len(value) <= _BODY_AT or value[_SEAL_AT:_BODY_AT] != _seal(value[:_SEAL_AT], body, key)
    ):
        return None
    return Content(SOURCES[value[_SEAL_AT - 2]], FALLBACKS[value[_SEAL_AT - 1]], body)


def _seal(head: bytes, body: bytes, key: bytes) -> bytes:
    digest = blake2b(head, digest_size=DIGEST_BYTES, key=key)
    digest.update(body)
    return digest.digest()
