"""Parquet: one file, or a folder of them."""

from __future__ import annotations

import gzip
import io
from collections.abc import Mapping
from typing import ClassVar

import polars as pl

from hashrec.index.errors import DataError
from hashrec.training.data.readers.columns import choose_columns, describe
from hashrec.training.data.readers.head import PARQUET_MAGIC, Head, Kind
from hashrec.training.data.readers.reader import OPTIONAL_TEXTS, Table
from hashrec.training.data.readers.text import collect

ROW = "\0row"  # no column of a file has this name


class ParquetReader:
    """Columns with types; ids may be strings or integers."""

    kind: ClassVar[Kind] = "binary"
    takes_columns: ClassVar[bool] = True

    def recognises(self, head: Head) -> bool:
        """Tell whether the file begins as Parquet does; see `read_head` for folders."""
        return head.magic.startswith(PARQUET_MAGIC)

    def read(self, head: Head, columns: Mapping[str, str]) -> Table:
        """Read the columns that have a role."""
        source = head.path
        if source.is_dir():
            source = sorted(source.glob("**/*.parquet"))
        elif head.gzipped:
            source = io.BytesIO(gzip.decompress(source.read_bytes()))
        try:
            lazy = pl.scan_parquet(source, row_index_name=ROW, row_index_offset=1, glob=False)
            schema = lazy.collect_schema()
        except (pl.exceptions.PolarsError, OSError, EOFError) as error:
            raise DataError(f"{head.path}: damaged Parquet; write or copy it again") from error
        found = choose_columns(head.path, [name for name in schema.names() if name != ROW], columns)
        for role in ("user", "item"):
            if schema[found[role]].is_float() or schema[found[role]].is_nested():
                raise DataError(
                    f"{head.path}: column {found[role]!r} holds {schema[found[role]]}; "
                    "store ids as strings or integers"
                )
        for role in OPTIONAL_TEXTS:
            if role in found and schema[found[role]].is_nested():
                del found[role]
        frame = collect(
            head,
            lazy.select(
                pl.col(ROW).alias("line"),
                *(
                    pl.col(name).cast(pl.String).alias(role)
                    if role in ("user", "item", *OPTIONAL_TEXTS)
                    else pl.col(name).alias(role)
                    for role, name in found.items()
                ),
            ),
        )
        return Table(frame, f"Parquet: {describe(found)}", row_name="row")
