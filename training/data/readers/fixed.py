"""Files without a header and with a known column order: MovieLens and Amazon."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import polars as pl

from hashrec.index.errors import DataError
from hashrec.training.data.readers.columns import describe
from hashrec.training.data.readers.head import Head, Kind
from hashrec.training.data.readers.reader import Table
from hashrec.training.data.readers.text import read_fields, read_lines

# March 1973: every timestamp is later, and ratings and counts are smaller numbers.
EARLIEST_SECONDS = 100_000_000


@dataclass(frozen=True)
class FixedReader:
    """A file without a header and with a known column order.

    Attributes:
        title: name of the format in messages.
        roles: the role of each column.
        separator: one character, or several (read as one column and split).
        detect: whether files are recognised by their content; a format that looks like another one
            is read only if `--preset` names it.
    """

    kind: ClassVar[Kind] = "text"
    takes_columns: ClassVar[bool] = False
    title: str
    roles: tuple[str, ...]
    separator: str
    detect: bool = True

    def recognises(self, head: Head) -> bool:
        """Tell whether the first lines have these fields, the last two a rating and a Unix time."""
        if not self.detect or head.kind != "text":
            return False
        lines = [line.split(self.separator) for line in head.lines[:20]]
        return any(
            len(fields) == len(self.roles)
            and _is_number(fields[2])
            and fields[3].strip().isdecimal()
            and int(fields[3]) >= EARLIEST_SECONDS
            for fields in lines
        )

    def read(self, head: Head, columns: Mapping[str, str]) -> Table:
        """Read the file; its columns cannot be mapped."""
        if columns:
            raise DataError(
                f"{head.path}: {self.title} has no named columns ({describe(columns)}); "
                "leave the mapping out, or name the format with --preset csv"
            )
        wanted = {role: position for position, role in enumerate(self.roles)}
        if len(self.separator) == 1:
            frame = read_fields(head, self.separator, len(self.roles), wanted)
        else:
            frame = self._split(read_lines(head))
        return Table(frame, f"{self.title}: {', '.join(self.roles)}")

    def _split(self, lines: pl.DataFrame) -> pl.DataFrame:
        n_fields = len(self.roles)
        fields = lines.select(
            "line", pl.col("text").str.split_exact(self.separator, n_fields)
        ).unnest("text")
        too_many = pl.when(pl.col(f"field_{n_fields}").is_not_null()).then(
            pl.lit(f"more than {n_fields} fields")
        )
        return fields.select(
            "line",
            *(pl.col(f"field_{i}").alias(role) for i, role in enumerate(self.roles)),
            too_many.alias("problem"),
        )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
