"""The cache tiers in front of ranking: this process's memory, then the shared cache."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from hashrec.service.answers import envelope
from hashrec.service.answers.answer import Answer
from hashrec.service.answers.bound_request import BoundRequest
from hashrec.service.answers.caches import Cache, LocalCache
from hashrec.service.answers.envelope import Content
from hashrec.service.errors import CacheUnavailableError
from hashrec.service.settings import CacheSettings
from hashrec.service.telemetry.metrics import Metrics


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
