"""Counts of a data file or a named data set, for `hashrec data validate`."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from hashrec.index.reading.options import FormatOptions
from hashrec.index.reading.rows import ANY_NUMBER, DETECT, ColumnReport
from hashrec.training.data.catalogue import (
    default_data_home,
    find_data_file,
    is_synthetic,
    load_dataset,
)
from hashrec.training.data.cuts import iso
from hashrec.training.data.interactions import Interactions
from hashrec.training.data.reading import ReadResult, read_interactions

MOST_GRADES = 21  # of ratings; counts have more different values


@dataclass(frozen=True)
class ValidationReport:
    """Counts of data; every field is plain JSON.

    Attributes:
        path: the file, or the name of data without one.
        format: format and columns, one line.
        rows: rows in the file.
        bad_rows: rows that cannot be used.
        bad_examples: the first few, with their line numbers and what is wrong.
        duplicates: rows that repeat an earlier user and item.
        below_min_value: rows whose value is below the least one asked for.
        other_types: rows whose type is negative or was not asked for.
        users: distinct users.
        items: distinct items.
        interactions: distinct pairs.
        density: interactions / (users x items).
        users_with_one_item: users of whom nothing can be held out.
        items_with_one_user: items of which hardly anything can be learned.
        median_items_per_user: median over the users.
        median_users_per_item: median over the items.
        value_range: least and largest value; None without values.
        timestamp_unit: how timestamps are written; None without.
        first_timestamp: ISO 8601, UTC; None without timestamps.
        last_timestamp: ISO 8601, UTC; None without timestamps.
        data_hash: SHA-256 over the pairs.
        columns: what each column in use was taken for, why, and its gaps.
        ignored_columns: columns that are not in use.
        skipped: what was left out of a folder; empty for nothing.
        types: type -> number of rows; empty without a type column.
        hints: what is probably not meant, and the option that changes it.
        strength: what the rows are taken to be worth; empty if all are alike.
    """

    path: str
    format: str
    rows: int
    bad_rows: int
    bad_examples: tuple[str, ...]
    duplicates: int
    below_min_value: int
    other_types: int
    users: int
    items: int
    interactions: int
    density: float
    users_with_one_item: int
    items_with_one_user: int
    median_items_per_user: float
    median_users_per_item: float
    value_range: tuple[float, float] | None
    timestamp_unit: str | None
    first_timestamp: str | None
    last_timestamp: str | None
    data_hash: str
    columns: tuple[ColumnReport, ...] = ()
    ignored_columns: tuple[str, ...] = ()
    skipped: str = ""
    types: Mapping[str, int] = field(default_factory=dict)
    hints: tuple[str, ...] = ()
    strength: str = ""


def validate(
    name_or_path: Path | str,
    options: FormatOptions = DETECT,
    *,
    data_home: Path | None = None,
    min_value: float | None = None,
    types: Collection[str] | None = None,
) -> ValidationReport:
    """Read a file, a folder or a named data set as training would, and count.

    Bad rows are reported, however many there are.

    Args:
        name_or_path: see `load_dataset`, as for the others.
        options: what detection cannot see.
        data_home: where named data sets lie.
        min_value: least value of a positive.
        types: types of positives.

    Raises:
        DataError: the data are not there, or the file cannot be read at all.
    """
    name = str(name_or_path)
    if is_synthetic(name):
        made = load_dataset(name)
        return _report(name, _synthetic_reading(made.interactions, made.description))
    path = find_data_file(name, data_home or default_data_home())
    reading = read_interactions(
        path,
        options,
        min_value=min_value,
        types=types,
        max_bad=ANY_NUMBER,
    )
    return _report(str(path), reading, min_value)


def _synthetic_reading(interactions: Interactions, description: str) -> ReadResult:
    return ReadResult(
        interactions=interactions,
        path=Path(),
        description=description,
        n_rows=len(interactions),
        n_bad=0,
        bad_examples=(),
        n_below=0,
        n_other_types=0,
        n_duplicates=0,
        timestamp_unit="seconds",
    )


def _report(path: str, reading: ReadResult, min_value: float | None = None) -> ValidationReport:
    data = reading.interactions
    per_user = np.bincount(data.user_rows, minlength=data.n_users)
    per_item = data.popularity()
    times = data.timestamps
    return ValidationReport(
        path=path,
        format=reading.description,
        rows=reading.n_rows,
        bad_rows=reading.n_bad,
        bad_examples=reading.bad_examples,
        duplicates=reading.n_duplicates,
        below_min_value=reading.n_below,
        other_types=reading.n_other_types,
        users=data.n_users,
        items=data.n_items,
        interactions=len(data),
        density=len(data) / (data.n_users * data.n_items),
        users_with_one_item=int((per_user == 1).sum()),
        items_with_one_user=int((per_item == 1).sum()),
        median_items_per_user=float(np.median(per_user)),
        median_users_per_item=float(np.median(per_item)),
        value_range=None
        if data.values is None
        else (float(np.nanmin(data.values)), float(np.nanmax(data.values))),
        timestamp_unit=reading.timestamp_unit,
        first_timestamp=None if times is None else iso(int(times.min())),
        last_timestamp=None if times is None else iso(int(times.max())),
        data_hash=reading.data_hash,
        columns=reading.columns,
        ignored_columns=reading.ignored,
        skipped=reading.skipped,
        types=reading.types,
        hints=_hints(data, min_value),
        strength=reading.strength.reason,
    )


def _hints(data: Interactions, min_value: float | None) -> tuple[str, ...]:
    """Return what is probably not meant, and the option that changes it."""
    hints: list[str] = []
    values = data.values
    if values is not None and min_value is None:
        numbers = values[np.isfinite(values)]
        if n_negative := int((numbers < 0).sum()):
            hints.append(
                f"{n_negative:,} values are negative (-1 means 'seen, not rated' in some data) and "
                "count as positive interactions; --min-value 0 leaves them out"
            )
        rated = numbers[numbers >= 0]
        is_rating = len(rated) > 0 and len(np.unique(rated)) <= MOST_GRADES and rated.max() <= 10
        middle = float(rated.max() + rated.min()) / 2 if len(rated) else 0.0
        if is_rating and (n_low := int((rated < middle).sum())):
            hints.append(
                f"{n_low:,} ratings below {middle:g} count as positive interactions; "
                f"--min-value {middle:g} leaves them out"
            )
    return tuple(hints)
