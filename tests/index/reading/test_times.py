"""Timestamps come out in seconds, whatever they came in, or are refused with a reason."""

from __future__ import annotations

from datetime import date, datetime

import polars as pl
import pytest

from hashrec.index.errors import ConfigError
from hashrec.index.reading.times import to_times

MOMENT = 1_704_164_645  # 2024-01-02T03:04:05Z
MINUTE = 1_704_164_640  # 2024-01-02T03:04Z
MIDNIGHT = 1_704_153_600  # 2024-01-02T00:00:00Z


@pytest.mark.parametrize(
    ("written", "unit", "seconds"),
    [
        (MOMENT, "seconds", MOMENT),
        (MOMENT * 10**3 + 999, "milliseconds", MOMENT),
        (MOMENT * 10**6 + 999_999, "microseconds", MOMENT),
        (MOMENT * 10**9 + 999_999_999, "nanoseconds", MOMENT),
        ("1704164645.75", "seconds", MOMENT),
        ("1.704164645e9", "seconds", MOMENT),
        (" 1704164645 ", "seconds", MOMENT),
        ("2024-01-02T03:04:05Z", "ISO 8601", MOMENT),
        ("2024-01-02T03:04:05.678Z", "ISO 8601", MOMENT),
        ("2024-01-02T05:04:05+02:00", "ISO 8601", MOMENT),
        ("2024-01-02 05:04:05+0200", "ISO 8601", MOMENT),
        ("2024-01-02 05:04:05 +02:00", "ISO 8601", MOMENT),
        ("2024-01-02T03:04:05", "ISO 8601", MOMENT),
        ("2024-01-02 03:04:05", "ISO 8601", MOMENT),
        ("2024-01-02 03:04:05.5", "ISO 8601", MOMENT),
        ("2024-01-02 03:04:05 UTC", "ISO 8601", MOMENT),
        ("2024-01-02 03:04", "ISO 8601", MINUTE),
        ("2024/01/02 03:04:05", "ISO 8601", MOMENT),
        ("2024-01-02", "ISO 8601", MIDNIGHT),
        ("20240102", "dates such as 20210301", MIDNIGHT),
        (20240102, "dates such as 20210301", MIDNIGHT),
        ("20240102030405", "dates such as 20210301123000", MOMENT),
        (2024, "years", 1_704_067_200),
        ("202401", "months such as 202103", 1_704_067_200),
        ("20240102T030405Z", "ISO 8601", MOMENT),
        ("2024-01-02T03:04Z", "ISO 8601", MINUTE),
        ("Tue Jan 02 05:04:05 +0200 2024", "%a %b %d %H:%M:%S %z %Y", MOMENT),
        ("Tue, 02 Jan 2024 03:04:05 GMT", "%a, %d %b %Y %H:%M:%S%.f", MOMENT),
        ("Tue Jan  2 03:04:05 2024", "%a %b %d %H:%M:%S %Y", MOMENT),
        ("02-Jan-2024", "%d-%b-%Y", MIDNIGHT),
        ("January 2, 2024", "%B %d, %Y", MIDNIGHT),
        ("01 2, 2024", "%m %d, %Y", MIDNIGHT),
        ("13.01.2024 03:04", "%d.%m.%Y %H:%M", MINUTE + 11 * 86_400),
        ("1/13/2024 3:04 AM", "%m/%d/%Y %I:%M %p", MINUTE + 11 * 86_400),
        ("2/2/2024", "%d/%m/%Y", MIDNIGHT + 31 * 86_400),
        (datetime(2024, 1, 2, 3, 4, 5), "datetimes", MOMENT),
        (date(2024, 1, 2), "datetimes", MIDNIGHT),
    ],
)
def test_style_is_told_from_the_entries(written, unit, seconds):
    times = to_times(pl.Series([written]))
    assert (times.unit, times.seconds.to_list()) == (unit, [seconds])
    if not isinstance(written, datetime | date):
        times = to_times(pl.Series([str(written), None, "NULL", " "]))
        assert (times.unit, times.seconds.to_list()) == (unit, [seconds, None, None, None])
        assert times.missing.to_list() == [False, True, True, True]


def test_numbers_that_are_all_small_are_seconds_from_an_unknown_start():
    times = to_times(pl.Series(["0", "300", "17"]))
    assert times.unit == "seconds from an unknown start"
    assert times.seconds.to_list() == [0, 300, 17]


def test_entries_in_several_units_are_told_apart_by_their_size():
    times = to_times(pl.Series([MOMENT, MOMENT * 1000 + 5, MOMENT * 10**6]))
    assert times.unit == "microseconds and milliseconds and seconds"
    assert times.seconds.to_list() == [MOMENT] * 3


@pytest.mark.parametrize("implausible", ["0", "-1", "12345", "99999999999", "1e300", "yesterday"])
def test_what_cannot_be_a_time_among_times_is_none(implausible):
    times = to_times(pl.Series([str(MOMENT), str(MOMENT), str(MOMENT), implausible]))
    assert times.seconds.to_list() == [MOMENT] * 3 + [None]
    assert not times.missing.any()


def test_a_number_among_dates_is_none():
    times = to_times(pl.Series(["2024-01-02", "17", None, "2024-01-02", "2024-01-02"]))
    assert times.unit == "ISO 8601"
    assert times.seconds.to_list() == [MIDNIGHT, None, None, MIDNIGHT, MIDNIGHT]


def test_one_entry_tells_the_order_of_day_and_month_for_all():
    times = to_times(pl.Series(["1/2/2024", "13/2/2024"]))
    assert times.seconds.to_list() == [MIDNIGHT + 30 * 86_400, MIDNIGHT + 42 * 86_400]


def test_day_and_month_that_cannot_be_told_apart_are_refused_with_both_patterns():
    times = to_times(pl.Series(["1/2/2024", "3/2/2024"]))
    assert times.seconds.to_list() == [None, None]
    assert times.refused == (
        "day and month cannot be told apart; give --time-format '%d/%m/%Y' or '%m/%d/%Y'"
    )


def test_a_given_format_is_the_only_one():
    written = pl.Series(["1/2/2024", "2024-01-02", "100"])
    assert to_times(written, "%m/%d/%Y").seconds.to_list() == [MIDNIGHT, None, None]
    assert to_times(pl.Series([100, 5]), "seconds").seconds.to_list() == [100, 5]
    assert to_times(pl.Series(["7200000"]), "milliseconds").seconds.to_list() == [7200]


@pytest.mark.parametrize("time_format", ["hours", "ISO", "%Q", "%d.%m.%Y"])
def test_a_format_that_reads_no_entry_is_refused(time_format):
    with pytest.raises(ConfigError, match="time format"):
        to_times(pl.Series(["2024-01-02"]), time_format)


def test_words_are_no_times():
    times = to_times(pl.Series(["yesterday", "soon"]))
    assert (times.unit, times.seconds.to_list()) == ("text that is no time", [None, None])
