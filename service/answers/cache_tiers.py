"""Requests with their keys, and the cache tiers in front of ranking: local, then shared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from random import Random
from time import time
from typing import NamedTuple

from hashrec.index.live.model_overlay import ModelOverlay, OverlayView
from hashrec.index.model.recent import RecentItems
from hashrec.index.ranking.order import Bookmark
from hashrec.service.answers import envelope
from hashrec.service.answers.answer import Answer
from hashrec.service.answers.caches import Cache, LocalCache
from hashrec.service.answers.cursor import Cursor
from hashrec.service.answers.envelope import Content
from hashrec.service.answers.wanted import Wanted
from hashrec.service.errors import CacheUnavailableError
from hashrec.service.settings import CacheSettings
from hashrec.service.telemetry.metrics import Metrics
from hashrec.service.versions.served_models import LoadedModel


class BoundRequest(NamedTuple):
    """Everything that determines an answer, and the key under which the caches have it.

    Attributes:
        digest: the recommendation id, 16 bytes.
        overlay: the journal as the model sees it.
        bookmark: of the cursor; None for a first page.
        view: the state of the journal for which the digest stands; None until it is needed.
        recent: the items of the window that is wanted; None without a window.
    """

    wanted: Wanted
    model: LoadedModel
    digest: bytes
    key: str
    overlay: ModelOverlay
    bookmark: Bookmark | None = None
    view: OverlayView | None = None
    recent: RecentItems | None = None

    @classmethod
    def of(cls, wanted: Wanted, model: LoadedModel, overlay: ModelOverlay) -> BoundRequest:
        """Bind a request.

        Raises:
            InvalidCursorError: the cursor does not belong to this list.
        """
        recent = None if wanted.days is None else overlay.recent(wanted.days, time())
        stamp = overlay.stamp(wanted.user_id)
        digest = wanted.digest(model.key, stamp, None if recent is None else recent.stamp)
        key = f"hashrec:{model.version}:{digest.hex()}"
        bookmark = None
        if wanted.cursor is not None:
            bookmark = Cursor(wanted.cursor).bookmark(model.key, wanted.list_digest(model.key))
        return cls(wanted, model, digest, key, overlay, bookmark, None, recent)

    def with_view(self) -> BoundRequest:
        """Return the request ready to be ranked; the journal must not have been read since `of`."""
        # `_replace` is three times slower.
        wanted, model, digest, key, overlay, bookmark, _, recent = self
        view = overlay.view(wanted.user_id)
        if recent is not None:
            view = replace(view, recent=recent)
        return BoundRequest(wanted, model, digest, key, overlay, bookmark, view, recent)

    def answer(self, content: Content, cache: str) -> Answer:
        """Return the answer, from a cache tier or newly made."""
        return Answer(
            self.digest.hex(),
            self.model.version,
            content.source,
            content.fallback,
            content.body,
            cache,
        )


class CacheTiers:
    """Reads and writes the tiers, checks what they return, and counts hits and misses.

    Args:
        local: in the memory of this process.
        shared: among processes; None if none is configured.
        metrics: of the process.
        settings: the lifetime of answers, and how much it is shortened at random.
        random: draws the lifetimes.
    """

    def __init__(
        self,
        local: LocalCache,
        shared: Cache | None,
        metrics: Metrics,
        settings: CacheSettings,
        random: Random | None = None,
    ) -> None:
        self._local = local
        self._shared = shared
        self._metrics = metrics
        self._settings = settings
        self._random = random or Random()  # noqa: S311  spreads lifetimes, guards nothing

    def from_local(self, request: BoundRequest) -> Answer | None:
        """Return the answer that this process remembers, None if there is none."""
        content = self._checked(self._local, self._local.get(request.key), request)
        return None if content is None else request.answer(content, self._local.name)

    async def from_shared(self, requests: Sequence[BoundRequest]) -> dict[str, Answer]:
        """Return the answers that the shared cache has, by key; this process keeps them, too."""
        tier = self._shared
        if tier is None or not requests:
            return {}
        try:
            values = await tier.get_many([request.key for request in requests])
        except CacheUnavailableError:
            self._metrics.cache_operations(tier.name, "unavailable").inc(len(requests))
            return {}
        answers: dict[str, Answer] = {}
        for request, value in zip(requests, values, strict=True):
            content = self._checked(tier, value, request)
            if content is not None:
                self._keep(self._local, request, content)
                answers[request.key] = request.answer(content, tier.name)
        return answers

    def store(self, request: BoundRequest, content: Content) -> Answer:
        """Keep a new answer in every tier, and return it."""
        self._keep(self._local, request, content)
        if self._shared is not None:
            self._keep(self._shared, request, content)
        return request.answer(content, "miss")

    def _checked(self, tier: Cache, value: bytes | None, request: BoundRequest) -> Content | None:
        """Return the content of a tier's value; None, a miss, if it does not fit the request."""
        if value is None:
            self._metrics.cache_operations(tier.name, "miss").inc()
            return None
        content = envelope.unwrap(value, request.digest, request.model.key, trusted=not tier.shared)
        self._metrics.cache_operations(tier.name, "invalid" if content is None else "hit").inc()
        return content

    def _keep(self, tier: Cache, request: BoundRequest, content: Content) -> None:
        shortened = 1 - self._settings.jitter * self._random.random()
        value = envelope.wrap(content, request.digest, request.model.key)
        tier.set(request.key, value, self._settings.lifetime_s * shortened)
