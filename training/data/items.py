"""Attributes of items: title, categories, timestamp, whether hidden, and any others."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from hashrec.index.arrays.ids import MAX_ID_BYTES, IdMap
from hashrec.index.errors import DataError, EmptyDataError, TooManyBadRowsError
from hashrec.index.reading.times import to_times
from hashrec.training.data.item_rows import ItemRow, read_item_rows

NO_GENRE = ("(no genres listed)", "unknown")
NO_TIME = "0001-01-01T00:00:00Z"  # what Gorse writes without a time
# MovieLens files with the titles of movies, in order of preference.
MOVIELENS_FILES = ("movies.dat", "movies.csv", "u.item")
MOVIELENS_DATA = ("ratings", "u.data", "ua.", "ub.", "u1.", "u2.", "u3.", "u4.", "u5.")
TRUTH = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False, "": False}
CONTROL_CHARACTER = re.compile(r"[\x00-\x1f\x7f]")
EXAMPLES = 5


@dataclass(frozen=True)
class ItemAttributes:
    """Attributes by external item id.

    Attributes:
        by_id: item id -> `title` (str), `categories` (a list of names), `timestamp` (int, seconds
            since 1970 UTC), `hidden` (only if true), and any other attributes, as JSON; unknown
            attributes are absent.
    """

    by_id: Mapping[str, Mapping[str, Any]]

    def __len__(self) -> int:
        return len(self.by_id)

    def by_row(self, items: IdMap) -> list[Mapping[str, Any]]:
        """Return one mapping per item row, empty for an item without attributes."""
        return [self.by_id.get(item_id, {}) for item_id in items.ids(range(len(items)))]


NO_ATTRIBUTES = ItemAttributes({})


@dataclass(frozen=True)
class ItemReading:
    """The attributes of a file of items, and counts of its rows.

    Attributes:
        attributes: of the good rows.
        path: the file.
        n_bad: rows left out because a field is missing or invalid.
        bad_examples: the first few of them, such as "line 7: no item id".
        n_duplicates: rows replaced by a later row of the same item.
        timestamp_unit: see `ReadResult`; None without timestamps.
        says_hidden: whether the file has a `hidden` column.
    """

    attributes: ItemAttributes
    path: Path
    n_bad: int
    bad_examples: tuple[str, ...]
    n_duplicates: int
    timestamp_unit: str | None
    says_hidden: bool

    def summary(self) -> str:
        """Describe the reading in one line."""
        items = self.attributes.by_id.values()
        parts = [f"{len(self.attributes):,} items described in {self.path.name}"]
        if self.timestamp_unit:
            parts.append(f"timestamps in {self.timestamp_unit}")
        for count, what in (
            (sum("hidden" in item for item in items), "hidden"),
            (self.n_duplicates, "duplicates, the last kept"),
            (self.n_bad, f"bad rows left out ({'; '.join(self.bad_examples)})"),
        ):
            if count:
                parts.append(f"{count:,} {what}")
        return ", ".join(parts)


def read_items(path: Path | str, *, max_bad: int = 0) -> ItemReading:
    """Read the attributes of items from a file.

    The file is MovieLens' ``movies.dat``, ``movies.csv`` or ``u.item`` (with ``u.genre`` beside
    it), a CSV with a header (``item_id,title,categories,timestamp,hidden`` and any others,
    categories separated by ``|``), or JSON lines or Parquet with the same or Gorse's fields
    (``ItemId``, ``IsHidden``, ``Categories``, ``Timestamp``, ``Labels``, ``Comment``). Any may be
    gzipped. If an item has several rows, the last one is kept.

    A row is bad if it has no item id, an id over 512 bytes or with control characters, an invalid
    title, categories, timestamp or `hidden`, or too many fields.

    Raises:
        DataError: the file is missing or damaged, or has no item ids or no attributes.
        TooManyBadRowsError: it has more bad rows than `max_bad`.
    """
    path = Path(path)
    rows = list(read_item_rows(path))
    if not rows:
        raise EmptyDataError(str(path), "no rows; give a file with item_id,title,categories")
    problems: dict[int, str] = {}  # by position
    cleaned: list[dict[str, Any]] = []
    for position, row in enumerate(rows):
        try:
            cleaned.append(_cleaned(row))
        except ValueError as error:
            cleaned.append({})
            problems[position] = str(error)
    timestamp_unit = _convert_timestamps(cleaned, problems)
    by_id = {
        fields.pop("item_id"): fields
        for position, fields in enumerate(cleaned)
        if position not in problems
    }
    row_name = "row" if path.name.endswith(".parquet") else "line"
    examples = [
        f"{row_name} {rows[position].line}: {problems[position]}"
        for position in sorted(problems)[:EXAMPLES]
    ]
    if len(problems) > max_bad:
        raise TooManyBadRowsError(path, len(problems), max_bad, examples)
    if not any(by_id.values()):
        raise DataError(
            f"{path}: no item has an attribute; give a file with item_id,title,categories"
        )
    return ItemReading(
        attributes=ItemAttributes(by_id),
        path=path,
        n_bad=len(problems),
        bad_examples=tuple(examples),
        n_duplicates=len(rows) - len(problems) - len(by_id),
        timestamp_unit=timestamp_unit,
        says_hidden=any("hidden" in row.fields for row in rows),
    )


def find_item_attributes(data_path: Path | str) -> Path | None:
    """Return the MovieLens file of titles beside a data file or in its folder; None without one."""
    data_path = Path(data_path)
    if data_path.is_dir():
        folder = data_path
    elif data_path.name.lower().startswith(MOVIELENS_DATA):
        folder = data_path.parent
    else:
        return None
    candidates = (folder / (name + end) for name in MOVIELENS_FILES for end in ("", ".gz"))
    return next((path for path in candidates if path.is_file()), None)


def _cleaned(row: ItemRow) -> dict[str, Any]:
    """Return a row's item id and attributes.

    The timestamp stays as written: the unit is known only from all timestamps together.

    Raises:
        ValueError: the row is bad; the message says why.
    """
    if row.problem:
        raise ValueError(row.problem)
    written = _with_attributes(row.fields)
    fields = {name: value for name, value in written.items() if value not in (None, "", [], {})}
    fields["item_id"] = _item_id(fields.get("item_id"))
    try:
        json.dumps(fields, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise ValueError("not valid Unicode") from None
    if "title" in fields:
        if not _is_scalar(fields["title"]):
            raise ValueError("title is not text")
        fields["title"] = str(fields["title"])
    if names := _category_names(fields.pop("categories", [])):
        fields["categories"] = names
    if fields.get("timestamp") == NO_TIME:
        del fields["timestamp"]
    hidden = TRUTH.get(str(fields.pop("hidden", "")).strip().lower())
    if hidden is None:
        raise ValueError("hidden is neither true nor false")
    return fields | ({"hidden": True} if hidden else {})


def _with_attributes(fields: Mapping[str, Any]) -> Mapping[str, Any]:
    """Unpack the object of further attributes that `hashrec export items` writes."""
    others = fields.get("attributes")
    if isinstance(others, str) and others.startswith("{"):
        try:
            others = json.loads(others)
        except ValueError:
            return fields
    if not isinstance(others, dict):
        return fields
    return {**others, **{name: value for name, value in fields.items() if name != "attributes"}}


def _item_id(written: object) -> str:
    if written is None:
        raise ValueError("no item id")
    if not _is_scalar(written):
        raise ValueError("item id is neither a string nor a number")
    item_id = str(written)
    if CONTROL_CHARACTER.search(item_id):
        raise ValueError("control character in the item id (a quote that is not closed?)")
    if len(item_id.encode(errors="replace")) > MAX_ID_BYTES:
        raise ValueError(f"item id over {MAX_ID_BYTES} bytes")
    return item_id


def _category_names(names: object) -> list[str]:
    """Clean category names and keep each once, in order."""
    if isinstance(names, str):
        names = names.split("|")
    if not isinstance(names, list) or not all(map(_is_scalar, names)):
        raise ValueError("categories are not a list of names")
    stripped = (str(name).strip() for name in names)
    return list(dict.fromkeys(name for name in stripped if name and name not in NO_GENRE))


def _convert_timestamps(rows: Sequence[dict[str, Any]], problems: dict[int, str]) -> str | None:
    """Convert the timestamps of the good rows to seconds; add invalid ones to `problems`."""
    positions = [
        position
        for position, fields in enumerate(rows)
        if "timestamp" in fields and position not in problems
    ]
    if not positions:
        return None
    written = [rows[position]["timestamp"] for position in positions]
    texts = [str(time) if _is_scalar(time) else None for time in written]
    times = to_times(pl.Series(texts, dtype=pl.String))
    seconds, unit = times.seconds, times.unit
    for position, time in zip(positions, seconds.to_list(), strict=True):
        if time is None:
            problems[position] = "timestamp is no known time"
        rows[position]["timestamp"] = time
    return unit


def _is_scalar(value: object) -> bool:
    return isinstance(value, str | int | float) and not isinstance(value, bool)
