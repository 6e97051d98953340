"""Attributes of items: title, categories, timestamp, whether hidden, and any others."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import polars as pl

from hashrec.index.arrays.ids import MAX_ID_BYTES, IdMap
from hashrec.index.errors import DataError, EmptyDataError, TooManyBadRowsError
from hashrec.index.reading.columns import ITEMS, Columns, choose_columns
from hashrec.index.reading.numbers import NO_VALUE
from hashrec.index.reading.options import FormatOptions
from hashrec.index.reading.rows import (
    DETECT,
    EXAMPLES,
    ColumnReport,
    Reading,
)
from hashrec.index.reading.times import to_times, with_fractions
from hashrec.training.data.categories import read_categories
from hashrec.training.data.item_rows import ItemRow, ItemRows, as_json, read_item_rows

GORSE_NAMES = {"Labels": "labels", "Comment": "comment"}  # fields without a role
RESERVED = {"item_id", *ITEMS.roles}  # names that attributes without a role cannot have
# MovieLens files with the titles of movies, in order of preference.
MOVIELENS_FILES = ("movies.dat", "movies.csv", "u.item")
MOVIELENS_DATA = ("ratings", "u.data", "ua.", "ub.", "u1.", "u2.", "u3.", "u4.", "u5.")
TRUTH = {
    **dict.fromkeys(("true", "1", "yes", "y", "t"), True),
    **dict.fromkeys(("false", "0", "no", "n", "f", *NO_VALUE), False),
}
CONTROL_CHARACTER = re.compile(r"[\x00-\x1f\x7f]")


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


@dataclass(frozen=True, eq=False, kw_only=True)
class ItemReading(Reading):
    """The attributes of a file of items, and counts of its rows.

    Attributes:
        attributes: of the good rows.
        path: the file.
        n_duplicates: rows replaced by a later row of the same item.
        others: columns that are kept as attributes of their own names.
        says_hidden: whether the file has a `hidden` column.
    """

    attributes: ItemAttributes
    path: Path
    n_duplicates: int
    others: tuple[str, ...]
    says_hidden: bool

    def summary(self) -> str:
        """Describe the reading in one line."""
        items = self.attributes.by_id.values()
        parts = [
            f"{len(self.attributes):,} items described in {self.path.name}", self.description,
        ]  # fmt: skip
        parts += (f"{each.role}: {each.read_as}" for each in self.columns if each.read_as)
        parts += filter(None, (column.summary() for column in self.columns))
        if self.skipped:
            parts.append(f"skipped {self.skipped}")
        for count, what in (
            (sum("hidden" in item for item in items), "hidden"),
            (self.n_duplicates, "duplicates, the last kept"),
            (self.n_bad, f"bad rows left out ({'; '.join(self.bad_examples)})"),
        ):
            if count:
                parts.append(f"{count:,} {what}")
        return "; ".join(parts)

    def report(self) -> list[str]:
        """Say, a line each, what the file is, what its columns are, and what is wrong."""
        return self.lines("further attributes", self.others)


def read_items(
    path: Path | str, options: FormatOptions = DETECT, *, max_bad: int = 0
) -> ItemReading:
    """Read the attributes of items from a file, a folder of parts, or standard input.

    The file is a table with named columns in any known format, or one of MovieLens' ``movies.dat``
    and ``u.item`` (with ``u.genre`` beside it). Columns get their roles by their names, see
    `hashrec.index.reading.columns.ITEMS`; the others are attributes of their own names. If an item
    has several rows, the last one is kept.

    A row is bad if it has no item id, an id over 512 bytes or with control characters, an invalid
    title, categories, timestamp or `hidden`, or too many fields.

    Args:
        path: the file, see `read_item_rows`.
        options: what detection cannot see; the roles of columns are those of `ITEMS`.
        max_bad: bad rows to leave out before the read fails.

    Raises:
        DataError: the file is missing or damaged, or has no item ids or no attributes.
        TooManyBadRowsError: it has more bad rows than `max_bad`.
    """
    path = Path(path)
    written = read_item_rows(path, options)
    if not written.rows:
        raise EmptyDataError(str(path), "no rows; give a file with item_id,title,categories")
    columns = choose_columns(path, written.names, ITEMS, options.columns, written.roles)
    problems: dict[int, str] = {}  # by position
    cleaned: list[dict[str, Any]] = []
    for position, fields in enumerate(_named(written, columns)):
        problem = written.rows[position].problem
        try:
            cleaned.append({} if problem else _cleaned(fields))
        except (ValueError, RecursionError) as error:
            problem = str(error) if isinstance(error, ValueError) else "nested too deeply"
            cleaned.append({})
        if problem:
            problems[position] = problem
    category_style = _convert_categories(cleaned, problems)
    timestamp_unit = _convert_timestamps(cleaned, problems, options.time_format)
    good = [fields for position, fields in enumerate(cleaned) if position not in problems]
    by_id = {
        fields["item_id"]: {name: value for name, value in fields.items() if name != "item_id"}
        for fields in good
    }
    examples = tuple(
        f"{_where(written, written.rows[position])}: {problems[position]}"
        for position in sorted(problems)[:EXAMPLES]
    )
    if len(problems) > max_bad:
        raise TooManyBadRowsError(path, len(problems), max_bad, list(examples))
    if not any(by_id.values()):
        raise DataError(
            f"{path}: no item has an attribute; give a file with item_id,title,categories"
        )
    styles = {"categories": category_style, "timestamp": timestamp_unit}
    return ItemReading(
        attributes=ItemAttributes(by_id),
        path=path,
        description=f"{written.title}: {columns.described()}",
        n_rows=len(written.rows),
        n_bad=len(problems),
        bad_examples=examples,
        n_duplicates=len(good) - len(by_id),
        columns=tuple(
            ColumnReport(
                role,
                name,
                columns.reasons[role],
                styles.get(role, ""),
                0 if role in ("item", "hidden") else sum(role not in fields for fields in good),
            )
            for role, name in columns.columns.items()
        ),
        others=columns.ignored,
        skipped=written.skipped,
        says_hidden="hidden" in columns.columns,
    )


def _where(written: ItemRows, row: ItemRow) -> str:
    return f"{row.file} {written.row_name} {row.line}".lstrip()


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


def _named(written: ItemRows, columns: Columns) -> Iterator[dict[str, Any]]:
    """Yield the fields of each row by their names here: roles, `item_id`, and other attributes."""
    roles = {name: role for role, name in columns.columns.items()}
    names = {name: roles.get(name) or _other_name(name) for name in written.names}
    names |= {name: "item_id" for name, role in roles.items() if role == "item"}
    typed = {
        name: kind
        for name, kind in written.sequences.items()
        if roles.get(name) not in ("item", "title", "timestamp")
    }
    for row in written.rows:
        fields = {names[name]: entry for name, entry in row.fields.items()}
        for name, kind in typed.items():
            if isinstance(entry := row.fields.get(name), str):
                fields[names[name]] = _as_typed(entry, kind)
        yield fields


def _as_typed(entry: str, kind: str) -> Any:
    """Return an entry of a column whose type the header says."""
    if kind == "token_seq":
        return entry.split()
    numbers = [_number(part) for part in entry.split()]
    if kind == "float":
        return numbers[0] if len(numbers) == 1 else entry
    return numbers


def _number(text: str) -> float | str:
    try:
        number = float(text)
    except ValueError:
        return text
    return number if math.isfinite(number) else text


def _other_name(name: str) -> str:
    """Return the name of an attribute without a role, different from the names of the roles."""
    name = GORSE_NAMES.get(name, name.strip())
    return f"{name}_" if name in RESERVED else name


def _cleaned(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row's item id and attributes.

    Categories and the timestamp stay as written: their style is known only from all rows together.

    Raises:
        ValueError: the row is bad; the message says why.
    """
    exported = _exported(fields.get("attributes"))
    row = {
        name: value if name in ("item_id", "timestamp") else as_json(value)
        for name, value in fields.items()
        if value not in (None, "", [], {}) and not (name == "attributes" and exported is not None)
    }
    row = {name: value for name, value in row.items() if value is not None}
    row["item_id"] = _item_id(row.get("item_id"))
    row = {**(exported or {}), **row}
    try:
        orjson.dumps(row, default=str)
    except TypeError:
        raise ValueError("not valid Unicode, or nested too deeply") from None
    if "title" in row:
        if not _is_scalar(row["title"]):
            raise ValueError("title is not text")
        row["title"] = str(row["title"])
    hidden = TRUTH.get(str(row.pop("hidden", "")).strip().lower())
    if hidden is None:
        raise ValueError("hidden is neither true nor false")
    return row | ({"hidden": True} if hidden else {})


