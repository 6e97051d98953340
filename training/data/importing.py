"""Write the events and items of files into a journal, which running services follow."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hashrec.index.artifacts.store import Store
from hashrec.index.errors import (
    ArtifactError,
    InvalidRecordError,
    NoArtifactError,
    TooManyBadRowsError,
)
from hashrec.index.live.catalogue_state import items_now, overlay_of
from hashrec.index.live.catalogue_view import ItemNow
from hashrec.index.live.journal import (
    Event,
    ItemChange,
    Journal,
    Record,
    journal_beside,
    open_journal,
)
from hashrec.index.reading.columns import EVENTS, listed
from hashrec.index.reading.options import NO_COLUMN, FormatOptions
from hashrec.index.reading.rows import ANY_NUMBER, DETECT, EXAMPLES, GoodRows, read_rows
from hashrec.training.data.items import read_items
from hashrec.training.data.overlap import LEAST_KNOWN, overlap_warning

RECORDS_AT_ONCE = 5_000  # in one commit
DEFAULT_TYPE = "click"

Advance = Callable[[int], None]


@dataclass(frozen=True)
class ImportReport:
    """Counts of the rows of an imported file, and how it was read.

    Attributes:
        rows: in the file: the sum of the others.
        bad: left out.
        known: already in the journal or the catalogue.
        new: written.
        merged: the same event or item as another row of the file.
        reading: lines that say what the columns were taken for, and why.
        warnings: what the user should look at.
    """

    rows: int
    bad: int
    known: int
    new: int
    merged: int = 0
    reading: tuple[str, ...] = field(default=(), compare=False)
    warnings: tuple[str, ...] = field(default=(), compare=False)


def journal_to_write(store: Path, url: str | None) -> Journal:
    """Open the journal that a service of this store writes; make it if there is none.

    Raises:
        ArtifactError: the store does not exist.
        JournalError: the journal cannot be opened.
    """
    if url is not None:
        return open_journal(url)
    if not store.is_dir():
        raise ArtifactError(f"{store}: no such folder; name the store with --store")
    return open_journal(f"sqlite:{journal_beside(store)}")


def import_events(
    path: Path,
    journal: Journal,
    options: FormatOptions = DETECT,
    *,
    default_type: str,
    max_bad: int,
    advance: Advance,
) -> ImportReport:
    """Write the events of a file to a journal; events that it has already change nothing.

    An event without an `event_id` gets a hash of its fields, so that the same row is the same event
    in the next import. A row without a type gets the default type; without a time, the current one,
    which a warning says.

    Args:
        path: see `read_rows`.
        journal: written some thousand events at a time, each batch whole or not at all.
        options: what detection cannot see.
        default_type: of rows without a type.
        max_bad: bad rows to leave out before the import fails, with nothing written.
        advance: called with the number of rows done.

    Raises:
        DataError: the file cannot be read, or has too many bad rows.
        JournalError: the journal cannot be written; earlier batches stay.
    """
    # rows that are not valid events are bad too
    rows = read_rows(path, options, max_bad=ANY_NUMBER, vocabulary=EVENTS, exact_times=True)
    events, examples = _events(rows, default_type)
    n_bad = rows.n_bad + rows.frame.height - len(events)
    if n_bad > max_bad:
        raise TooManyBadRowsError(path, n_bad, max_bad, [*rows.bad_examples, *examples][:EXAMPLES])
    n_new = sum(_append(journal, events, advance))
    n_distinct = len({event.event_id for event in events})
    without_time = "" if options.columns.get("timestamp") == NO_COLUMN else _without_time(rows)
    return ImportReport(
        rows.n_rows,
        n_bad,
        n_distinct - n_new,
        n_new,
        len(events) - n_distinct,
        tuple(rows.report()),
        tuple(filter(None, [without_time])),
    )


def _without_time(rows: GoodRows) -> str:
    """Return a warning about events that get the current time; empty without any."""
    column = next((each for each in rows.columns if each.role == "timestamp"), None)
    n_rows = rows.frame.height
    n_without = n_rows if column is None else rows.frame.get_column("timestamp").null_count()
    if not n_without:
        return ""
    warning = f"warning: {n_without:,} of {n_rows:,} events have no time and get that of the import"
    if column is not None:
        advice = "" if n_without < n_rows else "; --time-format says how it is written"
        return f"{warning}: {column.summary()}{advice}"
    unused = f" among {listed(rows.ignored)}" if rows.ignored else ""
    return f"{warning}: no column of times is known{unused}; name it with --map timestamp=COLUMN"


def import_items(
    path: Path,
    journal: Journal,
    store: Path,
    options: FormatOptions = DETECT,
    *,
    max_bad: int,
    advance: Advance,
) -> ImportReport:
    """Write the items of a file to a journal, as changes of the catalogue.

    The attributes of an item in the file are replaced as a whole; other items do not change. A file
    without a `hidden` column hides and shows no item. Items that do not change are not written.

    Args:
        path: see `read_items`.
        journal: see `import_events`, as for `max_bad` and `advance`.
        store: its served version, if there is one, is the catalogue to compare with.
        options: what detection cannot see; roles of columns as in `read_items`.
        max_bad: bad rows to leave out.
        advance: called with the number of rows done.

    Raises:
        DataError: the file cannot be read, has too many bad rows, or an item's attributes are too
            large.
        JournalError: the journal cannot be written; earlier batches stay.
    """
    reading = read_items(path, options, max_bad=max_bad)
    now = _catalogue(journal, store)
    changes: list[ItemChange] = []
    for item_id, described in reading.attributes.by_id.items():
        attributes = {name: value for name, value in described.items() if name != "hidden"}
        hidden = "hidden" in described if reading.says_hidden else None
        before = now.get(item_id)
        if (
            before is not None
            and before.attributes == attributes
            and hidden in (None, before.hidden)
        ):
            continue
        try:
            changes.append(ItemChange(item_id, attributes, hidden, timestamp=time.time()))
        except InvalidRecordError as error:
            raise InvalidRecordError(f"{path}: item {item_id!r}:", str(error)) from error
    for _ in _append(journal, changes, advance):
        pass
    warning = overlap_warning(
        reading.attributes.by_id, now, path.name, "the catalogue", LEAST_KNOWN
    )
    return ImportReport(
        reading.n_rows,
        reading.n_bad,
        len(reading.attributes) - len(changes),
        len(changes),
        reading.n_duplicates,
        tuple(reading.report()),
        (warning,) if warning else (),
    )


def _events(rows: GoodRows, default_type: str) -> tuple[list[Event], list[str]]:
    """Return the events, and a line of text for each of the first rows that are not events."""
    columns = {name: rows.frame.get_column(name).to_list() for name in rows.frame.columns}
    nothing: list[None] = [None] * rows.frame.height
    now = time.time()
    events: list[Event] = []
    examples: list[str] = []
    for line, user_id, item_id, kind, timestamp, event_id, list_id in zip(
        columns["line"], columns["user"], columns["item"], columns.get("type", nothing),
        columns.get("timestamp", nothing), columns.get("event_id", nothing),
        columns.get("recommendation_id", nothing), strict=True,
    ):  # fmt: skip
        kind = kind or default_type  # noqa: PLW2901
        second = None if timestamp is None else int(timestamp)
        name = event_id or _event_id(user_id, item_id, kind, second)
        try:
            events.append(
                Event(
                    user_id, item_id, kind, now if timestamp is None else timestamp, name,
                    None if list_id is None else str(list_id),
                )
            )  # fmt: skip
        except InvalidRecordError as error:
            if len(examples) < EXAMPLES:
                examples.append(f"{rows.row_name} {line}: {error}")
    return events, examples


def _event_id(*said: object) -> str:
    return hashlib.sha256("\0".join(map(str, said)).encode()).hexdigest()[:32]


def _catalogue(journal: Journal, store: Path) -> dict[str, ItemNow]:
    overlay = overlay_of(journal)
    try:
        model = Store(store).open().model
    except NoArtifactError:
        model = None
    return {item.item_id: item for item in items_now(model, overlay)}


def _append(journal: Journal, records: Sequence[Record], advance: Advance) -> Iterator[bool]:
    """Write records, and yield for each whether it is new."""
    for start in range(0, len(records), RECORDS_AT_ONCE):
        part = records[start : start + RECORDS_AT_ONCE]
        yield from journal.append(part)
        advance(len(part))
