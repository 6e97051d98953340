"""JSON lines with the field names of hashrec or Gorse, or fields that the user maps."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import ClassVar

import polars as pl

from hashrec.training.data.readers.columns import choose_columns, describe
from hashrec.training.data.readers.head import Head, Kind
from hashrec.training.data.readers.reader import OPTIONAL_TEXTS, Table
from hashrec.training.data.readers.text import read_lines

# Lines converted to Python objects at a time, to bound the memory.
LINES_AT_ONCE = 100_000
# Numbers are kept as written: 7 and 7.0 are different ids.
DECODER = json.JSONDecoder(parse_int=str, parse_float=str)


class JsonLinesReader:
    """One JSON object a line.

    The fields are ``user_id, item_id, value, timestamp, type``, Gorse's ``UserId, ItemId, Value,
    Timestamp, FeedbackType``, or fields that the user maps.
    """

    kind: ClassVar[Kind] = "text"
    takes_columns: ClassVar[bool] = True

    def recognises(self, head: Head) -> bool:
        """Tell whether the first line begins a JSON object."""
        return head.kind == "text" and head.lines[0].lstrip().startswith("{")

    def read(self, head: Head, columns: Mapping[str, str]) -> Table:
        """Read the fields that have a role; numbers become strings exactly as written."""
        names = dict.fromkeys(name for line in head.lines[:100] for name in _parse(line) or ())
        found = choose_columns(head.path, list(names), columns)
        lines = read_lines(head)
        parts = [
            _fields(part.get_column("text"), found) for part in lines.iter_slices(LINES_AT_ONCE)
        ]
        frame = pl.concat([lines.select("line"), pl.concat(parts)], how="horizontal")
        return Table(frame, f"JSON lines: {describe(found)}")


def _fields(lines: Iterable[str], found: Mapping[str, str]) -> pl.DataFrame:
    """Return the roles' fields and ``problem``, all String, one row per line."""
    fields: dict[str, list[str | None]] = {role: [] for role in found}
    problems: list[str | None] = []
    for line in lines:
        record = _parse(line)
        problem = "not a JSON object" if record is None else None
        for role, name in found.items():
            field = None if record is None else record.get(name)
            if not isinstance(field, str | None):
                if role not in OPTIONAL_TEXTS:
                    problem = f"{name} is neither a string nor a number"
                field = None
            fields[role].append(field)
        problems.append(problem)
    schema = dict.fromkeys([*found, "problem"], pl.String)
    return pl.DataFrame(fields | {"problem": problems}, schema=schema)


def _parse(line: str) -> dict[str, object] | None:
    try:
        record = DECODER.decode(line)
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) else None
