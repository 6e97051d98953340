"""Files with a header and a separator: CSV, TSV, MovieLens CSV, RecBole's ``.inter``."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from hashrec.index.errors import UnknownFormatError, shorten
from hashrec.training.data.readers.columns import choose_columns, describe, usual_columns
from hashrec.training.data.readers.head import Head, Kind
from hashrec.training.data.readers.reader import Table
from hashrec.training.data.readers.text import read_fields

SEPARATORS = {
    ",": "CSV",
    "\t": "TSV",
    ";": "CSV with semicolons",
    "|": "CSV with bars",
    " ": "columns",
}


@dataclass(frozen=True)
class HeaderReader:
    """A delimited file whose first line names the columns.

    If the user maps column numbers (``user=1,item=2``), the file has no header.
    """

    kind: ClassVar[Kind] = "text"
    takes_columns: ClassVar[bool] = True

    def recognises(self, head: Head) -> bool:
        """Tell whether the first line names a user and an item column."""
        return head.kind == "text" and usual_columns(self._names(head)).keys() >= {"user", "item"}

    def read(self, head: Head, columns: Mapping[str, str]) -> Table:
        """Read the columns that have a role."""
        separator = _separator(head.lines[0])
        names = self._names(head)
        if len(names) < 2:
            raise UnknownFormatError(head.path, f"one column: {shorten(head.lines[0])!r}")
        has_header = not (columns and all(number.isdecimal() for number in columns.values()))
        if not has_header:
            names = [str(position + 1) for position in range(len(names))]
        found = choose_columns(head.path, names, columns)
        frame = read_fields(
            head,
            separator,
            len(names),
            {role: names.index(name) for role, name in found.items()},
            n_header=int(has_header),
        )
        header = "" if has_header else " without header"
        return Table(frame, f"{SEPARATORS[separator]}{header}: {describe(found)}")

    def _names(self, head: Head) -> list[str]:
        first = head.lines[0]
        return [name.strip() for name in next(csv.reader([first], delimiter=_separator(first)))]


@dataclass(frozen=True)
class RecBoleReader:
    """RecBole's atomic files: tab-separated, a typed header (``user_id:token``)."""

    kind: ClassVar[Kind] = "text"
    takes_columns: ClassVar[bool] = True

    def recognises(self, head: Head) -> bool:
        """Tell whether every name of a tab-separated first line carries a type."""
        return (
            head.kind == "text"
            and all(":" in name for name in head.lines[0].split("\t"))
            and "\t" in head.lines[0]
        )

    def read(self, head: Head, columns: Mapping[str, str]) -> Table:
        """Read the columns that have a role; column names are used without their type."""
        names = [name.split(":")[0].strip() for name in head.lines[0].split("\t")]
        found = choose_columns(head.path, names, columns)
        wanted = {role: names.index(name) for role, name in found.items()}
        frame = read_fields(head, "\t", len(names), wanted, n_header=1)
        return Table(frame, f"RecBole .inter: {describe(found)}")


def _separator(line: str) -> str:
    return max(SEPARATORS, key=line.count)
