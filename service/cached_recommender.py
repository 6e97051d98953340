"""Cache-aside around the recommender: keys, lifetimes, single flight, and what counts as a hit."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from hashlib import blake2b
from random import Random
from time import perf_counter
from typing import Literal, NamedTuple

import orjson

from index.errors import HashrecError, UnknownHistoryError, UnknownUserError
from index.model_overlay import ModelOverlay, OverlayView
from index.recommender import Options, Recommendation
from service import envelope, replies
from service.answer import Answer
from service.caches import Cache, CacheUnavailableError, LocalCache
from service.envelope import Content
from service.live_model import LiveModel, LoadedModel
from service.live_state import LiveState
from service.observability import Metrics
from service.settings import CacheSettings

REPLY_FORMAT = 1  # part of every key: change it when the same request gives other bytes
# Catalogues up to these sizes are searched in about a millisecond: less than a thread costs others.
INLINE_ITEMS = 200_000
INLINE_ITEMS_BY_CATEGORY = 20_000  # the first search of a category builds its index
INLINE_IDS = 200  # of a history and of what to leave out, each of which is looked up

Kind = Literal["recommend", "fold_in", "popular", "similar"]
NO_OPTIONS = Options()


class Wanted(NamedTuple):
    """Everything that determines a reply, beside the model.

    Attributes:
        kind: the kind of list.
        subject: the user's id, for `similar` the item's; None for popular items for anyone, and
            for `fold_in`.
        positive: for `fold_in`, ids of items that the user took.
        negative: for `fold_in`, ids of items that the user refused.
    """

    kind: Kind
    subject: str | None
    k: int
    options: Options = NO_OPTIONS
    positive: tuple[str, ...] = ()
    negative: tuple[str, ...] = ()

    @property
    def is_inline(self) -> bool:
        """Whether looking up the ids takes less time than a thread costs others."""
        n_ids = len(self.positive) + len(self.negative) + len(self.options.exclude)
        return n_ids <= INLINE_IDS

    @property
    def user_id(self) -> str | None:
        """The user whose events the reply depends on, if there is one."""
        return self.subject if self.kind in _OF_USERS else None

    def digest(self, model_key: bytes, stamp: tuple[int, int] | None = None) -> bytes:
        """Return the 16 bytes that name the reply: equal for equal replies, and only for those.

        Args:
            model_key: of the model that ranks.
            stamp: of the journal's last entries that matter, see `ModelOverlay.stamp`.
        """
        options = self.options
        # Ids hold any character, so the parts are written as JSON, not joined by a separator.
        parts: tuple[object, ...] = (
            REPLY_FORMAT,
            self.kind,
            self.subject,
            self.k,
            options.exclude_seen,
            sorted(set(options.exclude)),
            sorted(set(options.categories)),
            options.category_mode,
        )
        if self.kind == "fold_in":
            parts += (sorted(set(self.positive)), sorted(set(self.negative)))
        if stamp is not None:
            parts += (stamp,)
        return blake2b(
            orjson.dumps(parts), digest_size=envelope.DIGEST_BYTES, key=model_key
        ).digest()


class _Ticket(NamedTuple):
    """What a request asks of the caches.

    Attributes:
        overlay: what the journal says at the moment that the key's stamp stands for; only for who
            ranks.
    """

    wanted: Wanted
    model: LoadedModel
    digest: bytes
    key: str
    overlay: OverlayView | None = None

    @classmethod
    def of(cls, wanted: Wanted, model: LoadedModel, live: ModelOverlay | None) -> _Ticket:
        digest = wanted.digest(model.key, live and live.stamp(wanted.user_id))
        return cls(wanted, model, digest, f"hashrec:{model.version}:{digest.hex()}")

    def seeing(self, live: ModelOverlay | None) -> _Ticket:
        """Return the ticket with what the journal says; nothing may have happened since `of`."""
        return self if live is None else self._replace(overlay=live.view(self.wanted.user_id))

    def answer(self, content: Content, cache: str) -> Answer:
        return Answer(
            self.digest.hex(),
            self.model.version,
            content.source,
            content.fallback,
            content.body,
            cache,
        )


class CachedRecommender:
    """Answers from this process's memory, then from the shared cache, then by ranking."""

    def __init__(
        self,
        live: LiveModel,
        local: LocalCache,
        shared: Cache | None,
        metrics: Metrics,
        settings: CacheSettings,
        *,
        state: LiveState | None = None,
        random: Random | None = None,
    ) -> None:
        self._live = live
        self._local = local
        self._shared = shared
        self._metrics = metrics
        self._settings = settings
        self._state = state
        self._random = random or Random()  # noqa: S311  spreads lifetimes, guards nothing
        self._flights: dict[str, asyncio.Future[Answer | None]] = {}

    async def get(self, wanted: Wanted, *, strict: bool = False) -> Answer:
        """Answer one request.

        Raises:
            NotReadyError: no model is loaded.
            UnknownUserError: the user is unknown and `strict` is set.
            UnknownHistoryError: no positive item of a history is known and `strict` is set.
            UnknownItemError: the item of a `similar` request is unknown.
            NoEncoderError: the model cannot code a history.
            ConfigError: an item of a history is both positive and negative.
        """
        model = self._live.get()
        live = await self._now(model)
        ticket = _Ticket.of(wanted, model, live)
        content = self._accept(self._local, self._local.get(ticket.key), ticket)
        if content is not None:
            answer = ticket.answer(content, self._local.name)
        else:
            answer = await self._fly(ticket.seeing(live))
        self._count(wanted, answer)
        if strict and (refusal := _refusal(wanted, answer)) is not None:
            raise refusal
        return answer

    async def get_many(
        self, model: LoadedModel, wanted: Sequence[Wanted], *, strict: bool = False
    ) -> list[Answer | HashrecError]:
        """Answer several requests from one model, an error in the place of one that fails."""
        live = await self._now(model)
        tickets = [_Ticket.of(one, model, live).seeing(live) for one in wanted]
        missing = {ticket.key: ticket for ticket in tickets}
        answers: dict[str, Answer] = {}
        for tier in (self._local, self._shared):
            if tier is None or not missing:
                continue
            asked = list(missing.values())
            values = await self._read(tier, asked)
            if values is None:
                continue
            for ticket, value in zip(asked, values, strict=True):
                content = self._accept(tier, value, ticket)
                if content is not None:
                    answers[ticket.key] = ticket.answer(content, tier.name)
                    del missing[ticket.key]
                    if tier is not self._local:
                        self._keep(self._local, ticket, content)
        if missing:
            left = list(missing.values())
            made = await asyncio.to_thread(lambda: [self._rank(ticket) for ticket in left])
            for ticket, content in zip(left, made, strict=True):
                answers[ticket.key] = self._store(ticket, content)
        results: list[Answer | HashrecError] = []
        for ticket in tickets:
            answer = answers[ticket.key]
            self._count(ticket.wanted, answer)
            refusal = _refusal(ticket.wanted, answer) if strict else None
            results.append(refusal or answer)
        return results

    async def _now(self, model: LoadedModel) -> ModelOverlay | None:
        """Return what the journal says by now, as the model sees it."""
        if self._state is None:
            return None
        live = self._state.current(model.recommender)
        return live or await self._state.catch_up(model.recommender)

    async def _fly(self, ticket: _Ticket) -> Answer:
        """Ask the shared cache, then rank: once, however many requests want the same."""
        while (flight := self._flights.get(ticket.key)) is not None:
            answer = await asyncio.shield(flight)  # one who leaves must not end it for the others
            if answer is not None:
                return answer
        flight = asyncio.get_running_loop().create_future()
        self._flights[ticket.key] = flight
        answer = None
        try:
            answer = await self._from_shared(ticket) or self._store(
                ticket, await self._ranked(ticket)
            )
            return answer
        finally:
            del self._flights[ticket.key]
            flight.set_result(answer)  # None after a failure: the next in line tries itself

    async def _from_shared(self, ticket: _Ticket) -> Answer | None:
        if self._shared is None:
            return None
        values = await self._read(self._shared, (ticket,))
        if values is None:
            return None
        content = self._accept(self._shared, values[0], ticket)
        if content is None:
            return None
        self._keep(self._local, ticket, content)
        return ticket.answer(content, self._shared.name)

    async def _read(self, tier: Cache, tickets: Sequence[_Ticket]) -> list[bytes | None] | None:
        """Return what a tier has for the tickets, or None while it is away."""
        try:
            return await tier.get_many([ticket.key for ticket in tickets])
        except CacheUnavailableError:
            self._metrics.cache_operations(tier.name, "unavailable").inc(len(tickets))
            return None

    def _accept(self, tier: Cache, value: bytes | None, ticket: _Ticket) -> Content | None:
        """Return what a cache gave if it is what was asked for; anything else is a miss."""
        if value is None:
            self._metrics.cache_operations(tier.name, "miss").inc()
            return None
        content = envelope.unwrap(value, ticket.digest, ticket.model.key, trusted=not tier.shared)
        self._metrics.cache_operations(tier.name, "invalid" if content is None else "hit").inc()
        return content

    def _keep(self, tier: Cache, ticket: _Ticket, content: Content) -> None:
        shortened = 1 - self._settings.jitter * self._random.random()
        value = envelope.wrap(content, ticket.digest, ticket.model.key)
        tier.set(ticket.key, value, self._settings.lifetime_s * shortened)

    def _store(self, ticket: _Ticket, content: Content) -> Answer:
        self._keep(self._local, ticket, content)
        if self._shared is not None:
            self._keep(self._shared, ticket, content)
        return ticket.answer(content, "miss")

    async def _ranked(self, ticket: _Ticket) -> Content:
        limit = INLINE_ITEMS_BY_CATEGORY if ticket.wanted.options.categories else INLINE_ITEMS
        if ticket.model.recommender.n_items <= limit and ticket.wanted.is_inline:
            return self._rank(ticket)
        return await asyncio.to_thread(self._rank, ticket)

    def _rank(self, ticket: _Ticket) -> Content:
        wanted, model = ticket.wanted, ticket.model
        started = perf_counter()
        ranked = _rank(wanted, model, ticket.overlay)
        self._metrics.searches(model.recommender.artifact.manifest.index_type).observe(
            perf_counter() - started
        )
        return Content(
            ranked.source,
            _fallback(wanted, ranked),
            replies.body(ranked, _subject(wanted), ticket.digest.hex(), _titles(ticket)),
        )

    def _count(self, wanted: Wanted, answer: Answer) -> None:
        if wanted.kind in _FOR_SOMEONE:
            self._metrics.recommendations(answer.source, answer.cache).inc()
            if answer.fallback is not None:
                self._metrics.fallbacks(answer.fallback).inc()


