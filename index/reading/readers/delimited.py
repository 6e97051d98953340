"""Files with a header and a separator: CSV, TSV, MovieLens CSV, RecBole's atomic files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import polars as pl

from hashrec.index.reading.columns import Vocabulary
from hashrec.index.reading.head import Head, Kind
from hashrec.index.reading.options import NO_COLUMN, FormatOptions
from hashrec.index.reading.quotes import split
from hashrec.index.reading.readers.reader import Table
from hashrec.index.reading.text import read_fields

SEPARATORS = {
    ",": "CSV",
    "\t": "TSV",
    ";": "CSV with semicolons",
    "|": "CSV with bars",
    " ": "columns",
}
SAMPLED_LINES = 20
ROW_NAMES = "row names"  # of a column without a header, as R writes it


@dataclass(frozen=True)
class HeaderReader:
    """A delimited file whose first line names the columns.

    If the user maps column numbers (``user=1,item=2``), the file has no header.
    """

    kind: ClassVar[Kind] = "text"
    takes_columns: ClassVar[bool] = True

    def recognises(self, head: Head, vocabulary: Vocabulary) -> bool:
        """Tell whether the first line names a column of every required role."""
        return head.kind == "text" and vocabulary.recognises(
            [*_fields(head.lines[0], separator_of(head, None)), *head.constants]
        )

    def open(self, head: Head, options: FormatOptions) -> Table:
        """Find the columns; the separator is the most frequent one of the first line."""
        separator = separator_of(head, options.separator)
        split_line = _fields if options.quoting else str.split
        names = [name.strip() for name in split_line(head.lines[0], separator)]
        chosen = set(options.columns.values()) - {NO_COLUMN, *head.constants}
        has_header = not chosen or not all(map(str.isdecimal, chosen)) or chosen <= set(names)
        if not has_header:
            names = [str(position + 1) for position in range(len(names))]
        elif _has_row_names(head, separator, len(names)):
            names = [ROW_NAMES, *names]
        title = SEPARATORS.get(separator, f"columns separated by {separator!r}")
        return delimited(
            head, title + ("" if has_header else " without header"), names, separator,
            has_header=has_header, quoting=options.quoting,
        )  # fmt: skip


@dataclass(frozen=True)
class RecBoleReader:
    """RecBole's atomic files: tab-separated, a typed header (``user_id:token``)."""

    kind: ClassVar[Kind] = "text"
    takes_columns: ClassVar[bool] = True

    def recognises(self, head: Head, vocabulary: Vocabulary) -> bool:  # noqa: ARG002
        """Tell whether every name of a tab-separated first line carries a type."""
        return (
            head.kind == "text"
            and all(":" in name for name in head.lines[0].split("\t"))
            and "\t" in head.lines[0]
        )

    def open(self, head: Head, options: FormatOptions) -> Table:  # noqa: ARG002
        """Find the columns; their names are used without their type."""
        names = [name.rpartition(":")[0].strip() for name in head.lines[0].split("\t")]
        return delimited(head, "RecBole atomic file", names, "\t", has_header=True, quoting=False)


def delimited(
    head: Head, title: str, names: list[str], separator: str, *, has_header: bool, quoting: bool
) -> Table:
    """Return the table of a delimited text with these columns."""

    def read(wanted: Mapping[str, str]) -> pl.DataFrame:
        positions = {result: names.index(name) for result, name in wanted.items()}
        return read_fields(
            head, separator, len(names), positions, has_header=has_header, quoting=quoting
        )

    return Table(title, tuple(names), read)


def separator_of(head: Head, chosen: str | None) -> str:
    """Return the separator of a text: the user's, the file's own word, or the most frequent one."""
    line = head.lines[0]
    return chosen or head.separator or max(SEPARATORS, key=line.count)


def _fields(line: str, separator: str) -> list[str]:
    fields = split(line, separator)
    return line.split(separator) if fields is None else fields


def _has_row_names(head: Head, separator: str, n_names: int) -> bool:
    rows = [_fields(line, separator) for line in head.lines[1 : SAMPLED_LINES + 1]]
    return len(rows) > 1 and all(len(row) == n_names + 1 and row[-1] for row in rows)
