"""`CachedRecommender`: the answer to a request, from the cache tiers or by ranking."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from random import Random
from time import perf_counter

from hashrec.index.errors import HashrecError
from hashrec.service.answers.answer import Answer
from hashrec.service.answers.cache_tiers import BoundRequest, CacheTiers
from hashrec.service.answers.cursor import Cursor
from hashrec.service.answers.envelope import Content
from hashrec.service.answers.rendering import render
from hashrec.service.answers.wanted import Wanted
from hashrec.service.errors import StaleCursorError
from hashrec.service.live.journal_state import JournalState
from hashrec.service.telemetry.metrics import Metrics
from hashrec.service.telemetry.spans import Spans, no_span
from hashrec.service.versions.served_models import LoadedModel, ServedModels

REMEMBERED_USERS = 4096  # of those who were asked for last
# A request within these limits is ranked on the event loop: that takes less than a thread costs.
INLINE_ITEMS = 200_000  # searched in about a millisecond
INLINE_ITEMS_BY_CATEGORY = 20_000  # the first search of a category builds its index
INLINE_IDS = 200  # of a history and of the options, each of which is looked up
INLINE_ITEMS_ARRANGED = 50  # of a list that is diversified or explained


class CachedRecommender:
    """Chooses the model, asks the cache tiers, and ranks what they do not have.

    Args:
        models: that are served.
        tiers: what is asked before anything is ranked.
        journal: what happened since the models learned.
        metrics: of the process.
        random: draws samples of users.
        span: of the request that waits for a ranking.
    """

    def __init__(
        self,
        models: ServedModels,
        tiers: CacheTiers,
        journal: JournalState,
        metrics: Metrics,
        *,
        random: Random | None = None,
        span: Spans = no_span,
    ) -> None:
        self._models = models
        self._tiers = tiers
        self._journal = journal
        self._metrics = metrics
        self._random = random or Random()  # noqa: S311  samples users, guards nothing
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
            ConfigError: an item of a history is both positive and negative, or the cursor does not
                belong to this list.
            StaleCursorError: the model of the cursor is not served any more.
        """
        models, journal = self._models, self._journal
        model = models.get() if models.candidate is None else models.of(wanted.user_id)
        if wanted.cursor is not None:
            model = self._model_of_cursor(wanted.cursor, model)
        recommender = model.recommender  # as `journal.now`, without the cost of a coroutine
        overlay = journal.current(recommender) or await journal.catch_up(recommender)
        request = BoundRequest.of(wanted, model, overlay)
        answer = self._tiers.from_local(request) or await self._fly(request.with_view())
        self._count(wanted, answer)
        if strict and (refusal := _refusal(wanted, answer)) is not None:
            raise refusal
        return answer

    async def get_many(
        self, model: LoadedModel, wanted: Sequence[Wanted], *, strict: bool = False
    ) -> list[Answer | HashrecError]:
        """Answer several requests from one model, an error in the place of one that fails.

        While an experiment runs, users of its share get the candidate here, too.
        """
        requests = await self._bind(model, wanted)
        distinct = {request.key: request for request in requests}
        answers = {
            key: answer
            for key, request in distinct.items()
            if (answer := self._tiers.from_local(request)) is not None
        }
        answers |= await self._tiers.from_shared(_without(distinct, answers))
        if left := _without(distinct, answers):
            with self._span("rank", {"hashrec.lists": len(left)}):
                made = await asyncio.to_thread(lambda: [self._make(request) for request in left])
            for request, content in zip(left, made, strict=True):
                answers[request.key] = self._tiers.store(request, content)
        results: list[Answer | HashrecError] = []
        for request in requests:
            answer = answers[request.key]
            self._count(request.wanted, answer)
            refusal = _refusal(request.wanted, answer) if strict else None
            results.append(refusal or answer)
        return results

    async def _bind(self, model: LoadedModel, wanted: Sequence[Wanted]) -> list[BoundRequest]:
        """Bind requests to the model of each one's user, and to one moment of the journal."""
        arms = dict.fromkeys(wanted, (model, await self._journal.now(model.recommender)))
        if (candidate := self._models.candidate) is not None:
            overlay = await self._journal.now(candidate.recommender)
            for one in arms:
                if self._models.of(one.user_id) is candidate:
                    arms[one] = candidate, overlay
        return [BoundRequest.of(one, *arms[one]).with_view() for one in wanted]

    def _model_of_cursor(self, text: str, model: LoadedModel) -> LoadedModel:
        """Return the model that began a list, of those in memory: an experiment may have two."""
        cursor = Cursor(text)
        for loaded in (model, self._models.current, self._models.candidate):
            if loaded is not None and cursor.is_of(loaded.key):
                return loaded
        raise StaleCursorError

    async def _fly(self, request: BoundRequest) -> Answer:
        """Ask the shared cache, then rank: once for all requests with the same key (a flight)."""
        while (flight := self._flights.get(request.key)) is not None:
            answer = await asyncio.shield(flight)  # a client that leaves must not end it for others
            if answer is not None:
                return answer
        flight = asyncio.get_running_loop().create_future()
        self._flights[request.key] = flight
        answer = None
        try:
            answer = (await self._tiers.from_shared((request,))).get(request.key)
            if answer is None:
                answer = self._tiers.store(request, await self._make_here_or_in_thread(request))
            return answer
        finally:
            del self._flights[request.key]
            flight.set_result(answer)  # None after a failure: the next in line tries itself

    async def _make_here_or_in_thread(self, request: BoundRequest) -> Content:
        with self._span("rank", {"hashrec.kind": request.wanted.kind.name}):
            if _is_inline(request):
                return self._make(request)
            return await asyncio.to_thread(self._make, request)

    def _make(self, request: BoundRequest) -> Content:
        """Rank, render, and observe the time of both."""
        started = perf_counter()
        wanted, recommender = request.wanted, request.model.recommender
        assert request.view is not None
        ranked = wanted.kind.rank(recommender, wanted, request.view, request.bookmark)
        content = render(request, ranked)
        index_type = recommender.artifact.manifest.index_type
        self._metrics.searches(index_type).observe(perf_counter() - started)
        return content

    def _count(self, wanted: Wanted, answer: Answer) -> None:
        if wanted.kind.personal is None:
            return
        self._metrics.recommendations(answer.source, answer.cache).inc()
        if (user_id := wanted.user_id) is not None:
            self._asked.append(user_id)
            if self._models.candidate is not None:
                self._metrics.experiment_requests(answer.model_version).inc()
        if answer.fallback is not None:
            self._metrics.fallbacks(answer.fallback).inc()


def _is_inline(request: BoundRequest) -> bool:
    wanted, options, recommender = request.wanted, request.wanted.options, request.model.recommender
    if wanted.kind.in_thread:
        return False
    n_searched = recommender.n_users if wanted.kind.of_users else recommender.n_items
    n_ids = len(wanted.positive) + len(wanted.negative)
    n_ids += len(options.exclude) + len(options.include)
    arranged = options.explain or options.diversity > 0
    return (
        n_searched <= (INLINE_ITEMS_BY_CATEGORY if options.categories else INLINE_ITEMS)
        and n_ids <= INLINE_IDS
        and not (arranged and wanted.k > INLINE_ITEMS_ARRANGED)
    )


def _without(requests: dict[str, BoundRequest], answers: dict[str, Answer]) -> list[BoundRequest]:
    return [request for key, request in requests.items() if key not in answers]


def _refusal(wanted: Wanted, answer: Answer) -> HashrecError | None:
    """Return the error that a strict request gets in place of popular items."""
    personal = wanted.kind.personal
    if personal is None or answer.fallback != personal.fallback:
        return None
    return personal.refusal(wanted)
