"""From a file to `Interactions`: detect the format, check every row, merge duplicates."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hashrec.index.arrays.ids import MAX_ID_BYTES, IdMap
from hashrec.index.errors import (
    ConfigError,
    DataError,
    EmptyDataError,
    TooManyBadRowsError,
    UnknownFormatError,
    shorten,
)
from hashrec.index.live.overlay import NEGATIVE_TYPES
from hashrec.training.data.interactions import Interactions
from hashrec.training.data.readers import READERS
from hashrec.training.data.readers.delimited import SEPARATORS
from hashrec.training.data.readers.head import Head, read_head
from hashrec.training.data.readers.reader import ROLES, Reader
from hashrec.training.data.timestamps import to_seconds

EXAMPLES = 5


@dataclass(frozen=True, eq=False)
class ReadResult:
    """What a file held and what became of it.

    Attributes:
        interactions: the distinct pairs; ids got their rows in the order of their first appearance.
        path: the file.
        description: format and columns, one line.
        n_rows: rows in the file, bad ones included.
        n_bad: rows left out because something in them is missing or makes no sense.
        bad_examples: the first few of them, such as "line 7: no user id".
        n_below: rows left out because their value is below `min_value`.
        n_other_types: rows left out because their type says no, or is none of those asked for.
        n_duplicates: rows merged into another row of the same user and item.
        timestamp_unit: "seconds", "milliseconds", "microseconds", "nanoseconds", "ISO 8601" or
            "datetimes"; None without timestamps.
    """

    interactions: Interactions
    path: Path
    description: str
    n_rows: int
    n_bad: int
    bad_examples: tuple[str, ...]
    n_below: int
    n_other_types: int
    n_duplicates: int
    timestamp_unit: str | None

    @cached_property
    def data_hash(self) -> str:
        """SHA-256 over the pairs, see `Interactions.data_hash`."""
        return self.interactions.data_hash()

    def summary(self) -> str:
        """Describe the reading in one line."""
        data = self.interactions
        parts = [
            f"{self.path}: {self.description}",
            f"{self.n_rows:,} rows",
            f"{data.n_users:,} users x {data.n_items:,} items",
            f"{len(data):,} interactions",
        ]
        if self.timestamp_unit:
            parts.append(f"timestamps in {self.timestamp_unit}")
        for count, what in (
            (self.n_duplicates, "duplicates merged"),
            (self.n_below, "below the least value"),
            (self.n_other_types, "of types that are no positives"),
            (self.n_bad, f"bad rows left out ({'; '.join(self.bad_examples)})"),
        ):
            if count:
                parts.append(f"{count:,} {what}")
        return "; ".join(parts)


@dataclass(frozen=True, eq=False)
class GoodRows:
    """The rows of a file that can be used, as they came.

    Attributes:
        frame: `line` and, by role, `user`, `item`, `value` (float), `timestamp` (seconds), `type`
            and `event_id`; all but the first three are absent where the file lacks them.
        description: see `ReadResult`, as for the following.
        row_name: what `line` counts.
    """

    frame: pl.DataFrame
    description: str
    row_name: str
    n_rows: int
    n_bad: int
    bad_examples: tuple[str, ...]
    timestamp_unit: str | None


def read_interactions(
    path: Path | str,
    *,
    preset: str | None = None,
    columns: Mapping[str, str] | None = None,
    min_value: float | None = None,
    types: Collection[str] | None = None,
    max_bad: int = 0,
) -> ReadResult:
    """Read user-item interactions from a file of any known format.

    A row is bad without a user or an item id, with an id over 512 bytes or with control characters,
    with a value that is no finite number, with a timestamp that is none, or with too many fields.
    Two rows of the same user and item become one with the later timestamp and the larger value.

    Where a column says what happened, rows of the types dislike, skip and hide are no positives,
    and neither are earlier ones of the same user and item: the last word counts.

    Args:
        path: a file, gzipped or not, or a folder of Parquet files.
        preset: a name in `READERS`, in place of detection.
        columns: role, one of `ROLES` -> name of the column that plays it.
        min_value: keep rows with at least this value.
        types: keep rows of these types, in place of all but the negative ones.
        max_bad: bad rows to leave out before the read fails. None is left out by default: to drop
            what is not understood hides a broken export until the recommendations are odd.

    Raises:
        DataError: the file is missing, damaged, not of a known format, or has no usable row.
        TooManyBadRowsError: it has more bad rows than `max_bad`.
    """
    path = Path(path)
    rows = read_rows(path, preset=preset, columns=columns, max_bad=max_bad)
    good = rows.frame
    if min_value is not None and "value" not in good.columns:
        raise DataError(f"{path}: no value column to compare with; name it, or drop --min-value")
    if types is not None and "type" not in good.columns:
        raise DataError(f"{path}: no type column to compare with; name it, or drop --types")
    above = good if min_value is None else good.filter(pl.col("value") >= min_value)
    positive = _of_types(above, types)
    if not positive.height:
        reason = (
            "every row is bad" if not good.height
            else f"no value reaches {min_value}" if not above.height
            else "no row is of a type that counts"
        )  # fmt: skip
        raise EmptyDataError(str(path), f"{reason}; check the columns and the options")
    interactions = _merged(positive)
    return ReadResult(
        interactions=interactions,
        path=path,
        description=rows.description,
        n_rows=rows.n_rows,
        n_bad=rows.n_bad,
        bad_examples=rows.bad_examples,
        n_below=good.height - above.height,
        n_other_types=above.height - positive.height,
        n_duplicates=positive.height - len(interactions),
        timestamp_unit=rows.timestamp_unit,
    )


def read_rows(
    path: Path,
    *,
    preset: str | None = None,
    columns: Mapping[str, str] | None = None,
    max_bad: int = 0,
) -> GoodRows:
    """Read the rows of a file and check each; see `read_interactions`, which merges them.

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
        if (head.kind == "parquet") != (preset == "parquet"):
            raise DataError(
                f"{head.path}: {head.kind}, which preset {preset!r} cannot read; leave --preset out"
            )
        return READERS[preset]
    for name, reader in READERS.items():
        # chosen columns need a format that names its columns
        if reader.recognises(head) and (not columns or name in ("parquet", "jsonl", "recbole")):
            return reader
    if columns:
        return READERS["csv"]
    begins = f"it begins {shorten(head.lines[0])!r}"
    if not any(separator in head.lines[0] for separator in SEPARATORS):
        begins = f"one column, {begins}"
    raise UnknownFormatError(head.path, begins)


