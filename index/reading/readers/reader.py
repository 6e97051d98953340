"""`Reader`: the interface of a file format, and `Table`: the columns of a file, not read yet."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar, Protocol

import polars as pl

from hashrec.index.reading.columns import Vocabulary
from hashrec.index.reading.head import Head, Kind
from hashrec.index.reading.options import FormatOptions


@dataclass(frozen=True, eq=False)
class Table:
    """A file whose columns are known.

    Attributes:
        title: of the format, for the user to read.
        names: of the columns; their numbers, from "1", without a header.
        read: takes name in the result -> column. Returns ``line`` (integer, 1 is the first line of
            the file, or its first row), the columns wanted (String, or the type of a typed format),
            and, if the format can tell, ``problem`` (String, the error in the row's shape, else
            null). No row of the file is left out but blank lines.
        roles: role -> column where the format says it; None where names say it.
        row_name: unit of ``line``: "line", "row" or "element".
    """

    title: str
    names: tuple[str, ...]
    read: Callable[[Mapping[str, str]], pl.DataFrame]
    roles: Mapping[str, str] | None = None
    row_name: str = "line"


class Reader(Protocol):
    """A file format.

    Attributes:
        kind: of its files; a reader is only asked to read a file of its kind.
        takes_columns: whether its columns have names that the user can map to roles.
    """

    kind: ClassVar[Kind]
    takes_columns: ClassVar[bool]

    def recognises(self, head: Head, vocabulary: Vocabulary) -> bool:
        """Tell whether a file, of whatever kind, is of this format.

        Args:
            head: the beginning of the file.
            vocabulary: the roles that are looked for.
        """
        ...

    def open(self, head: Head, options: FormatOptions) -> Table:
        """Find the columns of a file.

        Raises:
            DataError: the file is not of this format.
        """
        ...
