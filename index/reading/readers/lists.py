"""Lists: LightGCN's, of a user and that user's items on each line, and lists of ids."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar

import polars as pl

from hashrec.index.errors import DataError
from hashrec.index.reading.columns import Vocabulary
from hashrec.index.reading.head import Head, Kind
from hashrec.index.reading.options import FormatOptions
from hashrec.index.reading.readers.reader import Table
from hashrec.index.reading.text import read_lines

SAMPLED_LINES = 1_000


class ListReader:
    """``user item item ...`` a line, separated by blanks; a user may come without items."""

    kind: ClassVar[Kind] = "text"
    takes_columns: ClassVar[bool] = False

    def recognises(self, head: Head, vocabulary: Vocabulary) -> bool:
        """Tell whether the lines are lists of numbers of different lengths, each of another user.

        Lines of one length may as well be columns, such as a user, an item and a rating.
        """
        if head.kind != "text" or not {"user", "item"} <= set(vocabulary.roles):
            return False
        lines = [line.split() for line in head.lines[:SAMPLED_LINES]]
        users = [line[0] for line in lines]
        return (
            all(token.isdecimal() for line in lines for token in line)
            and not any("\t" in line for line in head.lines[:SAMPLED_LINES])
            and len(set(users)) == len(users)
            and len({len(line) for line in lines}) > 1
        )

    def open(self, head: Head, options: FormatOptions) -> Table:  # noqa: ARG002
        """Read the lists as pairs."""

        def read(wanted: Mapping[str, str]) -> pl.DataFrame:
            text = pl.col("text").str.strip_chars()
            lines = read_lines(head)
            # null: the user has no item; "": two blanks between two items
            pairs = (
                lines.select("line", user=text.str.split(" ").list.first(),
                             item=text.str.split(" ").list.slice(1))
                .explode("item", empty_as_null=True)
                .filter(pl.col("item").is_not_null() & (pl.col("item") != ""))
            )  # fmt: skip
            n_tokens = lines.select(text.str.count_matches(r"[^ ]+").sum()).item()
            if pairs.height != n_tokens - lines.height:
                raise DataError(
                    f"{head.path}: {pairs.height:,} pairs read of {n_tokens - lines.height:,}"
                )
            return pairs.select("line", *wanted)

        roles = {"user": "first", "item": "others"}
        title = "LightGCN lists, a user and that user's items on each line"
        return Table(title, tuple(roles.values()), read, roles)


class IdReader:
    """One id a line, without a header."""

    kind: ClassVar[Kind] = "text"
    takes_columns: ClassVar[bool] = False

    def recognises(self, head: Head, vocabulary: Vocabulary) -> bool:
        """Tell whether a text is no table: its lines do not have the same number of separators."""
        return (
            head.kind == "text"
            and len(vocabulary.required) == 1
            and not any(
                min(line.count(separator) for line in head.lines[:SAMPLED_LINES])
                == max(line.count(separator) for line in head.lines[:SAMPLED_LINES])
                > 0
                for separator in ",;\t"
            )
        )

    def open(self, head: Head, options: FormatOptions) -> Table:  # noqa: ARG002
        """Read each line as an id; one that begins an object is none."""
        head = replace(head, n_before=0)  # a list has no comments

        def read(wanted: Mapping[str, str]) -> pl.DataFrame:
            text = pl.col("text").str.strip_chars(" \t\r\v\f")
            problem = pl.when(text.str.starts_with("{")).then(
                pl.lit("no id but an object; give one id a line, or an object a line")
            )
            return read_lines(head).select("line", *(text.alias(name) for name in wanted),
                                           problem=problem)  # fmt: skip

        return Table("a list of ids", ("1",), read, {"user": "1"})
