"""From a file to `Interactions`: keep the positives, number the ids, merge duplicates."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hashrec.index.arrays.ids import IdMap
from hashrec.index.errors import DataError, EmptyDataError
from hashrec.index.reading.options import FormatOptions
from hashrec.index.reading.rows import DETECT, ColumnReport, GoodRows, read_rows
from hashrec.index.strength import Strength
from hashrec.training.data.interactions import Interactions
from hashrec.training.data.strengths import EVEN, Derived, amounts_or_none, derive


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
        timestamp_unit: how timestamps are written; None without timestamps.
        columns: what each column in use was taken for, and its gaps.
        ignored: columns that are not in use.
        skipped: what was left out of a folder; empty for nothing.
        preset: name of the reader that the file was read with; empty for invented data.
        types: type -> number of rows, the most frequent first; empty without a type column.
        strength: what the rows are worth, and why.
        n_neutral: those of `n_other_types` whose type is worth 0, such as impressions.
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
    columns: tuple[ColumnReport, ...] = ()
    ignored: tuple[str, ...] = ()
    skipped: str = ""
    preset: str = ""
    types: Mapping[str, int] = field(default_factory=dict)
    strength: Derived = EVEN
    n_neutral: int = 0

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
        if data.timestamps is not None:
            parts.append(f"timestamps in {self.timestamp_unit}")
        elif self.timestamp_unit:
            parts.append("timestamps not used, because not every row has one")
        parts += filter(None, (column.summary() for column in self.columns))
        if self.skipped:
            parts.append(f"skipped {self.skipped}")
        for count, what in (
            (self.n_duplicates, "duplicates merged"),
            (self.n_below, "below the least value"),
            (
                self.n_other_types,
                "of types that are not positive"
                + (f" ({self.n_neutral:,} of worth 0)" if self.n_neutral else ""),
            ),
            (self.n_bad, f"bad rows left out ({'; '.join(self.bad_examples)})"),
        ):
            if count:
                parts.append(f"{count:,} {what}")
        return "; ".join(parts)


def read_interactions(
    path: Path | str,
    options: FormatOptions = DETECT,
    *,
    min_value: float | None = None,
    types: Collection[str] | None = None,
    needed: Collection[str] = (),
    max_bad: int = 0,
    strength: Strength | None = None,
) -> ReadResult:
    """Read user-item interactions from a file of any known format.

    A row is bad if it has no user or item id, an id over 512 bytes or with control characters, too
    many fields, or no readable value or timestamp where one is needed. Two rows of the same user
    and item become one with the later timestamp, the larger value, and the amounts of both as the
    policy combines them.

    If the file has a type column, rows of a negative worth, such as dislike, skip and hide, are not
    positives. They also take back earlier rows of the same user and item. Rows of worth 0, such as
    impressions, change nothing.

    Args:
        path: a file in any container, a folder of parts of one table, or `-` for standard input.
        options: what detection cannot see.
        min_value: keep rows with at least this value; every row needs one then.
        types: keep rows of these types, in place of all but the negative ones.
        needed: `timestamp` if every row has to have one. Without it, the timestamps of a file in
            which some rows have none are not used.
        max_bad: bad rows to leave out before the read fails. The default is 0: dropped rows hide a
            broken export until the recommendations are odd.
        strength: what the rows are worth; None derives it from the data.

    Raises:
        DataError: the file is missing, damaged, not of a known format, or has no usable row.
        TooManyBadRowsError: it has more bad rows than `max_bad`.
    """
    path = Path(path)
    needed = {*needed, *(["value"] if min_value is not None else [])}
    rows = read_rows(path, options, needed=needed, max_bad=max_bad)
    good = rows.frame
    if types is not None and "type" not in good.columns:
        raise DataError(f"{path}: no type column to compare with; name it, or drop --types")
    above = good if min_value is None else good.filter(pl.col("value") >= min_value)
    positive = _of_types(above, types, strength or Strength())
    if not positive.height:
        reason = (
            f"every row is bad: {'; '.join(rows.bad_examples)}" if not good.height
            else f"no value reaches {min_value}" if not above.height
            else "no row has a positive type"
        )  # fmt: skip
        raise EmptyDataError(str(path), f"{reason}; check the columns and the options")
    interactions, said = _merged(positive, strength)
    return _accounted(
        ReadResult(
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
            columns=rows.columns,
            ignored=rows.ignored,
            skipped=rows.skipped,
            preset=rows.preset,
            types=_counts_of_types(rows),
            strength=said,
            n_neutral=0 if types is not None else _n_neutral(above, said.policy),
        )
    )


def _accounted(reading: ReadResult) -> ReadResult:
    """Check that every row of the file is counted once.

    Raises:
        DataError: rows were lost.
    """
    counted = (
        reading.n_bad
        + reading.n_below
        + reading.n_other_types
        + reading.n_duplicates
        + len(reading.interactions)
    )
    if counted != reading.n_rows:
        raise DataError(
            f"{reading.path}: {reading.n_rows:,} rows were read and {counted:,} are accounted for; "
            "please report this"
        )
    return reading


def _counts_of_types(rows: GoodRows) -> dict[str, int]:
    if "type" not in rows.frame.columns:
        return {}
    counts = rows.frame.get_column("type").fill_null("(none)").value_counts(sort=True)
    return dict(counts.iter_rows())


def _of_types(frame: pl.DataFrame, types: Collection[str] | None, policy: Strength) -> pl.DataFrame:
    """Keep the rows of positive types that no later row takes back.

    Returns:
        The rows, with `is_void` for those before a refusal of their pair, if there are such rows.
    """
    if "type" not in frame.columns:
        return frame
    if types is not None:
        return frame.filter(pl.col("type").is_in(list(types)))
    worths = _worths(frame, policy)
    if not (worths < 0).any():
        return frame.filter(worths > 0)
    # without times, rows of different files of a folder have no order
    has_times = "timestamp" in frame.columns
    keys = ["user", "item", *(["part"] * (not has_times))]
    order = [*(["timestamp"] * has_times), "part", "line"]
    told = frame.with_columns(worth=worths).filter(pl.col("worth") != 0)
    in_order = told.select(order).with_row_index("row").sort(order).get_column("row").to_numpy()
    places = np.empty(told.height, dtype=np.int64)
    places[in_order] = np.arange(1, told.height + 1)
    is_negative = pl.col("worth") < 0
    refused = pl.col("place").filter(is_negative).max().over(keys).fill_null(0)
    return (
        told.with_columns(place=pl.Series(places))
        .with_columns(refused=refused, last=pl.col("place").max().over(keys))
        .filter(~is_negative & (pl.col("last") > pl.col("refused")))
        .with_columns(is_void=pl.col("place") < pl.col("refused"))
        .drop("worth", "place", "refused", "last")
    )


def _worths(frame: pl.DataFrame, policy: Strength) -> pl.Series:
    kinds = frame.get_column("type")
    worths = {kind: policy.worth(kind) for kind in kinds.drop_nulls().unique()}
    return kinds.replace_strict(worths, default=policy.other, return_dtype=pl.Float64).fill_null(
        policy.other
    )


def _n_neutral(frame: pl.DataFrame, policy: Strength) -> int:
    return int((_worths(frame, policy) == 0).sum()) if "type" in frame.columns else 0


def _merged(frame: pl.DataFrame, strength: Strength | None) -> tuple[Interactions, Derived]:
    """Number the ids in the order they appear and make one pair of each user and item.

    Returns:
        The pairs, and what their rows are worth: derived from them if `strength` is None.
    """
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
    if strength is None:
        said = derive(frame, data.values, int(new.sum()))
    else:
        said = Derived(strength, expected=True)
    policy = said.policy
    amounts = None if policy.is_even else _amounts(frame, policy, data.values)
    if new.all():
        return replace(data, amounts=None if amounts is None else amounts_or_none(amounts)), said
    starts = np.flatnonzero(new)  # of each pair's rows, which lie together in this order
    firsts = order[starts]
    by_appearance = np.argsort(firsts)
    firsts = firsts[by_appearance]

    def largest(array: NDArray[Any] | None) -> NDArray[Any] | None:
        return None if array is None else np.maximum.reduceat(array[order], starts)[by_appearance]

    if amounts is not None:
        combine = np.add if policy.repeats == "sum" else np.maximum
        amounts = combine.reduceat(amounts[order], starts)[by_appearance]
    pairs = replace(
        data,
        user_rows=user_rows[firsts],
        item_rows=item_rows[firsts],
        values=largest(data.values),
        timestamps=largest(data.timestamps),
        first_timestamps=(
            None
            if data.timestamps is None
            else np.minimum.reduceat(data.timestamps[order], starts)[by_appearance]
        ),
        amounts=None if amounts is None else amounts_or_none(amounts),
    )
    return pairs, said


def _amounts(
    frame: pl.DataFrame, policy: Strength, values: NDArray[np.float32] | None
) -> NDArray[np.int64]:
    """Return what each row adds to its pair; 0 for a row that a later one takes back."""
    worths = np.full(frame.height, policy.other)
    if "type" in frame.columns:
        worths = _worths(frame, policy).to_numpy()
        # A type that was asked for by its name is a positive, whatever the policy says.
        worths = np.where(worths > 0, worths, policy.other)
    amounts = policy.amounts(worths, values).astype(np.int64)
    if "is_void" in frame.columns:
        amounts[frame.get_column("is_void").to_numpy()] = 0
    return amounts


def _array(frame: pl.DataFrame, name: str, dtype: type[np.generic]) -> NDArray[Any] | None:
    if name not in frame.columns:
        return None
    column = frame.get_column(name)
    if name == "timestamp" and column.null_count():
        return None  # of times that only some rows have, none can be compared
    return None if column.null_count() == len(column) else column.to_numpy().astype(dtype)


def _numbered(ids: pl.Series) -> tuple[NDArray[np.int32], IdMap]:
    encoded = ids.to_arrow().dictionary_encode()
    # not to_numpy(): it would import pandas
    rows = np.frombuffer(encoded.indices.buffers()[1], np.int32, len(ids)).copy()
    return rows, IdMap.build(encoded.dictionary.to_pylist())
