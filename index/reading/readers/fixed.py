"""Files without a header and with a known column order: MovieLens, Amazon and others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import polars as pl

from hashrec.index.reading.columns import Vocabulary
from hashrec.index.reading.head import Head, Kind
from hashrec.index.reading.options import FormatOptions
from hashrec.index.reading.readers.delimited import delimited
from hashrec.index.reading.readers.reader import Table
from hashrec.index.reading.text import read_lines

# March 1973: every timestamp is later, and ratings and counts are smaller numbers.
EARLIEST_SECONDS = 100_000_000


@dataclass(frozen=True)
class FixedReader:
    """A file without a header and with a known column order.

    Attributes:
        title: name of the format in messages.
        order: role of each column.
        separator: one character, or several (read as one column and split).
        detect: whether files are recognised by their content; a format that looks like another one
            is read only if `--preset` names it.
    """

    kind: ClassVar[Kind] = "text"
    takes_columns: ClassVar[bool] = False
    title: str
    order: tuple[str, ...]
    separator: str
    detect: bool = True

    def recognises(self, head: Head, vocabulary: Vocabulary) -> bool:
        """Tell whether the first lines have these fields, the last two a rating and a Unix time."""
        if not self.detect or head.kind != "text" or "value" not in vocabulary.roles:
            return False
        lines = [line.split(self.separator) for line in head.lines[:20]]
        return any(
            len(fields) == len(self.order)
            and _is_number(fields[2])
            and fields[3].strip().isdecimal()
            and int(fields[3]) >= EARLIEST_SECONDS
            for fields in lines
        )

    def open(self, head: Head, options: FormatOptions) -> Table:  # noqa: ARG002
        """Return the columns by their numbers."""
        names = [str(position + 1) for position in range(len(self.order))]
        roles = dict(zip(self.order, names, strict=True))
        if len(self.separator) > 1:
            return Table(self.title, tuple(names), lambda wanted: self._split(head, wanted), roles)
        table = delimited(head, self.title, names, self.separator, has_header=False, quoting=False)
        return replace(table, roles=roles)

    def _split(self, head: Head, wanted: Mapping[str, str]) -> pl.DataFrame:
        n_fields = len(self.order)
        fields = (
            read_lines(head)
            .select("line", pl.col("text").str.split_exact(self.separator, n_fields))
            .unnest("text")
        )
        too_many = pl.when(pl.col(f"field_{n_fields}").is_not_null()).then(
            pl.lit(f"more than {n_fields} fields")
        )
        return fields.select(
            "line",
            *(pl.col(f"field_{int(name) - 1}").alias(result) for result, name in wanted.items()),
            too_many.alias("problem"),
        )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
