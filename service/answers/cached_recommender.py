"""Cache-aside around the recommender: keys, lifetimes, single flight, and what counts as a hit."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from random import Random
from time import perf_counter
from typing import Any, NamedTuple

from hashrec.index.errors import HashrecError, UnknownHistoryError, UnknownUserError
from hashrec.index.live.model_overlay import ModelOverlay, OverlayView
from hashrec.index.ranking.order import Bookmark
from hashrec.index.ranking.recommendation import Recommendation
from hashrec.service.answers import cursor, envelope, replies
from hashrec.service.answers.answer import Answer
from hashrec.service.answers.caches import Cache, LocalCache
from hashrec.service.answers.cursor import Cursor
from hashrec.service.answers.envelope import Content
from hashrec.service.answers.wanted import PAGED, Kind, Wanted
from hashrec.service.errors import CacheUnavailableError, StaleCursorError
from hashrec.service.live.journal_state import LiveState
from hashrec.service.settings import CacheSettings
from hashrec.service.telemetry.metrics import Metrics
from hashrec.service.telemetry.spans import Spans, no_span
from hashrec.service.versions.served_model import LiveModel, LoadedModel

# Catalogues up to these sizes are searched in about a millisecond: less than a thread costs others.
INLINE_ITEMS = 200_000
REMEMBERED_USERS = 4096  # of those who were asked for last
INLINE_ITEMS_BY_CATEGORY = 20_000  # the first search of a category builds its index


class _Ticket(NamedTuple):
    """What a request asks of the caches.

    Attributes:
        overlay: what the journal says at the moment that the key's stamp stands for; only for who
            ranks.
        bookmark: what the cursor says, if there is one; only for who ranks.
    """

    wanted: Wanted
    model: LoadedModel
    digest: bytes
    key: str
    overlay: OverlayView | None = None
    bookmark: Bookmark | None = None

    @classmethod
    def of(cls, wanted: Wanted, model: LoadedModel, live: ModelOverlay | None) -> _Ticket:
        digest = wanted.digest(model.key, live and live.stamp(wanted.user_id))
        ticket = cls(wanted, model, digest, f"hashrec:{model.version}:{digest.hex()}")
        if wanted.cursor is None:
            return ticket
        bookmark = Cursor(wanted.cursor).bookmark(model.key, wanted.list_digest(model.key))
        return ticket._replace(bookmark=bookmark)

    def seeing(self, live: ModelOverlay | None) -> _Ticket:
        """Return the ticket with what the journal says; nothing may have happened since `of`."""
        if live is None:
            return self
        wanted, model, digest, key, _, bookmark = self  # `_replace` takes three times as long
        return _Ticket(wanted, model, digest, key, live.view(wanted.user_id), bookmark)

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
        span: Spans = no_span,
    ) -> None:
        self._live = live
        self._local = local
        self._shared = shared
        self._metrics = metrics
        self._settings = settings
        self._state = state
        self._random = random or Random()  # noqa: S311  spreads lifetimes, guards nothing
        self._span = span
        self._flights: dict[str, asyncio.Future[Answer | None]] = {}
        self._asked: deque[str] = deque(maxlen=REMEMBERED_USERS)

    def recent_users(self, n: int) -> list[str]:
        """Draw up to n of the users whose lists this process was last asked for, none twice."""
        users = list(dict.fromkeys(self._asked))
        return self._random.sample(users, min(n, len(users)))

    async def get(self, wanted: Wanted, *, strict: bool = False) -> Answer:
        """Answer one request.

        Raises:
            NotReadyError: no model is loaded.
            UnknownUserError: the user is unknown and `strict` is set.
            UnknownHistoryError: no positive item of a history is known and `strict` is set.
            UnknownItemError: the item of a `similar` request is unknown.
            NoEncoderError: the model cannot code a history.
            ConfigError: an item of a history is both positive and negative, or the cursor is none
                of this list.
            StaleCursorError: the cursor is of a model that is not served any more.
        """
        live_model = self._live
        model = live_model.get() if live_model.candidate is None else live_model.of(wanted.user_id)
        if wanted.cursor is not None:
            model = self._of_cursor(wanted.cursor, model)
        live = None
        if (state := self._state) is not None:  # as `_now`, without a coroutine's cost
            live = state.current(model.recommender) or await state.catch_up(model.recommender)
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

    def _of_cursor(self, text: str, model: LoadedModel) -> LoadedModel:
        """Return the model that began a list, of those in memory: an experiment may have two."""
        begun = Cursor(text)
        for loaded in (model, self._live.current, self._live.candidate):
            if loaded is not None and begun.is_of(loaded.key):
                return loaded
        raise StaleCursorError

    async def get_many(
        self, model: LoadedModel, wanted: Sequence[Wanted], *, strict: bool = False
    ) -> list[Answer | HashrecError]:
        """Answer several requests from one model, an error in the place of one that fails.

        While an experiment runs, users of its share get the candidate here, too.
        """
        arms = dict.fromkeys(wanted, (model, await self._now(model)))
        if (candidate := self._live.candidate) is not None:
            live = await self._now(candidate)
            for one in arms:
                if self._live.of(one.user_id) is candidate:
                    arms[one] = candidate, live
        tickets = [_Ticket.of(one, *arms[one]).seeing(arms[one][1]) for one in wanted]
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
            with self._span("rank", {"hashrec.lists": len(left)}):
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
        return None if self._state is None else await self._state.now(model.recommender)

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
        wanted, recommender = ticket.wanted, ticket.model.recommender
        limit = INLINE_ITEMS_BY_CATEGORY if wanted.options.categories else INLINE_ITEMS
        of_users = wanted.kind == "similar_users"
        n_searched = recommender.n_users if of_users else recommender.n_items
        # The first list of latest items reads every item's attributes.
        with self._span("rank", {"hashrec.kind": wanted.kind}):
            if n_searched <= limit and wanted.is_inline and wanted.kind != "latest":
                return self._rank(ticket)
            return await asyncio.to_thread(self._rank, ticket)

    def _rank(self, ticket: _Ticket) -> Content:
        model = ticket.model
        started = perf_counter()
        content = _ranked(ticket)
        self._metrics.searches(model.recommender.artifact.manifest.index_type).observe(
            perf_counter() - started
        )
        return content

    def _count(self, wanted: Wanted, answer: Answer) -> None:
        if wanted.kind in _FOR_SOMEONE:
            self._metrics.recommendations(answer.source, answer.cache).inc()
            if wanted.subject is not None:
                self._asked.append(wanted.subject)
            if self._live.candidate is not None and wanted.user_id is not None:
                self._metrics.experiment_requests(answer.model_version).inc()
            if answer.fallback is not None:
                self._metrics.fallbacks(answer.fallback).inc()


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


def _attributes(ticket: _Ticket) -> Callable[[str], Mapping[str, Any]] | None:
    """Return what gives the attributes of an item that were asked for; None asks for the title."""
    fields = ticket.wanted.fields
    if fields is None:
        return None
    changed: Mapping[str, Mapping[str, Any]] = {}
    if ticket.overlay is not None:
        changed = ticket.overlay.catalogue.attributes
    recommender = ticket.model.recommender

    def described(item_id: str) -> Mapping[str, Any]:
        found = changed.get(item_id)
        found = recommender.attributes(item_id) if found is None else found
        return {name: found[name] for name in fields if name in found}

    return described


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


def _ranked(ticket: _Ticket) -> Content:
    wanted, model, recommendation_id = ticket.wanted, ticket.model, ticket.digest.hex()
    if wanted.kind == "similar_users":
        users = model.recommender.similar_users(
            wanted.subject or "", wanted.k, overlay=ticket.overlay
        )
        body = replies.users_body(users, wanted.subject, model.version, recommendation_id)
        return Content("similar", None, body)
    ranked = _rank(ticket)
    paging: dict[str, str | None] = {}
    if wanted.kind in PAGED:
        following = ranked.bookmark
        paging["next_cursor"] = following and cursor.write(
            following, model.key, wanted.list_digest(model.key)
        )
    return Content(
        ranked.source,
        _fallback(wanted, ranked),
        replies.body(
            ranked,
            _subject(wanted),
            recommendation_id,
            _titles(ticket),
            paging,
            described=_attributes(ticket),
        ),
    )


def _rank(ticket: _Ticket) -> Recommendation:
    wanted, overlay, bookmark = ticket.wanted, ticket.overlay, ticket.bookmark
    recommender, subject = ticket.model.recommender, wanted.subject
    if wanted.kind == "fold_in":
        return recommender.recommend_history(
            wanted.positive,
            wanted.negative,
            wanted.k,
            wanted.options,
            overlay=overlay,
            bookmark=bookmark,
        )
    if wanted.kind == "latest":
        return recommender.latest(wanted.k, wanted.options, user_id=subject, overlay=overlay)
    if subject is None or wanted.kind == "popular":
        return recommender.popular(wanted.k, wanted.options, user_id=subject, overlay=overlay)
    if wanted.kind == "similar":
        return recommender.similar_items(subject, wanted.k, overlay=overlay)
    return recommender.recommend(
        subject, wanted.k, wanted.options, overlay=overlay, bookmark=bookmark
    )


def _fallback(wanted: Wanted, ranked: Recommendation) -> str | None:
    if wanted.kind not in _FOR_SOMEONE:
        return None
    personal, reason = _FOR_SOMEONE[wanted.kind]
    if ranked.source not in personal:
        return reason
    if ranked.items and ranked.items[-1].source not in personal:
        return "too_few_found"
    return None
