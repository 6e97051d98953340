"""Files in the shapes of public bug reports, kept beside the project: each is read or refused."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from hashrec.index.errors import DataError
from hashrec.index.reading.options import FormatOptions
from hashrec.training.data.reading import ReadResult, read_interactions


def gaps(reading: ReadResult, role: str) -> tuple[int, int]:
    column = next(each for each in reading.columns if each.role == role)
    return column.n_missing, column.n_unreadable


@pytest.mark.parametrize(
    ("name", "n_rows", "n_pairs"),
    [
        ("stray-quotes/inch-small.csv", 40, 40),
        ("stray-quotes/inch-two.csv", 300, 298),
        ("stray-quotes/inch-one.csv", 20_000, 17_040),
        ("stray-quotes/inch-many.csv", 20_000, 16_999),
        ("stray-quotes/open-pair.csv", 300, 300),
        ("stray-quotes/backslash.csv", 300, 299),
        ("hive-partitions/data", 402, 301),
        ("compact-dates/r.csv", 400, 400),
        ("mixed-units/r.csv", 400, 400),
        ("slash-dates/r.csv", 400, 400),
        ("goodreads-dates/r.csv", 400, 400),
        ("partial-timestamps/r.csv", 400, 400),
        ("event-log-with-rating/events.csv", 400, 346),
        ("import-ignores-time/events.csv", 400, 400),
        ("decimal-comma/r.csv", 400, 400),
        ("r-write-table/r.txt", 400, 400),
        ("cr-line-ends/r.csv", 400, 400),
        ("utf16/r.csv", 400, 400),
        ("zip/r.zip", 400, 400),
        ("folder-leftovers/spark", 402, 402),
        ("folder-leftovers/int32-and-int64", 804, 402),
    ],
)
def test_every_row_of_a_case_is_read(shared_cases, name, n_rows, n_pairs):
    reading = read_interactions(shared_cases(name))
    assert (reading.n_rows, len(reading.interactions), reading.n_bad) == (n_rows, n_pairs, 0)


@pytest.mark.parametrize(
    ("name", "first", "last"),
    [
        ("compact-dates/r.csv", "2021-01-01", "2021-12-28"),
        ("mixed-units/r.csv", "2020-09-13", "2020-09-13"),
        ("slash-dates/r.csv", "2021-01-01", "2021-12-28"),
        ("goodreads-dates/r.csv", "2017-07-30", "2017-07-30"),
        ("import-ignores-time/events.csv", "2019-10-01", "2019-10-28"),
    ],
)
def test_times_of_a_case_are_those_that_were_meant(shared_cases, name, first, last):
    times = read_interactions(shared_cases(name)).interactions.timestamps
    assert times is not None
    days = [
        datetime.fromtimestamp(int(t), UTC).date().isoformat() for t in (times.min(), times.max())
    ]
    assert days == [first, last]


def test_gaps_are_counted(shared_cases):
    assert gaps(read_interactions(shared_cases("partial-timestamps/r.csv")), "timestamp") == (40, 0)
    assert gaps(read_interactions(shared_cases("event-log-with-rating/events.csv")), "value") == (
        350,
        0,
    )


def test_decimal_commas_are_numbers(shared_cases):
    values = read_interactions(shared_cases("decimal-comma/r.csv")).interactions.values
    assert values is not None
    assert set(values.tolist()) == {1.5, 2.5, 3.5, 4.5}


@pytest.mark.parametrize("name", ["triples", "big-log", "reltime"])
def test_columns_without_names_are_no_lists(shared_cases, name):
    path = shared_cases(f"lists-misread/{name}.txt")
    with pytest.raises(DataError, match=r"without a header.*--map user=1,item=2"):
        read_interactions(path)
    columns = {"user": "1", "item": "2", "value": "3"}
    reading = read_interactions(path, FormatOptions(columns=columns))
    assert reading.n_rows == len(path.read_text().splitlines())
    assert reading.interactions.values is not None


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("folder-leftovers/empty-file", r"b\.parquet: an empty file"),
        ("uncaught-parquet/duration.parquet", r"'time' for timestamp holds Duration"),
        ("uncaught-parquet/list-value.parquet", r"'rating' for value holds List"),
        ("python-literal/reviews.json", r"line 1 is not JSON \(Python notation\?\)"),
        ("zip/r.xlsx", r"damaged Excel workbook"),
    ],
)
def test_what_cannot_be_read_is_named(shared_cases, name, says):
    with pytest.raises(DataError, match=says) as refused:
        read_interactions(shared_cases(name))
    assert "\n" not in str(refused.value)


def test_a_column_that_cannot_be_read_can_be_left_out(shared_cases):
    for name, role in (("duration", "timestamp"), ("list-value", "value")):
        path = shared_cases(f"uncaught-parquet/{name}.parquet")
        reading = read_interactions(path, FormatOptions(columns={role: "-"}))
        assert role not in [column.role for column in reading.columns]