# Kinds of list whose subject is a user.
_OF_USERS = frozenset[Kind]({"recommend", "popular"})
# Kinds of list that should be personal, the sources of which that is, and why it may not be.
_FOR_SOMEONE: dict[Kind, tuple[frozenset[str], str]] = {
    "recommend": (frozenset({"personal", "fold_in"}), "unknown_user"),
    "fold_in": (frozenset({"fold_in"}), "unknown_history"),
}


def _titles(ticket: _Ticket) -> Callable[[str], str | None]:
    """Return what gives an item's title, as it was changed."""
    if ticket.overlay is None or not ticket.overlay.catalogue.attributes:
        return ticket.model.title
    changed = ticket.overlay.catalogue.attributes

    def title(item_id: str) -> str | None:
        if item_id not in changed:
            return ticket.model.title(item_id)
        found = changed[item_id].get("title")
        return None if found is None else str(found)

    return title


def _subject(wanted: Wanted) -> dict[str, str | None]:
    """Return whom or what a list is for, as its reply says it."""
    if wanted.kind == "fold_in":
        return {"user_id": None}
    if wanted.subject is None:
        return {}
    return {"item_id" if wanted.kind == "similar" else "user_id": wanted.subject}


def _refusal(wanted: Wanted, answer: Answer) -> HashrecError | None:
    """Return the error that takes the place of popular items, where a client asked for that."""
    if answer.fallback == "unknown_user":
        return UnknownUserError(wanted.subject or "")
    if answer.fallback == "unknown_history":
        return UnknownHistoryError(len(set(wanted.positive)))
    return None


def _rank(wanted: Wanted, model: LoadedModel, overlay: OverlayView | None) -> Recommendation:
    recommender, subject = model.recommender, wanted.subject
    if wanted.kind == "fold_in":
        return recommender.recommend_history(
            wanted.positive, wanted.negative, wanted.k, wanted.options, overlay=overlay
        )
    if subject is None or wanted.kind == "popular":
        return recommender.popular(wanted.k, wanted.options, user_id=subject, overlay=overlay)
    if wanted.kind == "similar":
        return recommender.similar_items(subject, wanted.k, overlay=overlay)
    return recommender.recommend(subject, wanted.k, wanted.options, overlay=overlay)


def _fallback(wanted: Wanted, ranked: Recommendation) -> str | None:
    if wanted.kind not in _FOR_SOMEONE:
        return None
    personal, reason = _FOR_SOMEONE[wanted.kind]
    if ranked.source not in personal:
        return reason
    if ranked.items and ranked.items[-1].source not in personal:
        return "too_few_found"
    return None
