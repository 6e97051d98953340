"""Convert timestamps of any usual unit or format to seconds since 1970 UTC."""

from __future__ import annotations

import polars as pl

# The least number read in each unit: a date after 1973 in that unit, and after the year 5000 in the
# next coarser one.
UNITS = ((1e17, "nanoseconds", 10**9), (1e14, "microseconds", 10**6), (1e11, "milliseconds", 1000))
DATE_TIME_FORMATS = ("%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f")


def to_seconds(column: pl.Series) -> tuple[pl.Series, str]:
    """Convert a column to seconds; the median decides its unit.

    Args:
        column: String (numbers, or ISO 8601, UTC by default), numeric, Date or Datetime.

    Returns:
        Int64 seconds, null for invalid entries, and the name of the unit.
    """
    if column.dtype.is_temporal():
        return column.cast(pl.Datetime("us")).dt.epoch("s"), "datetimes"
    numbers = column.cast(pl.Float64, strict=False)
    numbers = numbers.set(~numbers.is_finite().fill_null(True), None)
    if column.dtype == pl.String and numbers.null_count() > column.null_count() + len(column) // 2:
        return _parse_iso(column), "ISO 8601"
    middle = numbers.median()
    size = abs(middle) if isinstance(middle, int | float) else 0.0
    for least, unit, divisor in UNITS:
        if size >= least:
            # integers are divided as integers: a float cannot hold nanoseconds
            whole = column.cast(pl.Int64, strict=False)
            return whole.fill_null(numbers.cast(pl.Int64, strict=False)) // divisor, unit
    return numbers.floor().cast(pl.Int64, strict=False), "seconds"


def _parse_iso(text: pl.Series) -> pl.Series:
    text_column = pl.col("text")
    with_offset = text_column.str.to_datetime("%+", time_unit="us", time_zone="UTC", strict=False)
    naive = [
        text_column.str.to_datetime(pattern, time_unit="us", strict=False)
        for pattern in DATE_TIME_FORMATS
    ]
    date = text_column.str.to_date("%Y-%m-%d", strict=False).cast(pl.Datetime("us"))
    parsed = pl.coalesce(
        with_offset.dt.epoch("s"), *(t.dt.epoch("s") for t in naive), date.dt.epoch("s")
    )
    return text.to_frame("text").select(parsed.alias("timestamp")).to_series()
