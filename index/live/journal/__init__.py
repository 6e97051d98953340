"""Durable, ordered records of events and catalogue changes, behind one protocol.

A new kind is a file here and a line in `JOURNALS`.

Public: `open_journal`, `journal.Journal`, `records.Event`, `records.ItemChange`, `JOURNALS`.
"""

from pathlib import Path

from hashrec.index.errors import ConfigError
from hashrec.index.live.journal.journal import Journal
from hashrec.index.live.journal.records import Entry, Event, ItemChange, Record
from hashrec.index.live.journal.redis_streams import RedisStreamsJournal
from hashrec.index.live.journal.sqlite import SqliteJournal

# By the scheme of the URL that names a journal.
JOURNALS: dict[str, type[Journal]] = {
    "sqlite": SqliteJournal,
    "redis": RedisStreamsJournal,
    "rediss": RedisStreamsJournal,
    "unix": RedisStreamsJournal,
}


def open_journal(url: str) -> Journal:
    """Open the journal that a URL names, and make it where there is none.

    Raises:
        ConfigError: the URL is of no kind there is.
        JournalError: the journal cannot be opened.
    """
    scheme = url.partition(":")[0]
    if scheme not in JOURNALS:
        raise ConfigError(f"a journal's URL must start with {', '.join(JOURNALS)}, and a colon")
    return JOURNALS[scheme].open(url)


def journal_beside(store: Path) -> Path:
    """Return where the journal of a store is, unless it is told otherwise."""
    return store / "state" / "journal.sqlite"


__all__ = [
    "JOURNALS",
    "Entry",
    "Event",
    "ItemChange",
    "Journal",
    "Record",
    "RedisStreamsJournal",
    "SqliteJournal",
    "journal_beside",
    "open_journal",
]
