"""From a file to `Interactions`: keep the positives, number the ids, merge duplicates."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hashrec.index.arrays.ids import IdMap
from hashrec.index.errors import DataError, EmptyDataError
from hashrec.index.live.overlay import NEGATIVE_TYPES
from hashrec.training.data.interactions import Interactions
from hashrec.training.data.rows import read_rows


@dataclass(frozen=True, eq=False)
class ReadResult:
    """The interactions of a file, and counts of its rows.

    Attributes:
        interactions: the distinct pairs; ids have their rows in the order of first appearance.
        path: the file.
        description: format and columns, one line.
        n_rows: rows in the file, bad ones included.
        n_bad: rows left out because a field is missing or invalid.
        bad_examples: the first few of them, such as "line 7: no user id".
        n_below: rows left out because their value is below `min_value`.
        n_other_types: rows left out because their type is negative or was not asked for.
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
            (self.n_other_types, "of types that are not positive"),
            (self.n_bad, f"bad rows left out ({'; '.join(self.bad_examples)})"),
        ):
            if count:
                parts.append(f"{count:,} {what}")
        return "; ".join(parts)


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

    A row is bad if it has no user or item id, an id over 512 bytes or with control characters, a
    value that is not a finite number, a timestamp that cannot be read, or too many fields. Two rows
    of the same user and item become one with the later timestamp and the larger value.

    If the file has a type column, rows of the types dislike, skip and hide are not positives. They
    also take back earlier rows of the same user and item: the last row counts.

    Args:
        path: a file, gzipped or not, or a folder of Parquet files.
        preset: a name in `READERS`, in place of detection.
        columns: role, one of `ROLES` -> column name.
        min_value: keep rows with at least this value.
        types: keep rows of these types, in place of all but the negative ones.
        max_bad: bad rows to leave out before the read fails. The default is 0: dropped rows hide a
            broken export until the recommendations are odd.

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
            else "no row has a positive type"
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


def _of_types(frame: pl.DataFrame, types: Collection[str] | None) -> pl.DataFrame:
    """Keep the rows of positive types that no later row takes back."""
    if "type" not in frame.columns:
        return frame
    if types is not None:
        return frame.filter(pl.col("type").is_in(list(types)))
    is_negative = pl.col("type").str.to_lowercase().is_in(list(NEGATIVE_TYPES)).fill_null(False)
    if not frame.select(is_negative.any()).item():
        return frame
    order = [name for name in ("timestamp", "line") if name in frame.columns]
    taken_back = (
        frame.with_columns(is_negative=is_negative)
        .sort(order)
        .group_by("user", "item")
        .agg(pl.col("is_negative").last())
        .filter("is_negative")
    )
    return frame.filter(~is_negative).join(taken_back, on=["user", "item"], how="anti")


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
