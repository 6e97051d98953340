"""JSON: an object a line, or an array of objects."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar, cast

import polars as pl

from hashrec.index.errors import DataError, shorten
from hashrec.index.reading.columns import Vocabulary
from hashrec.index.reading.head import Head, Kind
from hashrec.index.reading.options import FormatOptions
from hashrec.index.reading.readers.reader import Table
from hashrec.index.reading.text import read_lines

# Lines converted to Python objects at a time, to bound the memory.
LINES_AT_ONCE = 100_000
NAMED_LINES = 1_000  # by which the fields are found
# Numbers are kept as written: 7 and 7.0 are different ids.
BLANKS = re.compile(r"[ \t\n\r]*")
DECODER = json.JSONDecoder(parse_int=str, parse_float=str)


class JsonReader:
    """JSON lines, or one array of objects over any number of lines."""

    kind: ClassVar[Kind] = "text"
    takes_columns: ClassVar[bool] = True

    def recognises(self, head: Head, vocabulary: Vocabulary) -> bool:  # noqa: ARG002
        """Tell whether the first line begins a JSON object or an array of them."""
        if head.kind != "text":
            return False
        first = head.lines[0].lstrip()
        beginning = "".join(line.strip() for line in head.lines[:3])
        return first.startswith("{") or beginning.replace(" ", "").startswith("[{")

    def open(self, head: Head, options: FormatOptions) -> Table:  # noqa: ARG002
        """Find the fields of the first objects; numbers become strings exactly as written."""
        if head.lines[0].lstrip().startswith("["):
            objects = [_as_object(element) for element in elements(head)]
            names = dict.fromkeys(name for each in objects[:NAMED_LINES] for name in each or ())
            return Table(
                "JSON array",
                tuple(names),
                lambda wanted: _frame(range(1, len(objects) + 1), objects, wanted),
                row_name="element",
            )
        first = parse(head.lines[0])
        if first is None:
            hint = " (Python notation?)" if head.lines[0].lstrip().startswith("{'") else ""
            raise DataError(
                f"{head.path}: line {head.n_before + 1} is not JSON{hint}: "
                f"{shorten(head.lines[0])!r}; write one JSON object a line"
            )
        names = dict.fromkeys(
            name for line in head.lines[:NAMED_LINES] for name in parse(line) or ()
        )
        return Table("JSON lines", tuple(names), lambda wanted: _of_lines(head, wanted))


def elements(head: Head, decoder: json.JSONDecoder = DECODER) -> Iterator[Any]:
    """Yield the elements of a JSON array.

    Raises:
        DataError: the text is no JSON array; names the element.
    """
    text = head.file.read_text(encoding="utf-8-sig")
    position = _after_blanks(text, text.index("[") + 1)
    number = 0
    while not text.startswith("]", position):
        number += 1
        try:
            element, position = decoder.raw_decode(text, position)
        except (ValueError, RecursionError) as error:
            raise DataError(
                f"{head.path}: element {number} of the array is not JSON; correct the file"
            ) from error
        yield element
        position = _after_blanks(text, position)
        if text.startswith(",", position):
            position = _after_blanks(text, position + 1)
        elif not text.startswith("]", position):
            raise DataError(
                f"{head.path}: the array ends or breaks after element {number}; "
                "copy the file again, or correct it"
            )


def _after_blanks(text: str, position: int) -> int:
    found = BLANKS.match(text, position)
    return position if found is None else found.end()


def parse(line: str) -> dict[str, Any] | None:
    """Parse a line; None if it is no JSON object."""
    try:
        record = DECODER.decode(line)
    except (ValueError, RecursionError):
        return None
    return _as_object(record)


def _as_object(value: object) -> dict[str, Any] | None:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else None


def _of_lines(head: Head, wanted: Mapping[str, str]) -> pl.DataFrame:
    lines = read_lines(head)
    return pl.concat(
        _frame(part.get_column("line"), (parse(line) for line in part.get_column("text")), wanted)
        for part in lines.iter_slices(LINES_AT_ONCE)
    )


def _frame(
    numbers: Iterable[int], objects: Iterable[dict[str, Any] | None], wanted: Mapping[str, str]
) -> pl.DataFrame:
    """Return the fields and ``problem``, all String, one row for each object."""
    fields: dict[str, list[str | None]] = {result: [] for result in wanted}
    problems: list[str | None] = []
    for record in objects:
        problem = "not a JSON object" if record is None else None
        for result, name in wanted.items():
            field = None if record is None else record.get(name)
            if not isinstance(field, str | None):
                if result in ("user", "item"):
                    problem = f"{name} is neither a string nor a number"
                field = None
            fields[result].append(field)
        problems.append(problem)
    schema = {"line": pl.UInt32} | dict.fromkeys([*wanted, "problem"], pl.String)
    return pl.DataFrame({"line": list(numbers)} | fields | {"problem": problems}, schema=schema)
