"""LightGCN's lists: one user a line, followed by that user's items."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import polars as pl

from hashrec.index.errors import DataError
from hashrec.training.data.readers.fixed import EARLIEST_SECONDS
from hashrec.training.data.readers.head import Head, Kind
from hashrec.training.data.readers.reader import Table
from hashrec.training.data.readers.text import read_lines


class ListReader:
    """``user item item ...`` a line, separated by blanks; a user may come without items."""

    kind: ClassVar[Kind] = "text"
    takes_columns: ClassVar[bool] = False

    def recognises(self, head: Head) -> bool:
        """Tell whether the lines are lists of numbers, each of a different user."""
        if head.kind != "text":
            return False
        lines = [line.split() for line in head.lines[:50]]
        numbers = all(token.isdecimal() for line in lines for token in line)
        users = [line[0] for line in lines]
        rated = all(len(line) == 4 and line[3].isdecimal() for line in lines) and all(
            int(line[3]) >= EARLIEST_SECONDS for line in lines
        )
        return (
            numbers
            and not any("\t" in line for line in head.lines[:50])
            and any(len(line) > 1 for line in lines)
            and len(set(users)) == len(users)
            and not rated
        )

    def read(self, head: Head, columns: Mapping[str, str]) -> Table:
        """Read the lists as pairs."""
        if columns:
            raise DataError(f"{head.path}: lists have no named columns; leave the mapping out")
        tokens = pl.col("text").str.strip_chars().str.split(" ")
        pairs = (
            read_lines(head)
            .select("line", user=tokens.list.first(), item=tokens.list.slice(1))
            .explode("item")
            # null: the user has no item; "": two blanks between two items
            .filter(pl.col("item").is_not_null() & (pl.col("item") != ""))
        )
        return Table(pairs, "LightGCN lists: a user and that user's items on each line")
