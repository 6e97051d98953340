"""Timestamps come out in seconds, whatever they came in."""

from __future__ import annotations

from datetime import date, datetime

import polars as pl
import pytest

from hashrec.training.data.timestamps import to_seconds

MOMENT = 1_704_164_645  # 2024-01-02T03:04:05Z
MIDNIGHT = 1_704_153_600  # 2024-01-02T00:00:00Z


@pytest.mark.parametrize(
    ("written", "unit", "seconds"),
    [
        (MOMENT, "seconds", MOMENT),
        (MOMENT * 10**3 + 999, "milliseconds", MOMENT),
        (MOMENT * 10**6 + 999_999, "microseconds", MOMENT),
        (MOMENT * 10**9 + 999_999_999, "nanoseconds", MOMENT),
        (0, "seconds", 0),
        (-5, "seconds", -5),
        ("1704164645.75", "seconds", MOMENT),
        ("1.704164645e9", "seconds", MOMENT),
        ("2024-01-02T03:04:05Z", "ISO 8601", MOMENT),
        ("2024-01-02T03:04:05.678Z", "ISO 8601", MOMENT),
        ("2024-01-02T05:04:05+02:00", "ISO 8601", MOMENT),
        ("2024-01-02T03:04:05", "ISO 8601", MOMENT),
        ("2024-01-02 03:04:05", "ISO 8601", MOMENT),
        ("2024-01-02 03:04:05.5", "ISO 8601", MOMENT),
        ("2024-01-02", "ISO 8601", MIDNIGHT),
        (datetime(2024, 1, 2, 3, 4, 5), "datetimes", MOMENT),
        (date(2024, 1, 2), "datetimes", MIDNIGHT),
    ],
)
def test_unit_is_told_from_the_numbers(written, unit, seconds):
    converted, found = to_seconds(pl.Series([written]))
    assert found == unit
    assert converted.to_list() == [seconds]
    if not isinstance(written, datetime | date):
        converted, found = to_seconds(pl.Series([str(written)]))
        assert (found, converted.to_list()) == (unit, [seconds])


def test_most_rows_decide_the_unit_and_the_others_are_null():
    converted, unit = to_seconds(pl.Series(["2024-01-02", "17", None, "2024-01-02", "2024-01-02"]))
    assert unit == "ISO 8601"
    assert converted.to_list() == [MIDNIGHT, None, None, MIDNIGHT, MIDNIGHT]
    converted, unit = to_seconds(
        pl.Series(["100", "yesterday", None, "nan", "300", "200", "1e300"])
    )
    assert unit == "seconds"
    assert converted.to_list() == [100, None, None, None, 300, 200, None]


def test_a_lone_zero_does_not_hide_milliseconds():
    converted, unit = to_seconds(pl.Series([0, MOMENT * 1000, MOMENT * 1000 + 1000]))
    assert unit == "milliseconds"
    assert converted.to_list() == [0, MOMENT, MOMENT + 1]
