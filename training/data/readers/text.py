"""Read text files into polars frames of strings, with line numbers."""

from __future__ import annotations

import polars as pl

from hashrec.index.errors import DataError, shorten
from hashrec.training.data.readers.head import Head, damaged_gzip, not_utf8

# No text file has this separator, so each line becomes one column.
NO_SEPARATOR = "\x1f"


def read_fields(
    head: Head, separator: str, n_fields: int, wanted: dict[str, int], *, n_header: int = 0
) -> pl.DataFrame:
    """Read columns of a delimited file.

    Args:
        head: the file.
        separator: one byte.
        n_fields: fields a line should have.
        wanted: name of a column in the result -> its position in the file.
        n_header: lines before the first row.

    Returns:
        ``line`` and the columns wanted, as strings, null where a field is empty or missing;
        ``problem`` is set for lines with too many fields. Blank lines are left out.

    Raises:
        DataError: the file is damaged or not UTF-8, or a quote is never closed.
    """
    fields = [f"field_{position}" for position in range(n_fields + 1)]
    lazy = pl.scan_csv(
        head.path,
        has_header=False,
        separator=separator,
        quote_char=None if separator == NO_SEPARATOR else '"',
        skip_lines=n_header,
        schema=dict.fromkeys(fields, pl.String),
        missing_columns="insert",
        extra_columns="ignore",
        truncate_ragged_lines=True,
        row_index_name="line",
        row_index_offset=n_header + 1,
        glob=False,
    )
    columns = [pl.col(fields[position]).alias(name) for name, position in wanted.items()]
    too_many = (
        pl.when(pl.col(fields[-1]).is_not_null())
        .then(pl.lit(f"more than {n_fields} fields"))
        .alias("problem")
    )
    return collect(head, lazy.select("line", *columns, too_many)).filter(
        ~pl.all_horizontal(pl.exclude("line").is_null())
    )


def read_lines(head: Head) -> pl.DataFrame:
    """Read a text as columns ``line`` and ``text``, without the blank lines."""
    return read_fields(head, NO_SEPARATOR, 1, {"text": 0}).drop("problem")


def collect(head: Head, lazy: pl.LazyFrame) -> pl.DataFrame:
    """Run a query over a file; errors of polars about bad input become one-line messages."""
    try:
        return lazy.collect()
    except pl.exceptions.PolarsError as error:
        if "utf-8" in str(error).lower():
            raise not_utf8(head.path) from error
        if "could not parse" in str(error):
            raise DataError(
                f"{head.path}: a quoted field never ends; close the quote or double it"
            ) from error
        first_line = shorten(str(error).splitlines()[0], 120)
        raise DataError(f"{head.path}: cannot be read: {first_line}; correct the file") from error
    except OSError as error:
        if head.gzipped:
            raise damaged_gzip(head.path) from error
        raise DataError(f"{head.path}: cannot be read: {error}") from error
