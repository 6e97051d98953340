"""Convert columns to numbers as people write them."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

# Words for a missing entry, in lower case.
NO_VALUE = ("", "null", "none", "na", "n/a", "nan", "\\n", "-", "undefined", "nil", "<na>", "nat")
DECIMAL_COMMA = r"^[+-]?\d+,\d+$"
NUMBER_WITH_COMMA = r"^[+-]?(\d+|\d{1,3}(\.\d{3})+)(,\d+)?$"
THOUSANDS = r"^[+-]?\d{1,3}(,\d{3})+$"


@dataclass(frozen=True, eq=False)
class Numbers:
    """A column as numbers.

    Attributes:
        column: Float64, null where an entry is missing or is no finite number.
        missing: Boolean, the entries that are missing.
        assumed: what was taken for granted, for the user to read; empty for nothing.
    """

    column: pl.Series
    missing: pl.Series
    assumed: str = ""


def is_missing(column: pl.Series) -> pl.Series:
    """Tell which entries are null, blank or a word for a missing value."""
    if column.dtype != pl.String:
        missing = column.is_null()
        return missing | column.is_nan().fill_null(True) if column.dtype.is_float() else missing
    text = column.str.strip_chars().str.to_lowercase()
    return text.is_null() | text.is_in(list(NO_VALUE)).fill_null(True)


def to_numbers(column: pl.Series, decimal: str | None = None) -> Numbers:
    """Convert a column of text or numbers.

    Args:
        column: String or numeric.
        decimal: mark between the digits, `.` or `,`; None takes commas for it if every entry that
            is not a number otherwise is one with a comma, and not all look like thousands.
    """
    if decimal != ",":  # most columns are whole, and told so quickly
        numbers = column.cast(pl.Float64, strict=False)
        if not numbers.null_count() and numbers.is_finite().all():
            return Numbers(numbers, numbers.is_null())
    missing = is_missing(column)
    if column.dtype != pl.String:
        return Numbers(_finite(column.cast(pl.Float64, strict=False)), missing)
    text = column.str.strip_chars()
    if decimal == ",":
        text = text.set(~text.str.contains(NUMBER_WITH_COMMA).fill_null(False), None)
        swapped = text.str.replace_all(".", "", literal=True).str.replace(",", ".", literal=True)
        return Numbers(_finite(swapped.cast(pl.Float64, strict=False)), missing)
    numbers = _finite(text.cast(pl.Float64, strict=False))
    if decimal is None:
        others = text.filter(numbers.is_null() & ~missing)
        if (
            others.len()
            and others.str.contains(DECIMAL_COMMA).all()
            and not others.str.contains(THOUSANDS).all()
        ):
            found = to_numbers(column, ",")
            return Numbers(found.column, missing, "decimal commas")
    return Numbers(numbers, missing)


def _finite(numbers: pl.Series) -> pl.Series:
    return numbers.set(~numbers.is_finite().fill_null(True), None)
