"""Check of a journal that is a file: intact, writable, and not too many new events."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from hashrec.index.errors import ArtifactError, JournalError
from hashrec.index.live.journal import Event, SqliteJournal, journal_beside
from hashrec.service.doctor.finding import Deployment, Finding, size
from hashrec.service.doctor.store_check import served_manifest

CHECK = "journal"
MANY_EVENTS = 1_000_000  # newer than the served model; every worker holds them in memory
LEAST_FREE_BYTES = 200_000_000
AT_ONCE = 10_000


def check_journal(deployment: Deployment) -> Iterator[Finding]:
    """Read the whole journal, if there is one, and check that it can be written."""
    url = deployment.settings.events.url
    if url is None:
        path = journal_beside(deployment.store)
    elif url.get_secret_value().startswith("sqlite:"):
        path = Path(url.get_secret_value().removeprefix("sqlite:").removeprefix("//"))
    else:
        return  # the check of Redis covers it
    folder = next(folder for folder in path.absolute().parents if folder.is_dir())
    writable = _takes_files(folder) and (not path.exists() or os.access(path, os.W_OK))
    if not writable:
        yield Finding(
            CHECK, "warning" if url is None else "problem",
            f"{path} cannot be written: POST /events answers 503",
            "give the user of the service write access, or set HASHREC_EVENTS__URL",
        )  # fmt: skip
    if path.is_file():
        yield from _of_file(path, deployment.store)
    elif writable:
        yield Finding(CHECK, "ok", f"no events yet; the journal will be {path}")
    free = shutil.disk_usage(folder).free
    if writable and free < LEAST_FREE_BYTES:
        yield Finding(
            "disk", "problem", f"{size(free)} free for {path}",
            "free disk space: events are refused when the disk is full",
        )  # fmt: skip


def _takes_files(folder: Path) -> bool:
    try:
        with tempfile.TemporaryFile(dir=folder):  # a file without a name
            return True
    except OSError:
        return False


def _of_file(path: Path, store: Path) -> Iterator[Finding]:
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as database:
            (said,) = database.execute("PRAGMA quick_check(1)").fetchone()
        if said != "ok":
            yield Finding(
                CHECK, "problem", f"{path}: damaged: {said}",
                "stop the service, copy the journal, and restore the last intact copy",
            )  # fmt: skip
            return
        learned = _learned(store)
        with closing(SqliteJournal(path)) as journal:
            n_entries = n_waiting = position = 0
            while entries := journal.read(position, AT_ONCE):
                position = entries[-1].position
                n_entries += len(entries)
                n_waiting += sum(
                    isinstance(entry.record, Event) and entry.position > learned
                    for entry in entries
                )
    except (JournalError, sqlite3.Error) as error:
        advice = "stop the service, copy the journal, and restore the last intact copy"
        message = str(error) if isinstance(error, JournalError) else f"{path}: {error}"
        yield Finding(CHECK, "problem", message, advice)
        return
    what = f"{path}: {n_entries:,} entries, {n_waiting:,} events newer than the served model"
    if n_waiting > MANY_EVENTS:
        yield Finding(
            CHECK,
            "warning",
            what,
            "run `hashrec retrain`: every worker holds the new events in its memory",
        )
    else:
        yield Finding(CHECK, "ok", f"{what}, {size(path.stat().st_size)}")


def _learned(store: Path) -> int:
    """Return the journal position up to which the served model has learned, 0 if unknown."""
    try:
        return served_manifest(store).data.journal_position or 0
    except (ArtifactError, OSError):
        return 0
