"""The journal of a worker process, and the one writer of all its requests.

A disk makes some hundred commits a second durable, each of any size. So while one is under way,
what the requests bring is collected, and goes together in the next.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Literal, NamedTuple

import structlog

from hashrec.index.errors import ConfigError, HashrecError, JournalError
from hashrec.index.live.journal import Journal, Record, journal_beside, open_journal
from hashrec.service.errors import EventsUnavailableError
from hashrec.service.settings import Settings
from hashrec.service.telemetry.spans import Spans, no_span

MAX_WAITING = 100_000  # records; beyond it requests are turned away
MAX_TOGETHER = 10_000  # records in one commit
LABELLED_TYPES = frozenset(
    ("cart", "click", "like", "play", "purchase", "rating", "read", "share", "star", "view")
)

log = structlog.stdlib.get_logger("service.event_log")


class _Waiting(NamedTuple):
    records: Sequence[Record]
    reply: asyncio.Future[list[bool]]


class EventLog:
    """Opens the journal, again and again where it must, and writes it for everyone.

    Attributes:
        journal: the open journal; None while there is none.
        reason: why there is none, for the operator.
    """

    def __init__(self, settings: Settings, span: Spans = no_span) -> None:
        url, beside = settings.events.url, journal_beside(settings.store)
        self._store = settings.store
        self._span = span
        self._url = url.get_secret_value() if url is not None else None
        self._beside = f"sqlite:{beside}"
        self._require_durable = settings.events.require_durable
        self.journal: Journal | None = None
        self.reason = "it was not opened yet"
        self._labels = LABELLED_TYPES | settings.events.negative
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="journal")
        self._waiting: list[_Waiting] = []
        self._n_waiting = 0
        self._writing: asyncio.Task[None] | None = None

    def type_label(self, event_type: str) -> str:
        """Return an event's type for a metric, which must not have more labels the more come."""
        return event_type if event_type in self._labels else "other"

    @property
    def state(self) -> Literal["available", "unavailable", "off"]:
        """Whether events are kept; `off` where none were asked for and none can be."""
        if self.journal is not None:
            return "available"
        return "off" if self._url is None else "unavailable"

    async def open(self) -> None:
        """Open the journal if that was not done yet; what is wrong with it is logged once."""
        if self.journal is not None:
            return
        if self._url is None and not self._store.is_dir():
            return
        loop = asyncio.get_running_loop()
        try:
            self.journal = await loop.run_in_executor(self._thread, self._open)
        except HashrecError as error:
            if str(error) != self.reason:
                log.log(20 if self._url is None else 40, "events are off", reason=str(error))
            self.reason = str(error)

    async def append(self, records: Sequence[Record]) -> list[bool]:
        """Write records in their order; they are durable on return.

        Returns:
            For each record whether it is new; see `Journal.append`.

        Raises:
            EventsUnavailableError: they could not be written.
        """
        if self.journal is None:
            raise EventsUnavailableError(
                "events cannot be kept here: "
                + ("set HASHREC_EVENTS__URL" if self._url is None else "the journal is not there")
            )
        if not records:
            return []
        if self._n_waiting + len(records) > MAX_WAITING:
            raise EventsUnavailableError("more events came than can be written; send them again")
        self._n_waiting += len(records)
        reply: asyncio.Future[list[bool]] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(records, reply))
        if self._writing is None:
            # It starts at the loop's next turn, when all requests of this turn have added theirs.
            self._writing = asyncio.create_task(self._write(self.journal))
        with self._span("append events", {"hashrec.records": len(records)}):
            return await reply

    async def close(self) -> None:
        """Finish what is under way, and close the journal."""
        if self._writing is not None:
            await self._writing
        journal, self.journal = self.journal, None
        if journal is not None:
            await asyncio.get_running_loop().run_in_executor(self._thread, journal.close)
        self._thread.shutdown()

    async def _write(self, journal: Journal) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            together = self._take()
            records = [record for waiting in together for record in waiting.records]
            try:
                new = await loop.run_in_executor(self._thread, journal.append, records)
            except Exception as error:
                unexpected = None if isinstance(error, JournalError) else error
                log.error("events not written", reason=str(error), exc_info=unexpected)
                for waiting in together:
                    if not waiting.reply.done():  # whoever went away asks no more
                        waiting.reply.set_exception(
                            EventsUnavailableError("events cannot be written now; send them again")
                        )
            else:
                first = 0
                for waiting in together:
                    if not waiting.reply.done():
                        waiting.reply.set_result(new[first : first + len(waiting.records)])
                    first += len(waiting.records)
        self._writing = None

    def _open(self) -> Journal:
        journal = open_journal(self._url or self._beside)
        if journal.weakness is not None:
            if self._require_durable:
                journal.close()
                raise ConfigError(f"events can be lost: {journal.weakness}; mend the server")
            log.warning("events can be lost", reason=journal.weakness)
        return journal

    def _take(self) -> list[_Waiting]:
        """Take from those who wait, first come first served, as many as go together."""
        n_records = n_taken = 0
        for waiting in self._waiting:
            if n_taken and n_records + len(waiting.records) > MAX_TOGETHER:
                break
            n_records += len(waiting.records)
            n_taken += 1
        together, self._waiting = self._waiting[:n_taken], self._waiting[n_taken:]
        self._n_waiting -= n_records
        return together
