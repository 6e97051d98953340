"""The contract of a journal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Protocol, Self

from hashrec.index.live.journal.records import Entry, Record


class Journal(Protocol):
    """A durable, ordered record of events and catalogue changes, shared by processes.

    Every method may be called from any thread, and blocks until it is done.

    Attributes:
        near: reading a few entries takes microseconds, and waits for no other process.
        weakness: what keeps `append` from being as durable as it should be; None if nothing does.
    """

    near: ClassVar[bool]
    weakness: str | None

    @classmethod
    def open(cls, url: str) -> Self:
        """Open the journal that a URL names, and make it where there is none.

        Raises:
            ConfigError: the URL names none.
            JournalUnavailableError: it cannot be reached, or made.
            JournalCorruptError: it is damaged, or is something else.
        """
        ...

    def append(self, records: Sequence[Record]) -> list[bool]:
        """Write records in their order, all or none; they are durable on return.

        Returns:
            For each record whether it is new: False for an event whose id the journal (or an
            earlier record of the call) has already, which leaves everything as it was.

        Raises:
            JournalUnavailableError: they could not be written. None of them was, unless the
                connection to a server broke before its reply: writing the same events again
                settles it either way.
        """
        ...

    def position(self) -> int:
        """Return the position of the last entry, 0 for none: microseconds, fit for every request.

        A record whose `append` returned in this process is at or before it; one of another process
        too, at once (SQLite) or as soon as word of it came (Redis).

        Raises:
            JournalUnavailableError: it was never known.
        """
        ...

    def read(self, after: int = 0, limit: int = 10_000) -> list[Entry]:
        """Return at most `limit` entries whose positions are above `after`, ascending.

        Raises:
            JournalUnavailableError: they could not be read.
            JournalCorruptError: what is there is no record.
        """
        ...

    def close(self) -> None:
        """Let go of files and connections; nothing else may be called afterwards."""
        ...
