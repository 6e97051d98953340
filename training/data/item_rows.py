"""Read the rows of a file of items as they are written, in any container and format."""

from __future__ import annotations

import json
import math
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, NoReturn

import polars as pl

from hashrec.index.errors import ConfigError, DataError, EncodingError
from hashrec.index.reading.columns import ITEMS
from hashrec.index.reading.containers import STANDARD_INPUT, Part, opened, parts_of
from hashrec.index.reading.head import Head
from hashrec.index.reading.options import FormatOptions
from hashrec.index.reading.readers import READERS
from hashrec.index.reading.readers.delimited import ROW_NAMES, RecBoleReader
from hashrec.index.reading.readers.jsonl import JsonReader, elements
from hashrec.index.reading.readers.parquet import ParquetReader
from hashrec.index.reading.text import collect, read_lines

ROWS_AT_ONCE = 100_000  # converted to Python objects at a time
MOVIELENS = ("movies.dat", "u.item")  # in latin-1
NO_GENRE = "unknown"  # of u.item
# The formats with named columns, in the order in which they are recognised; CSV is what is left.
FORMATS = ("parquet", "jsonl", "recbole")


@dataclass(frozen=True, slots=True)
class ItemRow:
    """One row, not checked yet.

    Attributes:
        line: number of the line, or of the row in a Parquet file, from 1.
        fields: by the names of the file; empty if `problem` is set.
        problem: the error in the row's shape; empty for none.
        file: name of the part of a folder; empty for a single file.
    """

    line: int
    fields: Mapping[str, Any]
    problem: str = ""
    file: str = ""


@dataclass(frozen=True, eq=False)
class ItemRows:
    """The rows of a file, in its order.

    Attributes:
        title: of the format, for the user to read.
        names: of the columns.
        rows: all of them but blank lines.
        roles: role -> column where the format says it; None where names say it.
        sequences: columns that hold words (`token_seq`) or numbers (`float_seq`) between blanks.
        row_name: unit of `ItemRow.line`.
        skipped: what was left out of a folder; empty for nothing.
    """

    title: str
    names: tuple[str, ...]
    rows: list[ItemRow]
    roles: Mapping[str, str] | None = None
    sequences: Mapping[str, str] = field(default_factory=dict[str, str])
    row_name: str = "line"
    skipped: str = ""


def read_item_rows(path: Path, options: FormatOptions) -> ItemRows:
    """Read a file, a folder of parts, or standard input.

    The format is that of MovieLens' files of titles by their names, Parquet, JSON lines or an array
    of objects, RecBole's atomic files, or CSV. Values of JSON and Parquet keep their types.

    Args:
        path: see `read_rows`.
        options: what detection cannot see. The encoding is that of texts that are not UTF-8 or
            UTF-16; the files of MovieLens are read as latin-1 then without it.

    Raises:
        DataError: the file is missing or damaged.
        ConfigError: an option does not exist or does not suit the file.
    """
    parts = parts_of(path)
    read = [_read_part(part, options) for part in parts.files]
    if len(read) == 1:
        return replace(read[0], skipped=parts.skipped)
    return ItemRows(
        f"{read[0].title}, {len(read):,} files",
        tuple(dict.fromkeys(name for each in read for name in each.names)),
        [
            replace(row, file=part.path.name)
            for part, each in zip(parts.files, read, strict=True)
            for row in each.rows
        ],
        read[0].roles,
        {name: kind for each in read for name, kind in each.sequences.items()},
        read[0].row_name,
        parts.skipped,
    )


def _read_part(part: Part, options: FormatOptions) -> ItemRows:
    is_movielens = part.path.name.lower().removesuffix(".gz") in MOVIELENS
    other = options.encoding or ("latin-1" if is_movielens else None)
    if str(part.path) == STANDARD_INPUT or (
        part.path.exists() and not stat.S_ISREG(part.path.stat().st_mode)
    ):  # can be read once only
        return _read(part, options, options.encoding)
    try:
        return _read(part, options, None)
    except EncodingError:
        if other is None:
            raise
        return _read(part, options, other)


def _read(part: Part, options: FormatOptions, encoding: str | None) -> ItemRows:
    with opened(part, encoding) as head:
        rows = _rows(head, options)
        title = ", ".join(filter(None, [head.container, rows.title]))
        constants = head.constants
        if not constants:
            return replace(rows, title=title)
        names = dict.fromkeys([*rows.names, *constants])
        full = [replace(row, fields={**constants, **row.fields}) for row in rows.rows]
        return replace(rows, title=title, names=tuple(names), rows=full)