def _is_empty(frame: pl.DataFrame, name: str) -> bool:
    return name in frame.columns and frame.get_column(name).null_count() == frame.height


def _typed(frame: pl.DataFrame) -> tuple[pl.DataFrame, str | None]:
    """Turn values into numbers and timestamps into seconds; what cannot be becomes null."""
    timestamp_unit = None
    if "value" in frame.columns:
        number = pl.col("value").cast(pl.Float64, strict=False)
        frame = frame.with_columns(value=pl.when(number.is_finite()).then(number))
    if "timestamp" in frame.columns:
        seconds, timestamp_unit = to_seconds(frame.get_column("timestamp"))
        frame = frame.with_columns(timestamp=seconds)
    return frame, timestamp_unit


def _checked(frame: pl.DataFrame, row_name: str) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """Return the good rows, and the first bad ones in words."""
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
        problems.append(pl.when(pl.col("value").is_null()).then(pl.lit("value is no number")))
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


def _of_types(frame: pl.DataFrame, types: Collection[str] | None) -> pl.DataFrame:
    """Keep the rows whose type counts, but for those that a later one takes back."""
    if "type" not in frame.columns:
        return frame
    if types is not None:
        return frame.filter(pl.col("type").is_in(list(types)))
    says_no = pl.col("type").str.to_lowercase().is_in(list(NEGATIVE_TYPES)).fill_null(False)
    if not frame.select(says_no.any()).item():
        return frame
    order = [name for name in ("timestamp", "line") if name in frame.columns]
    taken_back = (
        frame.with_columns(says_no=says_no)
        .sort(order)
        .group_by("user", "item")
        .agg(pl.col("says_no").last())
        .filter("says_no")
    )
    return frame.filter(~says_no).join(taken_back, on=["user", "item"], how="anti")


def _merged(frame: pl.DataFrame) -> Interactions:
    """Number the ids in the order they appear and make one pair of each user and item."""
    user_rows, users = _numbered(frame.get_column("user"))
    item_rows, items = _numbered(frame.get_column("item"))
    data = Interactions(
        user_rows=user_rows,
        item_rows=item_rows,
        users=users,
        items=items,
        values=_array(frame, "value", np.float32),
        timestamps=_array(frame, "timestamp", np.int64),
    )
    keys = user_rows.astype(np.int64) * len(items) + item_rows
    order = np.argsort(keys, kind="stable")
    new = np.append(True, np.diff(keys[order]) != 0)
    if new.all():
        return data
    starts = np.flatnonzero(new)  # of each pair's rows, which lie together in this order
    firsts = order[starts]
    by_appearance = np.argsort(firsts)
    firsts = firsts[by_appearance]

    def largest(array: NDArray[Any] | None) -> NDArray[Any] | None:
        return None if array is None else np.maximum.reduceat(array[order], starts)[by_appearance]

    return replace(
        data,
        user_rows=user_rows[firsts],
        item_rows=item_rows[firsts],
        values=largest(data.values),
        timestamps=largest(data.timestamps),
    )


def _array(frame: pl.DataFrame, name: str, dtype: type[np.generic]) -> NDArray[Any] | None:
    return frame.get_column(name).to_numpy().astype(dtype) if name in frame.columns else None


def _numbered(ids: pl.Series) -> tuple[NDArray[np.int32], IdMap]:
    encoded = ids.to_arrow().dictionary_encode()
    rows = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int32)
    return rows, IdMap.build(encoded.dictionary.to_pylist())
