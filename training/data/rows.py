"""Read the rows of a file: detect the format, parse, check every row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from hashrec.index.arrays.ids import MAX_ID_BYTES
from hashrec.index.errors import (
    ConfigError,
    DataError,
    EmptyDataError,
    TooManyBadRowsError,
    UnknownFormatError,
    shorten,
)
from hashrec.training.data.readers import READERS
from hashrec.training.data.readers.delimited import SEPARATORS
from hashrec.training.data.readers.head import Head, read_head
from hashrec.training.data.readers.reader import ROLES, Reader
from hashrec.training.data.timestamps import to_seconds

EXAMPLES = 5  # bad rows that a message shows


@dataclass(frozen=True, eq=False)
class GoodRows:
    """The good rows of a file, in its order.

    Attributes:
        frame: `line` and, by role, `user`, `item`, `value` (float), `timestamp` (seconds), `type`
            and `event_id`; all but the first three are absent if the file lacks them.
        description: see `ReadResult`, as for the following.
        row_name: unit of `line`: "line" or "row".
    """

    frame: pl.DataFrame
    description: str
    row_name: str
    n_rows: int
    n_bad: int
    bad_examples: tuple[str, ...]
    timestamp_unit: str | None


def read_rows(
    path: Path,
    *,
    preset: str | None = None,
    columns: Mapping[str, str] | None = None,
    max_bad: int = 0,
) -> GoodRows:
    """Read the rows of a file and check each of them, see `read_interactions`.

    Raises:
        DataError: the file is missing, damaged, not of a known format, or has no row.
        TooManyBadRowsError: it has more bad rows than `max_bad`.
    """
    columns = dict(columns or {})
    if unknown := sorted(set(columns) - set(ROLES)):
        raise ConfigError(f"no role {unknown[0]!r} for a column; the roles are {', '.join(ROLES)}")
    head = read_head(path)
    table = _reader(head, preset, columns).read(head, columns)
    if not table.frame.height:
        raise EmptyDataError(str(path), "no rows; give a file with interactions")
    # a column without a single entry counts as absent, not as one bad row after the other
    empty = [name for name in ("value", "timestamp") if _is_empty(table.frame, name)]
    frame, timestamp_unit = _typed(table.frame.drop(empty))
    good, examples = _checked(frame, table.row_name)
    n_bad = frame.height - good.height
    if n_bad > max_bad:
        raise TooManyBadRowsError(path, n_bad, max_bad, list(examples))
    return GoodRows(
        good, table.description, table.row_name, frame.height, n_bad, examples, timestamp_unit
    )


def _reader(head: Head, preset: str | None, columns: Mapping[str, str]) -> Reader:
    if preset is not None:
        if preset not in READERS:
            raise ConfigError(f"no preset {preset!r}; there are {', '.join(READERS)}")
        if READERS[preset].kind != head.kind:
            raise DataError(
                f"{head.path}: a {head.kind} file, which preset {preset!r} cannot read; "
                "leave --preset out"
            )
        return READERS[preset]
    for reader in READERS.values():
        if reader.recognises(head) and (reader.takes_columns or not columns):
            return reader
    if head.kind == "binary":
        raise DataError(
            f"{head.path}: a binary file of an unknown format; give text (CSV, JSONL, ...) or "
            "Parquet"
        )
    if columns:
        return READERS["csv"]
    begins = f"it begins {shorten(head.lines[0])!r}"
    if not any(separator in head.lines[0] for separator in SEPARATORS):
        begins = f"one column, {begins}"
    raise UnknownFormatError(head.path, begins)


def _is_empty(frame: pl.DataFrame, name: str) -> bool:
    return name in frame.columns and frame.get_column(name).null_count() == frame.height


def _typed(frame: pl.DataFrame) -> tuple[pl.DataFrame, str | None]:
    """Convert values to numbers and timestamps to seconds; null where that is not possible."""
    timestamp_unit = None
    if "value" in frame.columns:
        number = pl.col("value").cast(pl.Float64, strict=False)
        frame = frame.with_columns(value=pl.when(number.is_finite()).then(number))
    if "timestamp" in frame.columns:
        seconds, timestamp_unit = to_seconds(frame.get_column("timestamp"))
        frame = frame.with_columns(timestamp=seconds)
    return frame, timestamp_unit


def _checked(frame: pl.DataFrame, row_name: str) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """Return the good rows, and a line of text for each of the first bad ones."""
    problems = [pl.col("problem")] if "problem" in frame.columns else []
    for role in ("user", "item"):
        text = pl.col(role)
        missing = text.is_null() | (text.str.strip_chars() == "")
        problems += [
            pl.when(missing).then(pl.lit(f"no {role} id")),
            pl.when(text.str.len_bytes() > MAX_ID_BYTES).then(
                pl.lit(f"{role} id over {MAX_ID_BYTES} bytes")
            ),
            pl.when(text.str.contains(r"[\x00-\x1f\x7f]")).then(
                pl.lit(f"control character in the {role} id (a quote that is not closed?)")
            ),
        ]
    if "value" in frame.columns:
        problems.append(pl.when(pl.col("value").is_null()).then(pl.lit("value is not a number")))
    if "timestamp" in frame.columns:
        problems.append(
            pl.when(pl.col("timestamp").is_null()).then(
                pl.lit("timestamp is neither a number nor ISO 8601")
            )
        )
    frame = frame.with_columns(problem=pl.coalesce(problems))
    good = frame.filter(pl.col("problem").is_null())
    if good.height == frame.height:
        return good, ()
    bad = frame.filter(pl.col("problem").is_not_null()).head(EXAMPLES)
    return good, tuple(
        f"{row_name} {line}: {problem}"
        for line, problem in bad.select("line", "problem").iter_rows()
    )
