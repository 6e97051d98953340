"""Convert timestamps of any usual unit or style to seconds since 1970 UTC."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import polars as pl

from hashrec.index.errors import ConfigError
from hashrec.index.reading.numbers import is_missing

# The least number read in each unit: a date after 1973 in that unit, and after the year 5000 in the
# next coarser one. Smaller numbers are not dates.
UNITS = (
    (1e17, "nanoseconds", 10**9),
    (1e14, "microseconds", 10**6),
    (1e11, "milliseconds", 1000),
    (1e8, "seconds", 1),
)
DIVISORS = {unit: divisor for _, unit, divisor in UNITS}
LATEST = 4_102_444_800  # the year 2100: no interaction is later
# Dates written as numbers: the first and the last one, what they lack, and their pattern.
WRITTEN_AS_NUMBERS = (
    (1900, 2100, "0101", "%Y%m%d", "years"),
    (1900_01, 2100_12, "01", "%Y%m%d", "months such as 202103"),
    (1900_01_01, 2100_12_31, "", "%Y%m%d", "dates such as 20210301"),
    (1900_01_01_00_00_00, 2100_12_31_23_59_59, "", "%Y%m%d%H%M%S", "dates such as 20210301123000"),
)
NO_TIME = "0001-01-01T00:00:00Z"  # what Gorse writes without a time
SAMPLE = 1_000  # entries by which the styles are found

ISO = ("%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d")
DAY_FIRST = ("%d/%m/%Y", "%d.%m.%Y", "%d-%m-%Y", "%d/%m/%y", "%d.%m.%y")
MONTH_FIRST = ("%m/%d/%Y", "%m.%d.%Y", "%m-%d-%Y", "%m/%d/%y", "%m.%d.%y")
IN_WORDS = (
    "%d-%b-%Y", "%d %b %Y", "%d %b, %Y", "%b %d, %Y", "%B %d, %Y", "%d %B %Y", "%d-%b-%y",
    "%a, %d %b %Y", "%m %d, %Y",
)  # fmt: skip
CLOCKS = ("", "%H:%M:%S%.f", "%H:%M", "%I:%M:%S %p", "%I:%M %p")
# ctime, web server logs, ISO 8601 without dashes
WHOLE = ("%a %b %d %H:%M:%S %Y", "%d/%b/%Y:%H:%M:%S", "%Y%m%dT%H%M%S")
WITH_ZONE = (
    "%Y-%m-%d %H:%M:%S%.f%z", "%Y-%m-%d %H:%M:%S%.f %z", "%Y-%m-%dT%H:%M:%S%.f%z",
    "%a %b %d %H:%M:%S %z %Y", "%a, %d %b %Y %H:%M:%S %z", "%d/%b/%Y:%H:%M:%S %z",
)  # fmt: skip
UTC_SUFFIX = r"\s*(UTC|GMT|Z|z)$"


@dataclass(frozen=True, eq=False)
class Times:
    """A column as times.

    Attributes:
        seconds: Int64, null where an entry is missing, unreadable or no plausible time.
        missing: Boolean, the entries that are missing.
        unit: how they are written: units of numbers, "ISO 8601", "datetimes" or a pattern.
        refused: why all entries are refused; empty if they are not.
    """

    seconds: pl.Series
    missing: pl.Series
    unit: str
    refused: str = ""


def to_times(column: pl.Series, time_format: str | None = None) -> Times:
    """Convert a column to seconds since 1970.

    Numbers are dates such as 20210301, years, or times since 1970, each in the unit that makes it a
    date after 1973. If all of them are too small for that they are seconds from an unknown start.
    Texts are dates in a usual style; without a zone they are UTC.

    Args:
        column: String, numeric, Date or Datetime.
        time_format: a unit or a pattern; None detects it, see `FormatOptions`.

    Raises:
        ConfigError: the pattern is not one of strftime.
    """
    if column.dtype.is_temporal() and not isinstance(column.dtype, pl.Duration | pl.Time):
        seconds = column.cast(pl.Datetime("us")).dt.epoch("s")
        return Times(seconds, column.is_null(), "datetimes")
    if time_format is None and (seconds := _plain_seconds(column)) is not None:
        return Times(seconds, seconds.is_null(), "seconds")
    missing = is_missing(column)
    if column.dtype == pl.String:
        column = column.str.strip_chars()
        missing = missing | (column == NO_TIME).fill_null(False)
    column = column.set(missing, None)
    if time_format is not None:
        return _formatted(column, missing, time_format)
    if column.dtype != pl.String:
        return _of_numbers(column, missing)
    numbers = column.cast(pl.Float64, strict=False)
    if numbers.drop_nulls().len() * 2 >= (~missing).sum():
        return _of_numbers(column, missing)
    return _of_texts(column, missing)


def _plain_seconds(column: pl.Series) -> pl.Series | None:
    """Return a column of whole seconds, the most frequent case, quickly; None for another one."""
    whole = column.cast(pl.Int64, strict=False)
    if whole.null_count() or (column.dtype.is_float() and (whole != column).any()):
        return None
    is_plain = len(whole) and whole.is_between(UNITS[-1][0], LATEST).all()
    return whole if is_plain else None


def with_fractions(column: pl.Series, seconds: pl.Series) -> pl.Series:
    """Give seconds the fractions of numbers that are written in seconds.

    Args:
        column: as it is written, see `to_times`.
        seconds: what `to_times` made of it.

    Returns:
        Float64.
    """
    if column.dtype.is_temporal():
        return seconds.cast(pl.Float64)
    number = pl.col("written").cast(pl.Float64, strict=False)
    is_seconds = number.is_between("seconds", pl.col("seconds") + 1, closed="left")
    frame = pl.DataFrame({"written": column, "seconds": seconds})
    exact = pl.when(is_seconds).then(number).otherwise(pl.col("seconds").cast(pl.Float64))
    return frame.select(exact.alias(column.name)).to_series()


def _formatted(column: pl.Series, missing: pl.Series, time_format: str) -> Times:
    if time_format in DIVISORS:
        return Times(_whole(column) // DIVISORS[time_format], missing, time_format)
    if "%" not in time_format:
        raise ConfigError(
            f"time format {time_format!r}: give {', '.join(DIVISORS)}, or a pattern such as "
            "%Y-%m-%d"
        )
    seconds = _parsed(column.cast(pl.String), time_format)
    if seconds.null_count() == len(seconds) and not missing.all():
        example = column.drop_nulls().first()
        raise ConfigError(
            f"time format {time_format!r} reads no timestamp, for example {example!r}"
        )
    return Times(seconds, missing, time_format)


def _of_numbers(column: pl.Series, missing: pl.Series) -> Times:
    whole = _whole(column)
    for earliest, latest, padding, pattern, unit in WRITTEN_AS_NUMBERS:
        within = whole.is_between(earliest, latest)
        if within.any() and within.fill_null(True).all():
            text = whole.cast(pl.String) + pl.Series([padding])
            return Times(_parsed(text, pattern), missing, unit)
    numbers = column.cast(pl.Float64, strict=False)
    numbers = numbers.set(~numbers.is_finite().fill_null(True), None)
    least_seconds = UNITS[-1][0]
    if numbers.is_between(0, least_seconds, closed="left").all() and numbers.null_count() < len(
        numbers
    ):
        return Times(whole, missing, "seconds from an unknown start")
    seconds: pl.Series | None = None
    units: list[str] = []
    for least, unit, divisor in UNITS:
        within = (numbers >= least).fill_null(False) & whole.is_not_null()
        if seconds is not None:
            within = within & seconds.is_null()
        if within.any():
            converted = (whole // divisor).set(~within, None)
            seconds = converted if seconds is None else seconds.fill_null(converted)
            units.append(unit)
    if seconds is None:
        return Times(whole.clear(len(whole)), missing, "numbers that are no times")
    plausible = seconds.set((seconds > LATEST).fill_null(False), None)
    return Times(plausible, missing, " and ".join(units))


def _whole(column: pl.Series) -> pl.Series:
    """Round down to integers, not by way of floats, which cannot hold nanoseconds."""
    floats = column.cast(pl.Float64, strict=False)
    floats = floats.set(~floats.is_finite().fill_null(True), None)
    return column.cast(pl.Int64, strict=False).fill_null(
        floats.floor().cast(pl.Int64, strict=False)
    )


def _of_texts(column: pl.Series, missing: pl.Series) -> Times:
    reading = _Reading(column)
    for pattern in (
        *(f"{day}T{clock}" for day in ISO for clock in CLOCKS[1:3]),
        *_with_clocks(ISO),
    ):
        reading.extend(pattern)
    for pattern in ("%+", *WITH_ZONE, *_with_clocks(IN_WORDS), *WHOLE):
        reading.extend(pattern)
    day_first, month_first = (reading.extended(days) for days in (DAY_FIRST, MONTH_FIRST))
    if day_first.n_left != month_first.n_left:
        reading = min(day_first, month_first, key=lambda found: found.n_left)
    elif (day_first.seconds != month_first.seconds).any():
        refused = (
            "day and month cannot be told apart; give --time-format "
            f"{day_first.used[-1]!r} or {month_first.used[-1]!r}"
        )
        return Times(reading.seconds, missing, "dates", refused)
    else:
        reading = day_first
    unit = " and ".join(reading.used) or "text that is no time"
    if reading.used and all(pattern.startswith(("%Y", "%+")) for pattern in reading.used):
        unit = "ISO 8601"
    plausible = reading.seconds.set((reading.seconds > LATEST).fill_null(False), None)
    return Times(plausible, missing, unit)


class _Reading:
    """Texts as seconds, as far as the patterns so far have read them."""

    def __init__(self, text: pl.Series) -> None:
        self._text = text
        self._without_zone = text.str.replace(UTC_SUFFIX, "").str.replace_all(r"\s+", " ")
        self.seconds = pl.Series(text.name, [None] * len(text), dtype=pl.Int64)
        self.used: list[str] = []

    @property
    def n_left(self) -> int:
        """Entries that no pattern has read, missing ones included."""
        return self.seconds.null_count()

    def extend(self, pattern: str) -> None:
        """Read more entries."""
        if self.n_left == self._text.null_count():
            return
        source = self._text if "%z" in pattern or pattern == "%+" else self._without_zone
        left = source.set(self.seconds.is_not_null(), None)
        sample = left.drop_nulls()
        sample = sample.gather_every(max(1, len(sample) // SAMPLE))
        if _parsed(sample, pattern).null_count() < len(sample):
            self.seconds = self.seconds.fill_null(_parsed(left, pattern))
            self.used.append(pattern)

    def extended(self, days: Iterable[str]) -> _Reading:
        """Return a copy that has read dates in these orders, too."""
        copy = _Reading(self._text)
        copy.seconds, copy.used = self.seconds, [*self.used]
        for pattern in _with_clocks(days):
            copy.extend(pattern)
        return copy


def _with_clocks(days: Iterable[str]) -> list[str]:
    return [f"{day} {clock}".strip() for day in days for clock in CLOCKS]


def _parsed(text: pl.Series, pattern: str) -> pl.Series:
    """Parse texts; null where the pattern does not read one.

    Raises:
        ConfigError: the pattern is not one of strftime.
    """
    try:
        if "%z" in pattern or pattern == "%+":
            zoned = text.str.to_datetime(pattern, time_unit="us", time_zone="UTC", strict=False)
            return zoned.dt.epoch("s")
        if any(mark in pattern for mark in ("%H", "%I", "%T", "%R", "%s")):
            return text.str.to_datetime(pattern, time_unit="us", strict=False).dt.epoch("s")
        return text.str.to_date(pattern, strict=False).cast(pl.Datetime("us")).dt.epoch("s")
    except pl.exceptions.PolarsError as error:
        raise ConfigError(
            f"time format {pattern!r}: not a pattern of strftime, such as '%Y-%m-%d %H:%M:%S'"
        ) from error
