"""A journal in one SQLite file, for every process of one machine.

    journal.sqlite            the entries
    journal.sqlite-wal, -shm  SQLite's own
    journal.sqlite-position   the last position, for all processes to see; and the writers' lock

A transaction of SQLite in WAL mode with full sync is on disk when its commit returns. The number in
the position file is only news of that: a process killed between the two leaves it behind until the
next append or open sets it right.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Generator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import ClassVar, Self

from hashrec.index.artifacts import durable
from hashrec.index.errors import (
    ConfigError,
    InvalidRecordError,
    JournalCorruptError,
    JournalError,
    JournalUnavailableError,
)
from hashrec.index.live.journal.records import Entry, Event, Record, from_json, to_json
from hashrec.index.live.journal.shared_position import SharedPosition

SCHEMA_VERSION = 1
BUSY_TIMEOUT_S = 5.0  # a writer that waits longer gives up
_HEAD_BYTES = 100  # of every SQLite file
_APPLICATION_ID = 0x48524A4C  # "HRJL", in the head of the file
# AUTOINCREMENT: a position is never used again, even where the last entries were deleted.
_SCHEMA = """
CREATE TABLE entries (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    event_id TEXT UNIQUE,
    record BLOB NOT NULL
)
"""
# A journal begins at the microsecond of its making, so that its positions are above those of any
# journal that was there before it: what a model had read of that one says nothing of this one.
_BEGIN_AT = "INSERT INTO sqlite_sequence (name, seq) VALUES ('entries', ?)"
_INSERT = "INSERT INTO entries (event_id, record) VALUES (?, ?) ON CONFLICT (event_id) DO NOTHING"
_READ = "SELECT position, record FROM entries WHERE position > ? ORDER BY position LIMIT ?"
_LAST = "SELECT max(position) FROM entries"


class SqliteJournal:
    """See the module's docstring."""

    near: ClassVar[bool] = True
    weakness: str | None = None

    def __init__(self, path: Path) -> None:
        """Open a journal, and make one where there is none.

        Raises:
            JournalUnavailableError: the folder cannot be written, or the disk is full.
            JournalCorruptError: the file is damaged, or is something else.
        """
        self._path = path
        self._write_lock, self._read_lock = threading.Lock(), threading.Lock()
        with self._told(), ExitStack() as opened:
            path.parent.mkdir(parents=True, exist_ok=True)
            shared = SharedPosition(path.with_name(f"{path.name}-position"))
            self._shared = opened.enter_context(closing(shared))
            with self._shared.locked(BUSY_TIMEOUT_S):
                self._writer = opened.enter_context(self._connect())
                self._prepare()
                self._reader = opened.enter_context(self._connect())
                # No writer is active: what the table says is all there is.
                self._shared.set(self._last())
                durable.fsync(path.parent)
            self._opened = opened.pop_all()

    @classmethod
    def open(cls, url: str) -> Self:
        """Open the journal that a URL such as `sqlite:///var/lib/hashrec/journal.sqlite` names.

        Raises:
            ConfigError: the URL names no file.
            JournalError: see the constructor.
        """
        path = url.removeprefix("sqlite:").removeprefix("//")
        if not path.strip("/"):
            raise ConfigError(f"{url}: no file is named; write sqlite:///PATH")
        return cls(Path(path))

    def append(self, records: Sequence[Record]) -> list[bool]:
        """See `Journal.append`. All records are one transaction."""
        if not records:
            return []
        rows = [
            (record.event_id if isinstance(record, Event) else None, to_json(record))
            for record in records
        ]
        with self._told(), self._write_lock, self._shared.locked(BUSY_TIMEOUT_S):
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                new = [self._writer.execute(_INSERT, row).rowcount == 1 for row in rows]
                self._writer.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):  # after some errors there is nothing left to undo
                    self._writer.execute("ROLLBACK")
                raise
            self._shared.set(self._last())
        return new

    def position(self) -> int:
        """See `Journal.position`. Other processes' entries count from the end of their append."""
        return self._shared.get()

    def read(self, after: int = 0, limit: int = 10_000) -> list[Entry]:
        """See `Journal.read`."""
        with self._told():
            with self._read_lock:
                rows: list[tuple[int, bytes]] = self._reader.execute(
                    _READ, (after, limit)
                ).fetchall()
            return [self._entry(position, content) for position, content in rows]

    def close(self) -> None:
        """See `Journal.close`."""
        with self._write_lock, self._read_lock:
            self._opened.close()

    @contextmanager
    def _connect(self) -> Generator[sqlite3.Connection]:
        # Transactions are our own, and the locks see to it that one thread at a time is in one.
        with closing(
            sqlite3.connect(
                self._path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
            )
        ) as connection:
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA fullfsync = ON")  # macOS: fsync alone stops at the drive
            yield connection

    def _prepare(self) -> None:
        """Check what the file is; an empty one becomes a journal."""
        if 0 < self._path.stat().st_size < _HEAD_BYTES:  # SQLite would take it for an empty one
            raise JournalCorruptError(self._path, "file is not a database")
        (kind,) = self._writer.execute("PRAGMA application_id").fetchone()
        (version,) = self._writer.execute("PRAGMA user_version").fetchone()
        if kind == _APPLICATION_ID and version == SCHEMA_VERSION:
            for entry in self._writer.execute(_READ, (self._last() - 1, 1)):
                self._entry(*entry)
            return
        if kind == _APPLICATION_ID:
            raise JournalCorruptError(
                self._path, f"it has schema {version} and this release reads {SCHEMA_VERSION}"
            )
        if kind or self._writer.execute("SELECT count(*) FROM sqlite_master").fetchone() != (0,):
            raise JournalCorruptError(self._path, "it is the database of another program")
        if self._shared.get():
            raise JournalCorruptError(
                self._path, f"its entries are gone; to begin anew remove {self._path.name}-position"
            )
        self._writer.execute("PRAGMA journal_mode = WAL")
        self._writer.execute("BEGIN IMMEDIATE")
        self._writer.execute(_SCHEMA)
        self._writer.execute(_BEGIN_AT, (time.time_ns() // 1000,))
        self._writer.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
        self._writer.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        self._writer.execute("COMMIT")

    def _last(self) -> int:
        (last,) = self._writer.execute(_LAST).fetchone()
        return last or 0

    def _entry(self, position: int, content: bytes) -> Entry:
        try:
            return Entry(position, from_json(content))
        except (ValueError, InvalidRecordError) as error:
            raise JournalCorruptError(self._path, f"entry {position}: {error}") from error

    @contextmanager
    def _told(self) -> Generator[None]:
        """Turn the errors of SQLite and of files into ours."""
        try:
            yield
        except JournalError:
            raise
        except sqlite3.OperationalError as error:
            raise JournalUnavailableError(self._path, str(error)) from error
        except sqlite3.DatabaseError as error:
            raise JournalCorruptError(self._path, str(error)) from error
        except OSError as error:
            raise JournalUnavailableError(self._path, error.strerror or str(error)) from error