def _exported(attributes: Any) -> Mapping[str, Any] | None:
    """Return the further attributes that `hashrec export items` writes as one object."""
    if isinstance(attributes, str) and attributes.startswith("{"):
        try:
            attributes = json.loads(attributes)
        except ValueError:
            return None
    return as_json(attributes) if isinstance(attributes, dict) else None


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


def _convert_categories(rows: Sequence[dict[str, Any]], problems: dict[int, str]) -> str:
    """Make lists of names of the categories; returns how they are written."""
    positions = [position for position, fields in enumerate(rows) if "categories" in fields]
    read = read_categories([rows[position].pop("categories") for position in positions])
    for position, names in zip(positions, read.names, strict=True):
        if names is None:
            problems.setdefault(position, "categories are not a list of names")
        elif names:
            rows[position]["categories"] = names
    return read.read_as


def _convert_timestamps(
    rows: Sequence[dict[str, Any]], problems: dict[int, str], time_format: str | None
) -> str:
    """Convert the timestamps of the good rows to seconds; add invalid ones to `problems`.

    Returns:
        How they are written; empty without any.
    """
    positions = [
        position
        for position, fields in enumerate(rows)
        if "timestamp" in fields and position not in problems
    ]
    if not positions:
        return ""
    written = [rows[position].pop("timestamp") for position in positions]
    texts = pl.Series([_time_text(time) for time in written], dtype=pl.String)
    times = to_times(texts, time_format)
    exact = with_fractions(texts, times.seconds)
    for position, time, seconds, is_missing, fraction in zip(
        positions, written, times.seconds, times.missing, exact, strict=True
    ):
        if seconds is None and not (is_missing and _is_scalar(time)):
            problems[position] = (
                "timestamp is no known time; leave the column out with --map-items timestamp=-"
            )
        elif seconds is not None:
            # an integer where no fraction is written
            rows[position]["timestamp"] = seconds if fraction == seconds else fraction
    return times.unit


def _time_text(time: Any) -> str | None:
    if hasattr(time, "isoformat"):
        return time.isoformat()
    return str(time) if _is_scalar(time) else None


def _is_scalar(value: object) -> bool:
    return isinstance(value, str | int | float) and not isinstance(value, bool)
