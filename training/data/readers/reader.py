"""What a reader of one file format is, and what it hands on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import polars as pl

from hashrec.training.data.readers.head import Head

ROLES = ("user", "item", "value", "timestamp", "type", "event_id")
# They need not be there: a column so named that holds no text is one of another meaning.
OPTIONAL_TEXTS = ("type", "event_id")


@dataclass(frozen=True, eq=False)
class Table:
    """The rows of a file before anything is checked.

    Attributes:
        frame: columns ``line`` (integer, 1 is the first line of the file, or the first row of a
            Parquet file), ``user`` and ``item`` (String); where the file has them ``value`` (String
            or numeric), ``timestamp`` (String, integer, float, Date or Datetime), ``type`` and
            ``event_id`` (String); and, where the format can tell, ``problem`` (String, what is
            wrong with the row's shape, else null).
        description: the format and the columns in use, one line, for the user to read.
        row_name: what ``line`` counts.
    """

    frame: pl.DataFrame
    description: str
    row_name: str = "line"


class Reader(Protocol):
    """A file format."""

    def recognises(self, head: Head) -> bool:
        """Tell from the name and the first lines whether a file is of this format."""
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
