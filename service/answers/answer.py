"""What the cached recommender gives to whoever sends a reply."""

from __future__ import annotations

from typing import NamedTuple


class Answer(NamedTuple):
    """A reply's bytes and what its headers tell.

    Attributes:
        cache: the tier that had it, or `miss`.
    """

    recommendation_id: str
    model_version: str
    source: str
    fallback: str | None
    body: bytes
    cache: str