def _rows(head: Head, options: FormatOptions) -> ItemRows:
    if head.name == "u.item":
        roles = {"item": "id", "title": "title", "categories": "genres"}
        return ItemRows("MovieLens u.item", tuple(roles.values()), list(_u_item(head)), roles)
    if head.name.endswith(".dat") and "::" in head.lines[0]:
        roles = {"item": "id", "title": "title", "categories": "genres"}
        return ItemRows("MovieLens movies.dat", tuple(roles.values()), list(_movies(head)), roles)
    name = options.preset or next(
        (name for name in FORMATS if READERS[name].recognises(head, ITEMS)), "csv"
    )
    reader = READERS.get(name)
    if reader is None or not reader.takes_columns:
        raise ConfigError(f"preset {name!r} does not read items; leave --preset out")
    if reader.kind != head.kind:
        raise DataError(f"{head.path}: a {head.kind} file, which {name!r} cannot read; give text "
                        "(CSV, JSON lines, ...) or Parquet")  # fmt: skip
    if isinstance(reader, JsonReader):
        return _json(head, reader, options)
    table = reader.open(head, options)
    if isinstance(reader, ParquetReader):
        return ItemRows(table.title, table.names, list(_parquet(head)), row_name=table.row_name)
    has_names = "without header" not in table.title
    sequences = {}
    if isinstance(reader, RecBoleReader):
        kinds = [name.rpartition(":")[2].strip() for name in head.lines[0].split("\t")]
        sequences = {
            name: kind
            for name, kind in zip(table.names, kinds, strict=True)
            if kind.endswith("_seq") or kind == "float"
        }
    chosen = set(options.columns.values())
    names = tuple(
        name for name in dict.fromkeys(table.names)
        if (name in chosen if not has_names else name not in ("", ROW_NAMES))
    )  # fmt: skip
    frame = table.read({f"field {i}": name for i, name in enumerate(names)})
    rows = [
        ItemRow(line, {}, problem)
        if problem
        else ItemRow(line, dict(zip(names, fields, strict=True)))
        for line, problem, *fields in frame.select(
            "line", "problem", *(f"field {i}" for i in range(len(names)))
        ).iter_rows()
    ]
    return ItemRows(table.title, names, rows, sequences=sequences)


def _movies(head: Head) -> Iterator[ItemRow]:
    for number, line in read_lines(head).iter_rows():
        fields = line.split("::")
        if len(fields) < 3:
            yield ItemRow(number, {}, "not id::title::genres")
            continue
        title = "::".join(fields[1:-1])
        yield ItemRow(number, {"id": fields[0], "title": title, "genres": fields[-1]})


def _u_item(head: Head) -> Iterator[ItemRow]:
    genre_path = head.path.with_name("u.genre")
    genres: list[str] = []
    if genre_path.is_file():
        # splitlines() would also split at latin-1's NEL
        lines = genre_path.read_text(encoding="latin-1").split("\n")
        genres = [line.rsplit("|", 1)[0] for line in lines if line.strip()]
    for number, line in read_lines(head).iter_rows():
        fields = line.split("|")
        if len(fields) < 5:
            yield ItemRow(number, {}, "not id|title|date|date|url|flags")
            continue
        flags = zip(genres, fields[5:], strict=False)
        marked = [name for name, flag in flags if flag.strip() == "1" and name != NO_GENRE]
        yield ItemRow(number, {"id": fields[0], "title": fields[1], "genres": marked})


class _Written(str):
    """The text of a number with a fraction or an exponent: as an id it is kept as written."""

    __slots__ = ()


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


DECODER = json.JSONDecoder(parse_float=_Written, parse_constant=_refuse_constant)


def _json(head: Head, reader: JsonReader, options: FormatOptions) -> ItemRows:
    is_array = head.lines[0].lstrip().startswith("[")
    if is_array:
        objects: Iterable[tuple[int, Any]] = enumerate(elements(head, DECODER), 1)
    else:
        reader.open(head, options)  # refuses what is no JSON in one line
        objects = ((line, _decoded(text)) for line, text in read_lines(head).iter_rows())
    rows = [
        ItemRow(number, fields)
        if isinstance(fields, dict)
        else ItemRow(number, {}, "not a JSON object")
        for number, fields in objects
    ]
    names = tuple(dict.fromkeys(name for row in rows for name in row.fields))
    if is_array:
        return ItemRows("JSON array", names, rows, row_name="element")
    return ItemRows("JSON lines", names, rows)


def _decoded(text: str) -> Any:
    try:
        return DECODER.decode(text)
    except (ValueError, RecursionError):
        return None


def _parquet(head: Head) -> Iterator[ItemRow]:
    frame = collect(head, pl.scan_parquet(head.file, glob=False, hive_partitioning=False))
    for start, part in enumerate(frame.iter_slices(ROWS_AT_ONCE)):
        for number, row in enumerate(part.iter_rows(named=True), start * ROWS_AT_ONCE + 1):
            yield ItemRow(number, row)


def as_json(value: Any) -> Any:
    """Convert a value of a file to plain JSON.

    Dates become ISO 8601, NaN and infinity null, and integers beyond 64 bits text: few programs
    read them as numbers without a loss.
    """
    if type(value) is str:  # the most frequent case
        return value
    if isinstance(value, list):
        return [as_json(entry) for entry in value]
    if isinstance(value, dict):
        return {str(name): as_json(entry) for name, entry in value.items()}
    return _scalar_as_json(value)


def _scalar_as_json(value: Any) -> str | float | None:
    if isinstance(value, float | Decimal | _Written):
        number = float(value)
        return number if math.isfinite(number) else None
    if isinstance(value, int) and -(2**63) <= value < 2**64:
        return value
    if isinstance(value, datetime | date):
        return value.isoformat()
    return value if value is None else str(value)
