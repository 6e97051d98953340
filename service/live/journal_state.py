"""What happened since the models learned: the journal, in this worker's memory, as of now.

Every request compares the journal's position with what was applied, so an event that was accepted
shows in the next answer of every worker that sees that position. Without a journal the overlay
stays empty.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from time import monotonic
from typing import Protocol
from weakref import WeakKeyDictionary, WeakValueDictionary

import structlog

from hashrec.index.errors import JournalError
from hashrec.index.live.journal import Journal
from hashrec.index.live.model_overlay import ModelOverlay
from hashrec.index.live.overlay import Overlay
from hashrec.index.ranking.recommender import Recommender
from hashrec.service.telemetry.spans import Spans, no_span

FEW = 500  # positions that are read, or entries applied, within one turn of the event loop: 2 ms
MANY = 10_000  # entries read at once in a thread
RETRY_S = 1.0  # between attempts at a journal that cannot be read

log = structlog.stdlib.get_logger("service.journal_state")


class HoldsJournal(Protocol):
    """Whoever opens the journal, sooner or later."""

    journal: Journal | None


class JournalState:
    """Applies the journal to an overlay, and binds that to the models that are served.

    Only the event loop's thread uses it; the views that it leads to are immutable.

    Args:
        holder: of the journal.
        negative_types: types of events that say no, in place of those of the model's policy; None
            for these.
        span: of the request that waits for what is read.

    Attributes:
        available: whether the journal could be read when that was last tried.
    """

    def __init__(
        self, holder: HoldsJournal, negative_types: Collection[str] | None, span: Spans = no_span
    ) -> None:
        self._holder = holder
        self._span = span
        self._negative_types = negative_types
        self._overlay = Overlay(negative_types)
        # A model that nobody uses any more takes its entry with it.
        self._bound: WeakKeyDictionary[Recommender, ModelOverlay] = WeakKeyDictionary()
        self._reading: asyncio.Task[None] | None = None
        self._retry_at = 0.0
        self.available = True
        self._changing: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def changing(self, item_id: str) -> asyncio.Lock:
        """Return the lock of an item: what a change goes by must not change under it."""
        return self._changing.setdefault(item_id, asyncio.Lock())

    async def now(self, recommender: Recommender) -> ModelOverlay:
        """Return the overlay as a model sees it, with all that the journal has by now."""
        return self.current(recommender) or await self.catch_up(recommender)

    def current(self, recommender: Recommender) -> ModelOverlay | None:
        """Return the overlay as a model sees it if no entry is missing in it, else None."""
        journal = self._holder.journal
        try:
            is_level = journal is None or journal.position() <= self._overlay.position
        except JournalError:
            return None
        return self._bound.get(recommender) if is_level else None

    async def catch_up(self, recommender: Recommender) -> ModelOverlay:
        """Apply the new entries of the journal, and return the overlay as a model sees it.

        While the journal cannot be read, the overlay stays as it was.
        """
        journal = self._holder.journal
        self._make_room(recommender)
        if journal is not None and (self.available or monotonic() >= self._retry_at):
            try:
                with self._span("read journal", {}):
                    await self._read_up_to(journal, journal.position())
            except JournalError as error:
                self._retry_at = monotonic() + RETRY_S
                if self.available:
                    log.error("the journal cannot be read", reason=str(error))
                self.available = False
            else:
                self.available = True
        return self._bind(recommender)

    async def _read_up_to(self, journal: Journal, position: int) -> None:
        while position > (known := self._overlay.position):
            if self._reading is not None or position - known > FEW or not journal.near:
                # One reads for all who wait, and nobody beside it.
                if self._reading is None:
                    self._reading = asyncio.create_task(self._read_in_thread(journal, position))
                await asyncio.shield(self._reading)
            else:
                self._overlay.apply(journal.read(known, FEW))
            if self._overlay.position == known:
                return  # there is nothing, whatever the position says

    async def _read_in_thread(self, journal: Journal, position: int) -> None:
        try:
            while position > (known := self._overlay.position):
                overlay = self._overlay
                entries = await asyncio.to_thread(journal.read, known, MANY)
                for first in range(0, len(entries), FEW):
                    if overlay is not self._overlay:  # it was begun anew for another model
                        break
                    overlay.apply(entries[first : first + FEW])
                    await asyncio.sleep(0)
                if not entries:
                    return
        finally:
            self._reading = None

    def _make_room(self, recommender: Recommender) -> None:
        """Begin anew if the overlay lacks events that a model has not learned from.

        So it is if a new model has another policy: the model that was loaded last decides what the
        events are worth. The model is bound before anything is read, so that no other one has its
        events forgotten.
        """
        policy = recommender.artifact.manifest.policy
        if self._negative_types is not None:
            policy = policy.with_negative_types(self._negative_types)
        is_new = recommender not in self._bound
        lacks_events = _learned_up_to(recommender) < self._overlay.floor
        if lacks_events or (is_new and policy != self._overlay.strength):
            models = {recommender, *self._bound}
            floor = min(map(_learned_up_to, models))
            self._overlay = Overlay(floor=floor, strength=policy)
            for model in models:
                self._bound[model] = self._overlay_of(model)
        self._bind(recommender)

    def _bind(self, recommender: Recommender) -> ModelOverlay:
        bound = self._bound.get(recommender)
        if bound is None:
            bound = self._overlay_of(recommender)
            self._bound[recommender] = bound
            self._overlay.forget(min(other.after for other in self._bound.values()))
        return bound

    def _overlay_of(self, recommender: Recommender) -> ModelOverlay:
        after = _learned_up_to(recommender)
        return ModelOverlay(self._overlay, recommender.artifact.model, after=after)


def _learned_up_to(recommender: Recommender) -> int:
    return recommender.artifact.manifest.data.journal_position or 0
