"""JSON lines: hashrec's own field names, Gorse's, and any the user maps."""

from __future__ import annotations

import json
from collections.abc import Mapping

import polars as pl

from training.data.readers.columns import choose_columns, describe
from training.data.readers.head import Head
from training.data.readers.reader import Table
from training.data.readers.text import read_lines


class JsonLinesReader:
    """One JSON object a line.

    The fields are ``user_id, item_id, value, timestamp``, Gorse's ``UserId, ItemId, Value,
    Timestamp``, or those the user maps.
    """

    def recognises(self, head: Head) -> bool:
        """Tell whether the first line begins a JSON object."""
        return head.kind == "text" and head.lines[0].lstrip().startswith("{")

    def read(self, head: Head, columns: Mapping[str, str]) -> Table:
        """Read the fields that play a role; numbers become strings as they are written."""
        found = choose_columns(head.path, _fields(head), columns)
        text = pl.col("text")
        frame = read_lines(head).select(
            "line",
            *(
                text.str.json_path_match(f"$[{json.dumps(name)}]").alias(r)
                for r, name in found.items()
            ),
            problem=pl.when(text.str.json_path_match("$").is_null()).then(pl.lit("not JSON")),
        )
        return Table(frame, f"JSON lines: {describe(found)}")


def _fields(head: Head) -> list[str]:
    """Return the names that occur in the first objects."""
    names: dict[str, None] = {}
    for line in head.lines[:100]:
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if isinstance(record, dict):
            names.update(dict.fromkeys(record))
    return list(names)
