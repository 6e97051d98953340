"""Read text files into polars frames of strings, with line numbers; every line is accounted for."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from hashrec.index.errors import DataError, EncodingError, shorten
from hashrec.index.reading.head import Head
from hashrec.index.reading.quotes import LINE_BREAK, Mended, malformed_lines, mend

# No text file has this separator, so each line becomes one column.
NO_SEPARATOR = "\x1f"
BLOCK_BYTES = 1 << 22  # of a file that is counted


def read_fields(
    head: Head,
    separator: str,
    n_fields: int,
    wanted: dict[str, int],
    *,
    has_header: bool = False,
    quoting: bool = True,
) -> pl.DataFrame:
    """Read columns of a delimited file.

    Args:
        head: the file.
        separator: one byte.
        n_fields: fields a line should have.
        wanted: name of a column in the result -> its position in the file.
        has_header: leave the first line with text out.
        quoting: whether a quote at the beginning of a field encloses it; else it is text.

    Returns:
        ``line`` and the columns wanted, as strings, null where a field is empty or missing;
        ``problem`` is set for lines with too many fields or with quotes that cannot be read. Lines
        without any text are left out.

    Raises:
        DataError: the file is not UTF-8.
    """
    n_before = head.n_before + has_header
    n_lines, has_quotes = _counted(head)
    layout = _Layout(separator, n_fields, wanted, quoting and has_quotes)
    if not layout.quoting:
        return _scanned(head, head.file, layout, n_before, n_lines)
    lines = _lazy(head.file, NO_SEPARATOR, ["text"], n_before, quoting=False)
    malformed = malformed_lines(lines, separator)
    if not len(malformed):
        return _scanned(head, head.file, layout, n_before, n_lines)
    with tempfile.TemporaryDirectory(prefix="hashrec-") as folder:
        target = Path(folder) / "mended"
        mended = mend(
            head.file,
            target,
            malformed,
            separator=separator,
            n_fields=n_fields,
            wanted=wanted.values(),
            n_before=n_before,
        )
        n_records = n_lines - n_before - int(mended.n_joined.sum())
        frame = _scanned(head, target, layout, 0, n_records)
    return _located(frame, mended, n_before)


@dataclass(frozen=True)
class _Layout:
    separator: str
    n_fields: int
    wanted: Mapping[str, int]
    quoting: bool


def read_lines(head: Head) -> pl.DataFrame:
    """Read a text as columns ``line`` and ``text``, without the blank lines."""
    return read_fields(head, NO_SEPARATOR, 1, {"text": 0}, quoting=False).drop("problem")


def _counted(head: Head) -> tuple[int, bool]:
    """Return the number of lines of a file, and whether it has a quote."""
    n_lines, has_quotes, last = 0, False, b"\n"
    with head.file.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            n_lines += block.count(b"\n")
            has_quotes = has_quotes or b'"' in block
            last = block[-1:]
    return n_lines + (last != b"\n"), has_quotes


def _lazy(
    file: Path, separator: str, fields: list[str], n_before: int, *, quoting: bool
) -> pl.LazyFrame:
    return pl.scan_csv(
        file,
        has_header=False,
        separator=separator,
        quote_char='"' if quoting else None,
        skip_lines=n_before,
        schema=dict.fromkeys(fields, pl.String),
        missing_columns="insert",
        extra_columns="ignore",
        truncate_ragged_lines=True,
        glob=False,
    )


def _scanned(head: Head, file: Path, layout: _Layout, n_before: int, n_lines: int) -> pl.DataFrame:
    """Parse a text each of whose records is one line, and check that none is lost.

    Returns:
        ``line``: number of the line, from 1.
    """
    n_fields, wanted = layout.n_fields, layout.wanted
    fields = [f"field_{position}" for position in range(n_fields + 1)]
    lazy = _lazy(file, layout.separator, fields, n_before, quoting=layout.quoting)
    lazy = lazy.with_row_index("line", offset=n_before + 1)
    too_many = pl.when(pl.col(fields[-1]).is_not_null()).then(
        pl.lit(f"more than {n_fields} fields")
    )
    columns = [pl.col(fields[position]).alias(name) for name, position in wanted.items()]
    frame = collect(head, lazy.select("line", *columns, too_many.alias("problem")))
    if n_before + frame.height != n_lines:
        raise DataError(
            f"{head.path}: {frame.height:,} rows read of {n_lines - n_before:,} lines; "
            "the file has a line that cannot be told apart: try --no-quoting"
        )
    is_empty = (
        pl.all_horizontal(_is_blank(pl.col(name)) for name in wanted) & pl.col("problem").is_null()
    )
    empty = frame.lazy().filter(is_empty).select("line").collect().get_column("line")
    if empty.len() and len(wanted) < n_fields:
        # the fields that nobody asked for may hold something: then the row is bad, not blank
        others = pl.all_horizontal(_is_blank(pl.col(name)) for name in fields)
        blank = collect(head, lazy.filter(others).select("line")).get_column("line")
        empty = empty.filter(empty.is_in(blank.implode()))
    return frame.filter(~pl.col("line").is_in(empty.implode())) if empty.len() else frame


def _is_blank(text: pl.Expr) -> pl.Expr:
    return text.is_null() | (text.str.strip_chars() == "")


def _located(frame: pl.DataFrame, mended: Mended, n_before: int) -> pl.DataFrame:
    """Number the rows of a rewritten text by the lines of the file, and name its bad rows."""
    records = frame.get_column("line").to_numpy().astype(np.int64) - 1
    lines = mended.lines(records) + n_before + 1
    if mended.problems:
        problems = pl.Series("problem", [mended.problems.get(i) for i in records.tolist()])
        frame = frame.with_columns(problem=pl.coalesce(problems, frame.get_column("problem")))
    texts = pl.selectors.string().exclude("problem")
    return frame.with_columns(
        pl.Series("line", lines, pl.UInt32),
        texts.str.replace_all(LINE_BREAK, "\n", literal=True),
    )


def collect(head: Head, lazy: pl.LazyFrame) -> pl.DataFrame:
    """Run a query over a file; errors of polars about bad input become one-line messages."""
    try:
        return lazy.collect()
    except pl.exceptions.PolarsError as error:
        if "utf-8" in str(error).lower():
            raise EncodingError(head.path) from error
        first_line = shorten(str(error).splitlines()[0], 120)
        raise DataError(f"{head.path}: cannot be read: {first_line}; correct the file") from error
    except OSError as error:
        raise DataError(f"{head.path}: cannot be read: {error}") from error
