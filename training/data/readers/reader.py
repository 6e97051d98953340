"""`Reader`: the interface of a file format, and `Table`: the rows that it reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Protocol

import polars as pl

from hashrec.training.data.readers.head import Head, Kind

ROLES = ("user", "item", "value", "timestamp", "type", "event_id")
# Optional roles: a column with such a name that does not hold text has another meaning.
OPTIONAL_TEXTS = ("type", "event_id")


@dataclass(frozen=True, eq=False)
class Table:
    """The rows of a file before anything is checked.

    Attributes:
        frame: columns ``line`` (integer, 1 is the first line of the file, or the first row of a
            Parquet file), ``user`` and ``item`` (String); where the file has them ``value`` (String
            or numeric), ``timestamp`` (String, integer, float, Date or Datetime), ``type`` and
            ``event_id`` (String); and, if the format can tell, ``problem`` (String, the error in
            the row's shape, else null).
        description: the format and the columns in use, one line, for the user to read.
        row_name: unit of ``line``: "line" or "row".
    """

    frame: pl.DataFrame
    description: str
    row_name: str = "line"


class Reader(Protocol):
    """A file format.

    Attributes:
        kind: of its files; a reader is only asked to read a file of its kind.
        takes_columns: whether the user can map the columns of its files to roles.
    """

    kind: ClassVar[Kind]
    takes_columns: ClassVar[bool]

    def recognises(self, head: Head) -> bool:
        """Tell whether a file, of whatever kind, is of this format."""
        ...

    def read(self, head: Head, columns: Mapping[str, str]) -> Table:
        """Read a whole file.

        Args:
            head: the beginning of the file, which names it too.
            columns: role, one of `ROLES` -> column the user chose for it.

        Raises:
            DataError: the file is not of this format, or lacks a column.
        """
        ...
