"""Parquet."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import polars as pl

from hashrec.index.errors import DataError
from hashrec.index.reading.columns import Vocabulary
from hashrec.index.reading.head import PARQUET_MAGIC, Head, Kind
from hashrec.index.reading.options import FormatOptions
from hashrec.index.reading.readers.reader import Table
from hashrec.index.reading.text import collect

ROW = "\0row"  # no column of a file has this name
WORDS = (pl.String, pl.Categorical, pl.Enum, pl.Binary)  # old writers call text binary
READABLE = (*WORDS, pl.Boolean, pl.Decimal, pl.Date, pl.Datetime)


class ParquetReader:
    """Columns with types; ids may be strings or integers."""

    kind: ClassVar[Kind] = "binary"
    takes_columns: ClassVar[bool] = True

    def recognises(self, head: Head, vocabulary: Vocabulary) -> bool:  # noqa: ARG002
        """Tell whether the file begins as Parquet does."""
        return head.magic.startswith(PARQUET_MAGIC)

    def open(self, head: Head, options: FormatOptions) -> Table:  # noqa: ARG002
        """Read the names and types of the columns."""
        try:
            lazy = pl.scan_parquet(
                head.file, row_index_name=ROW, row_index_offset=1, glob=False,
                hive_partitioning=False,
            )  # fmt: skip
            schema = lazy.collect_schema()
        except (pl.exceptions.PolarsError, OSError, EOFError) as error:
            raise DataError(f"{head.path}: damaged Parquet; write or copy it again") from error
        names = tuple(name for name in schema.names() if name != ROW)

        def read(wanted: Mapping[str, str]) -> pl.DataFrame:
            columns = [_column(head, result, name, schema[name]) for result, name in wanted.items()]
            return collect(head, lazy.select(pl.col(ROW).alias("line"), *columns))

        return Table("Parquet", names, read, row_name="row")


def _column(head: Head, result: str, name: str, dtype: pl.DataType) -> pl.Expr:
    """Select a column: ids as text, other columns as they are.

    Raises:
        DataError: its type cannot have this role.
    """
    column = pl.col(name)
    if result in ("user", "item") and (dtype.is_float() or dtype == pl.Boolean):
        raise DataError(
            f"{head.path}: column {name!r} holds {dtype}; store ids as strings or integers"
        )
    if not (dtype.is_numeric() or isinstance(dtype, READABLE)):
        if result in ("type", "event_id"):  # a column with such a name has another meaning
            return pl.lit(None, pl.String).alias(result)
        raise DataError(
            f"{head.path}: column {name!r} for {result} holds {dtype}; give a column of text, "
            f"numbers or dates, or leave it out with --map {result}=-"
        )
    if result in ("user", "item", "type", "event_id") or isinstance(dtype, WORDS):
        column = column.cast(pl.String)
    elif dtype == pl.Boolean:
        column = column.cast(pl.Int8)
    elif isinstance(dtype, pl.Decimal):
        column = column.cast(pl.Float64)
    return column.alias(result)
