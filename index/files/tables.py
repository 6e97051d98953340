"""Tables written to files in parts: JSON lines, CSV, or Parquet if pyarrow is installed.

A file appears when it is complete, or not at all. JSON lines leave out missing values; they are
empty in CSV, whose lists and objects are JSON text.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Literal

import orjson

from hashrec.index.artifacts import durable
from hashrec.index.errors import ConfigError, MissingLibraryError

Kind = Literal["text", "texts", "int", "float", "bool", "json"]
Schema = Mapping[str, Kind]
Columns = Mapping[str, Sequence[Any]]
WriteColumns = Callable[[Columns], None]

FORMATS = (".jsonl", ".csv", ".parquet")
GROUP_ROWS = 131_072  # rows of a row group of Parquet, which is in memory until it is full


@contextmanager
def writing_table(path: Path, schema: Schema) -> Generator[WriteColumns]:
    """Write a file in the format of its suffix, one of `FORMATS`.

    Args:
        path: the file; an existing file is replaced, and missing folders are created.
        schema: the kind of each column; a `json` value is an object, stored as text in Parquet and
            CSV.

    Yields:
        A function that appends rows, given as columns of equal length.

    Raises:
        ConfigError: the suffix is another one.
        MissingLibraryError: the format is Parquet and pyarrow is not installed.
    """
    form = path.suffix.lower()
    if form not in FORMATS:
        raise ConfigError(f"{path}: unknown format; name the file .jsonl, .csv or .parquet")
    arrow = require_arrow() if form == ".parquet" else None
    path.parent.mkdir(parents=True, exist_ok=True)
    with durable.replacing(path) as temporary, temporary.open("wb") as file:
        if arrow is not None:
            with _parquet(arrow, file, schema) as append:
                yield append
        elif form == ".csv":
            file.write(_csv_line(schema))
            yield lambda columns: file.writelines(map(_csv_line, _rows(columns)))
        else:
            yield lambda columns: _append_lines(file, columns)


def _rows(columns: Columns) -> Iterator[Sequence[Any]]:
    return zip(*columns.values(), strict=True)


def _append_lines(file: BinaryIO, columns: Columns) -> None:
    names = list(columns)
    for row in _rows(columns):
        fields = zip(names, row, strict=True)
        file.write(_json({name: value for name, value in fields if value is not None}) + b"\n")


def _csv_line(row: Iterable[Any]) -> bytes:
    return (",".join(map(_cell, row)) + "\n").encode()


def _cell(value: Any) -> str:
    if value is None:
        return ""
    text = value if isinstance(value, str) else _json(value).decode()
    is_plain = not any(mark in text for mark in ',"\r\n')
    return text if is_plain else '"' + text.replace('"', '""') + '"'


def _json(value: Any) -> bytes:
    try:
        return orjson.dumps(value)
    except TypeError:  # an integer beyond 64 bits, which older versions of hashrec kept
        return json.dumps(value, ensure_ascii=False).encode()


@contextmanager
def _parquet(arrow: Any, file: BinaryIO, schema: Schema) -> Generator[WriteColumns]:
    types = {
        "text": arrow.string(),
        "texts": arrow.list_(arrow.string()),
        "int": arrow.int64(),
        "float": arrow.float64(),
        "bool": arrow.bool_(),
        "json": arrow.string(),
    }
    typed = arrow.schema([(name, types[kind]) for name, kind in schema.items()])
    waiting: list[Any] = []

    with arrow.parquet.ParquetWriter(file, typed, compression="zstd") as writer:

        def flush() -> None:
            writer.write_table(arrow.Table.from_batches(waiting, typed), row_group_size=GROUP_ROWS)
            waiting.clear()

        def append(columns: Columns) -> None:
            arrays = [
                arrow.array(_as_text(columns[name]) if kind == "json" else columns[name], type_)
                for (name, kind), type_ in zip(schema.items(), typed.types, strict=True)
            ]
            waiting.append(arrow.RecordBatch.from_arrays(arrays, schema=typed))
            if sum(batch.num_rows for batch in waiting) >= GROUP_ROWS:
                flush()

        yield append
        flush()


def _as_text(values: Sequence[Any]) -> list[str | None]:
    return [None if value is None else _json(value).decode() for value in values]


def require_arrow() -> Any:
    """Import pyarrow with its Parquet module and return it.

    Raises:
        MissingLibraryError: pyarrow is not installed.
    """
    try:
        importlib.import_module("pyarrow.parquet")
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "pyarrow":
            raise
        raise MissingLibraryError("Parquet", "pyarrow", "files") from None
    return importlib.import_module("pyarrow")
