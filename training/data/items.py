"""What is known of the items: titles and categories."""

from __future__ import annotations

import csv
import gzip
import io
import json
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from index.errors import DataError, UnknownFormatError, shorten
from index.ids import IdMap
from training.data.readers.head import GZIP_MAGIC, damaged_gzip

ID_NAMES = ("itemid", "movieid", "item", "id", "sku", "productid", "asin")
TITLE_NAMES = ("title", "name", "comment")  # Gorse keeps the title in its Comment
CATEGORY_NAMES = ("categories", "category", "genres", "genre", "labels")
NO_GENRE = ("(no genres listed)", "unknown")
# Where MovieLens keeps the titles of its movies, in order of preference.
MOVIELENS_FILES = ("movies.dat", "movies.csv", "u.item")
MOVIELENS_DATA = ("ratings", "u.data", "ua.", "ub.", "u1.", "u2.", "u3.", "u4.", "u5.")

Record = tuple[str, str | None, tuple[str, ...]]


@dataclass(frozen=True)
class ItemAttributes:
    """Titles and categories by external item id.

    Attributes:
        titles: item id -> title; an item without one is absent.
        categories: item id -> category names; an item without any is absent.
    """

    titles: Mapping[str, str]
    categories: Mapping[str, tuple[str, ...]]

    def __len__(self) -> int:
        return len(self.titles.keys() | self.categories.keys())

    def by_row(self, items: IdMap) -> list[dict[str, Any]]:
        """Return one mapping per item row, with ``title`` and ``categories`` where known."""
        rows: list[dict[str, Any]] = []
        for item_id in items.ids(range(len(items))):
            attributes: dict[str, Any] = {}
            if item_id in self.titles:
                attributes["title"] = self.titles[item_id]
            if item_id in self.categories:
                attributes["categories"] = list(self.categories[item_id])
            rows.append(attributes)
        return rows


NO_ATTRIBUTES = ItemAttributes({}, {})


def read_item_attributes(path: Path | str) -> ItemAttributes:
    """Read titles and categories.

    The file is MovieLens' ``movies.dat``, ``movies.csv`` or ``u.item`` (with ``u.genre`` beside
    it), a CSV with a header (``item_id,title,categories``, categories separated by ``|``), or JSON
    lines with the same or Gorse's fields (``ItemId``, ``Categories``). Any may be gzipped. Of an
    item that comes twice, the last is kept.

    Raises:
        DataError: the file is missing, damaged, or has no column of item ids.
    """
    path = Path(path)
    name = path.name.lower().removesuffix(".gz")
    if name == "u.item":
        records = _u_item(path)
    elif name.endswith(".dat"):
        records = _movies_dat(path)
    else:
        text = _decoded(path)
        is_json = text.lstrip().startswith("{")
        records = _json_lines(path, text) if is_json else _csv(path, text)
    titles: dict[str, str] = {}
    categories: dict[str, tuple[str, ...]] = {}
    for item_id, title, names in records:
        if title:
            titles[item_id] = title
        if names:
            categories[item_id] = names
    if not titles and not categories:
        raise DataError(f"{path}: no title, no category; give a file with item_id,title,categories")
    return ItemAttributes(titles, categories)


def find_item_attributes(data_path: Path | str) -> Path | None:
    """Return the file of titles beside a MovieLens data file or in its folder, if there is one."""
    data_path = Path(data_path)
    if data_path.is_dir():
        folder = data_path
    elif data_path.name.lower().startswith(MOVIELENS_DATA):
        folder = data_path.parent
    else:
        return None
    candidates = (folder / (name + end) for name in MOVIELENS_FILES for end in ("", ".gz"))
    return next((path for path in candidates if path.is_file()), None)


def _decoded(path: Path) -> str:
    """Read a whole text: UTF-8, or latin-1 as MovieLens wrote it before 2013."""
    try:
        content = path.read_bytes()
        if content.startswith(GZIP_MAGIC):
            content = gzip.decompress(content)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise damaged_gzip(path) from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    # splitlines() would also split at latin-1's NEL
    for number, line in enumerate(_decoded(path).split("\n"), start=1):
        if line.strip():
            yield number, line.rstrip("\r")


def _movies_dat(path: Path) -> Iterator[Record]:
    for number, line in _lines(path):
        fields = line.split("::")
        if len(fields) < 3:
            raise DataError(f"{path}: line {number} is not id::title::genres; mend it")
        yield fields[0], "::".join(fields[1:-1]), _names(fields[-1].split("|"))


def _u_item(path: Path) -> Iterator[Record]:
    genre_path = path.with_name("u.genre")
    genres: list[str] = []
    if genre_path.is_file():
        genres = [line.rsplit("|", 1)[0] for _, line in _lines(genre_path)]
    for number, line in _lines(path):
        fields = line.split("|")
        if len(fields) < 5:
            raise DataError(f"{path}: line {number} is not id|title|date|date|url|flags; mend it")
        flags = fields[5:]
        marked = (name for name, flag in zip(genres, flags, strict=False) if flag == "1")
        yield fields[0], fields[1], _names(marked)


def _csv(path: Path, text: str) -> Iterator[Record]:
    first = text.split("\n", 1)[0]
    separator = max(",\t;", key=first.count)
    rows = csv.DictReader(io.StringIO(text, newline=""), delimiter=separator)
    columns = _columns(path, rows.fieldnames or ())
    for row in rows:
        names = row.get(columns["categories"]) or ""
        yield from _record(row[columns["id"]], row.get(columns["title"]), names.split("|"))


def _json_lines(path: Path, text: str) -> Iterator[Record]:
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line, parse_int=str, parse_float=str)
        except (ValueError, RecursionError):
            row = None
        if not isinstance(row, dict):
            raise DataError(f"{path}: line {number} is no JSON object; mend it")
        columns = _columns(path, row)
        names = row.get(columns["categories"]) or ()
        if isinstance(names, str):
            names = names.split("|")
        yield from _record(row[columns["id"]], row.get(columns["title"]), names)


def _columns(path: Path, names: Iterable[str]) -> dict[str, str]:
    """Return the column of the id, the title and the categories; "" for one that is absent."""
    plain = {name.strip().lower().replace("_", ""): name for name in reversed(list(names))}
    usual = {"id": ID_NAMES, "title": TITLE_NAMES, "categories": CATEGORY_NAMES}
    found = {
        role: next((plain[name] for name in candidates if name in plain), "")
        for role, candidates in usual.items()
    }
    if not found["id"]:
        seen = shorten(", ".join(plain.values()), 200)
        raise UnknownFormatError(path, f"no item_id column among {seen}")
    return found


def _record(item_id: object, title: object, names: Iterable[object]) -> Iterator[Record]:
    if item_id not in (None, ""):
        yield str(item_id), None if title is None else str(title), _names(map(str, names))


def _names(names: Iterable[str]) -> tuple[str, ...]:
    """Clean category names and keep each once, in order."""
    stripped = (name.strip() for name in names)
    return tuple(dict.fromkeys(name for name in stripped if name and name not in NO_GENRE))
