"""Counts of a data file or a named data set, for `hashrec data validate`."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from hashrec.training.data.catalogue import (
    default_data_home,
    find_data_file,
    is_synthetic,
    load_dataset,
)
from hashrec.training.data.interactions import Interactions
from hashrec.training.data.reading import ReadResult, read_interactions

# More than the rows of any file: a report counts all bad rows.
ANY_NUMBER = 2**62


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


def validate(
    name_or_path: Path | str,
    *,
    data_home: Path | None = None,
    preset: str | None = None,
    columns: Mapping[str, str] | None = None,
    min_value: float | None = None,
    types: Collection[str] | None = None,
) -> ValidationReport:
    """Read a file, a folder or a named data set as training would, and count.

    Bad rows are reported, however many there are.

    Args:
        name_or_path: see `load_dataset`, as for `data_home`.
        data_home: where named data sets lie.
        preset: see `read_interactions`, as for the next three.
        columns: role -> column.
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
        preset=preset,
        columns=columns,
        min_value=min_value,
        types=types,
        max_bad=ANY_NUMBER,
    )
    return _report(str(path), reading)


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


def _report(path: str, reading: ReadResult) -> ValidationReport:
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
        else (float(data.values.min()), float(data.values.max())),
        timestamp_unit=reading.timestamp_unit,
        first_timestamp=None if times is None else _iso(int(times.min())),
        last_timestamp=None if times is None else _iso(int(times.max())),
        data_hash=reading.data_hash,
    )


def _iso(seconds: int) -> str:
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError, OSError):
        return f"{seconds} seconds, which is not a date"
