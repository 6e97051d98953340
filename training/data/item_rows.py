"""Read the rows of a file of items, and rename its fields to hashrec's names."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Any, NoReturn

import polars as pl

from hashrec.index.errors import DataError, UnknownFormatError, shorten
from hashrec.index.reading.containers import Part, opened, parts_of

# Usual names, compared without case, blanks, "_" and "-"; the first match wins.
FIELD_NAMES = {
    "item_id": ("itemid", "movieid", "item", "id", "sku", "productid", "asin"),
    # Gorse keeps the title in its Comment
    "title": ("title", "name", "comment"),
    "categories": ("categories", "category", "genres", "genre", "labels"),
    "timestamp": ("timestamp", "time", "ts", "datetime", "date", "createdat", "publishedat"),
    "hidden": ("hidden", "ishidden"),
}
GORSE_NAMES = {"Labels": "labels", "Comment": "comment"}  # fields without a role above
# Rows of a Parquet file converted to Python objects at a time.
ROWS_AT_ONCE = 100_000


@dataclass(frozen=True, slots=True)
class ItemRow:
    """One row, not checked yet.

    Attributes:
        line: number of the line, or of the row in a Parquet file, from 1.
        fields: by hashrec's names, other fields by their own; empty if `problem` is set.
        problem: the error in the row's shape; empty for none.
    """

    line: int
    fields: Mapping[str, Any]
    problem: str = ""


def read_item_rows(path: Path) -> Iterator[ItemRow]:
    """Read MovieLens' files of titles, CSV or TSV with a header, JSON lines or Parquet.

    Raises:
        DataError: the file is missing, damaged, or has no column of item ids.
    """
    (part,) = parts_of(path).files
    with opened(part, _encoding(path)) as head:
        if head.kind == "binary":
            return iter(list(_parquet(path, head.file.read_bytes())))
        text = head.file.read_text(encoding="utf-8-sig")
    if head.name == "u.item":
        return _u_item(path, text)
    if head.name.endswith(".dat"):
        return _movies_dat(text)
    return _json_lines(path, text) if text.lstrip().startswith("{") else _csv(path, text)


def _encoding(path: Path) -> str | None:
    """Return latin-1, as MovieLens wrote before 2013, for a text that is not UTF-8."""
    try:
        with opened(Part(path)):
            return None
    except DataError as error:
        if "not UTF-8" in str(error):
            return "latin-1"
        raise


def _lines(text: str) -> Iterator[tuple[int, str]]:
    # splitlines() would also split at latin-1's NEL
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield number, line.rstrip("\r")


def _movies_dat(text: str) -> Iterator[ItemRow]:
    for number, line in _lines(text):
        fields = line.split("::")
        if len(fields) < 3:
            yield ItemRow(number, {}, "not id::title::genres")
            continue
        title = "::".join(fields[1:-1])
        yield ItemRow(number, {"item_id": fields[0], "title": title, "categories": fields[-1]})


def _u_item(path: Path, text: str) -> Iterator[ItemRow]:
    genre_path = path.with_name("u.genre")
    genres: list[str] = []
    if genre_path.is_file():
        genre_lines = _lines(genre_path.read_text(encoding="latin-1"))
        genres = [line.rsplit("|", 1)[0] for _, line in genre_lines]
    for number, line in _lines(text):
        fields = line.split("|")
        if len(fields) < 5:
            yield ItemRow(number, {}, "not id|title|date|date|url|flags")
            continue
        marked = [name for name, flag in zip(genres, fields[5:], strict=False) if flag == "1"]
        yield ItemRow(number, {"item_id": fields[0], "title": fields[1], "categories": marked})


def _csv(path: Path, text: str) -> Iterator[ItemRow]:
    first = text.split("\n", 1)[0]
    separator = max(",\t;", key=first.count)
    rows = csv.DictReader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    try:
        names = _names(path, tuple(rows.fieldnames or ()))
        for row in rows:
            if None in row:
                yield ItemRow(rows.line_num, {}, f"more than {len(names)} fields")
            else:
                yield ItemRow(rows.line_num, {names[name]: row[name] for name in row})
    except csv.Error as error:
        raise DataError(
            f"{path}: line {rows.line_num}: {error}; close the quote or double it"
        ) from error


def _json_lines(path: Path, text: str) -> Iterator[ItemRow]:
    for number, line in _lines(text):
        try:
            row = json.loads(line, parse_constant=_refuse_constant)
        except (ValueError, RecursionError):
            row = None
        if not isinstance(row, dict):
            yield ItemRow(number, {}, "not a JSON object")
            continue
        names = _names(path, tuple(row))
        fields = {names[name]: value for name, value in row.items()}
        if isinstance(fields["item_id"], float):  # an id is read as written: "7.0", "1e3"
            fields["item_id"] = {
                names[name]: value for name, value in json.loads(line, parse_float=str).items()
            }["item_id"]
        yield ItemRow(number, fields)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _parquet(path: Path, content: bytes) -> Iterator[ItemRow]:
    try:
        frame = pl.read_parquet(io.BytesIO(content))
    except (pl.exceptions.PolarsError, OSError) as error:
        raise DataError(f"{path}: damaged Parquet; write or copy it again") from error
    names = _names(path, tuple(frame.columns))
    number = 0
    for part in frame.iter_slices(ROWS_AT_ONCE):
        for row in part.iter_rows(named=True):
            number += 1
            yield ItemRow(number, {names[name]: _as_json(value) for name, value in row.items()})


def _as_json(value: Any) -> Any:
    """Convert a value of a Parquet column to JSON: dates to ISO 8601, NaN to null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, list):
        return [_as_json(entry) for entry in value]
    if isinstance(value, dict):
        return {str(name): _as_json(entry) for name, entry in value.items()}
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, datetime | date):
        return value.isoformat()
    return value if isinstance(value, str | int | None) else str(value)


@lru_cache(maxsize=256)  # most JSON lines of a file have the same fields
def _names(path: Path, written: tuple[str, ...]) -> Mapping[str, str]:
    """Return hashrec's name of each column of a file.

    Raises:
        UnknownFormatError: no column holds the item ids.
    """
    plain: dict[str, str] = {}
    for name in written:
        plain.setdefault(_plain(name), name)
    roles: dict[str, str] = {}
    for role, usual in FIELD_NAMES.items():
        found = next((plain[name] for name in usual if name in plain), None)
        if found is not None:
            roles[found] = role
    if "item_id" not in roles.values():
        raise UnknownFormatError(
            path, f"no item_id column among {shorten(', '.join(written), 200)}"
        )
    return {name: roles.get(name) or _other_name(name) for name in written}


def _other_name(name: str) -> str:
    """Return the name of an attribute without a role, different from the names of the roles."""
    name = GORSE_NAMES.get(name, name.strip())
    return f"{name}_" if name in FIELD_NAMES else name


def _plain(name: str) -> str:
    return name.strip().lower().replace("_", "").replace("-", "").replace(" ", "")
