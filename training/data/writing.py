"""Write interactions as Parquet."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from hashrec.index.arrays.ids import IdMap
from hashrec.index.artifacts import durable
from hashrec.training.data.interactions import Interactions


def write_parquet(interactions: Interactions, path: Path) -> None:
    """Write the pairs as columns `user_id`, `item_id` and, if present, `value` and `timestamp`.

    The file appears whole or not at all and replaces an earlier one. Missing folders are made.
    """
    columns: dict[str, pa.Array[Any]] = {
        "user_id": _ids(interactions.users, interactions.user_rows),
        "item_id": _ids(interactions.items, interactions.item_rows),
    }
    if interactions.values is not None:
        columns["value"] = pa.array(interactions.values)
    if interactions.timestamps is not None:
        columns["timestamp"] = pa.array(interactions.timestamps)
    content = io.BytesIO()
    pq.write_table(pa.table(columns), content)
    path.parent.mkdir(parents=True, exist_ok=True)
    durable.write_bytes(path, content.getvalue())


def _ids(ids: IdMap, rows: NDArray[Any]) -> pa.Array[Any]:
    """Return the id of each row as a dictionary array, which stores each id once."""
    return pa.DictionaryArray.from_arrays(pa.array(rows), pa.array(ids.ids(range(len(ids)))))
