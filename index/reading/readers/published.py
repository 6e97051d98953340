"""Layouts of published data sets that no other file has: read only if `--preset` names them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import polars as pl

from hashrec.index.reading.columns import Vocabulary
from hashrec.index.reading.head import Head, Kind
from hashrec.index.reading.options import FormatOptions
from hashrec.index.reading.readers.delimited import separator_of
from hashrec.index.reading.readers.reader import Table
from hashrec.index.reading.text import read_lines

MIND_ORDER = ("impression", "user", "time", "history", "shown")


class _PresetReader:
    """A text that is not recognised by its content and has no named columns."""

    kind: ClassVar[Kind] = "text"
    takes_columns: ClassVar[bool] = False

    def recognises(self, head: Head, vocabulary: Vocabulary) -> bool:  # noqa: ARG002
        """Return False: these files look like others."""
        return False


class NetflixReader(_PresetReader):
    """The Netflix prize: a line ``ITEM:``, then a line ``user,rating,date`` for each rating."""

    def open(self, head: Head, options: FormatOptions) -> Table:  # noqa: ARG002
        """Give each rating the item of the last heading before it."""

        def read(wanted: Mapping[str, str]) -> pl.DataFrame:
            text = pl.col("text").str.strip_chars()
            item = pl.when(text.str.ends_with(":")).then(text.str.strip_chars_end(":"))
            fields = text.str.split_exact(",", 3)
            problem = (
                pl.when(pl.col("item").is_null())
                .then(pl.lit("no line ITEM: before it"))
                .when(fields.struct[2].is_null() | fields.struct[3].is_not_null())
                .then(pl.lit("not user,rating,date"))
            )
            lines = read_lines(head).with_columns(item=item.forward_fill(), heading=item)
            rows = lines.filter(pl.col("heading").is_null()).select(
                "line",
                "item",
                user=fields.struct[0],
                value=fields.struct[1],
                timestamp=fields.struct[2],
                problem=problem,
            )
            return rows.select("line", *wanted, "problem")

        roles = {name: name for name in ("user", "item", "value", "timestamp")}
        return Table("Netflix prize", tuple(roles), read, roles)


class JesterReader(_PresetReader):
    """A wide table, as Jester's: a user a line, a rating an item, 99 for none.

    The first number of a line is the count of the user's ratings; users and items are numbered from
    1.
    """

    def open(self, head: Head, options: FormatOptions) -> Table:
        """Make a row of each rating."""
        separator = separator_of(head, options.separator)

        def read(wanted: Mapping[str, str]) -> pl.DataFrame:
            lines = read_lines(head).with_row_index("user", offset=1)
            ratings = (
                lines.with_columns(value=pl.col("text").str.split(separator).list.slice(1))
                .with_columns(item=pl.int_ranges(1, pl.col("value").list.len() + 1))
                .drop("text")
                .explode("value", "item")
                .with_columns(pl.col("value").str.strip_chars())
                .filter(~pl.col("value").is_in(["99", "99.00", "99.0", ""]))
                .with_columns(pl.col("user", "item").cast(pl.String))
            )
            return ratings.select("line", *wanted)

        roles = {name: name for name in ("user", "item", "value")}
        return Table("wide table of ratings", tuple(roles), read, roles)


class MindReader(_PresetReader):
    """MIND's behaviours: ``impression, user, time, history, shown`` separated by tabs.

    ``shown`` lists ``N123-1`` for a news item that was shown and clicked, ``N456-0`` for one that
    was shown only. The items of ``history`` were clicked before; they have no time.
    """

    def open(self, head: Head, options: FormatOptions) -> Table:  # noqa: ARG002
        """Make a row of each item, of type click or impression."""

        def read(wanted: Mapping[str, str]) -> pl.DataFrame:
            fields = pl.col("text").str.split_exact("\t", len(MIND_ORDER))
            n_fields = len(MIND_ORDER)
            lines = read_lines(head).select(
                "line",
                user=fields.struct[1],
                timestamp=fields.struct[2],
                history=fields.struct[3],
                shown=fields.struct[4],
                problem=pl.when(
                    fields.struct[n_fields - 1].is_null() | fields.struct[n_fields].is_not_null()
                ).then(pl.lit(f"not {n_fields} fields separated by tabs")),
            )
            bad = lines.filter(pl.col("problem").is_not_null()).select(
                "line", "user", "problem", timestamp=pl.lit(None, pl.String),
                item=pl.lit(None, pl.String), type=pl.lit(None, pl.String),
            )  # fmt: skip
            good = lines.filter(pl.col("problem").is_null())
            # each line holds the user's whole history: the first one is enough
            before = good.unique("user", keep="first", maintain_order=True).select(
                "line", "user", "problem", timestamp=pl.lit(None, pl.String),
                item=_tokens("history"), type=pl.lit("click"),
            )  # fmt: skip
            shown = good.select(
                "line", "user", "problem", "timestamp", item=_tokens("shown"), type=pl.lit("click")
            )
            rows = pl.concat(
                [before.explode("item"), shown.explode("item")]
            ).filter(pl.col("item").is_not_null())  # fmt: skip
            clicked = pl.col("item").str.extract(r"-([01])$")
            rows = rows.with_columns(
                item=pl.col("item").str.replace(r"-[01]$", ""),
                type=pl.when(clicked == "0").then(pl.lit("impression")).otherwise("type"),
            )
            names = ["line", *wanted, "problem"]
            return pl.concat([rows.select(names), bad.select(names)])

        roles = {name: name for name in ("user", "item", "timestamp", "type")}
        return Table("MIND behaviours", tuple(roles), read, roles)


def _tokens(name: str) -> pl.Expr:
    tokens = pl.col(name).str.strip_chars().str.split(" ")
    return tokens.list.filter(pl.element() != "")
