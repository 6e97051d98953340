"""Items, users, events and codes of a store as tables for other programs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Literal

import numpy as np

from hashrec.index.arrays.codes import BinaryCodes
from hashrec.index.arrays.ids import IdMap
from hashrec.index.files.tables import Schema
from hashrec.index.live.catalogue_state import ENTRIES_AT_ONCE, items_now
from hashrec.index.live.journal import Event, Journal
from hashrec.index.live.overlay import Overlay
from hashrec.index.model.model import Model

ROWS_AT_ONCE = 8192

Part = dict[str, Sequence[Any]]  # some rows of a table, as columns
Owner = Literal["user", "item"]

ITEMS: Schema = {
    "item_id": "text",
    "title": "text",
    "categories": "texts",
    "timestamp": "float",
    "hidden": "bool",
    "attributes": "json",
}
USERS: Schema = {"user_id": "text", "n_items": "int"}
EVENTS: Schema = {
    "user_id": "text",
    "item_id": "text",
    "type": "text",
    "timestamp": "float",
    "event_id": "text",
    "recommendation_id": "text",
}
CODES: Schema = {"kind": "text", "id": "text", "n_bits": "int", "code": "text"}


def item_parts(model: Model, overlay: Overlay) -> Iterator[Part]:
    """Yield the items of the current catalogue; see `ITEMS`.

    `attributes` holds the attributes except title, categories and timestamp, or None.
    """
    items = items_now(model, overlay)
    while some := list(islice(items, ROWS_AT_ONCE)):
        rows = [_item_row(item.item_id, item.attributes, item.hidden) for item in some]
        yield {name: [row[name] for row in rows] for name in ITEMS}


def _item_row(item_id: str, attributes: Mapping[str, Any], hidden: bool) -> dict[str, Any]:
    others = dict(attributes)
    title, timestamp = others.pop("title", None), others.pop("timestamp", None)
    categories = others.pop("categories", None)
    return {
        "item_id": item_id,
        "title": None if title is None else str(title),
        "categories": categories or None,
        "timestamp": timestamp if isinstance(timestamp, int | float) else None,
        "hidden": hidden,
        "attributes": others or None,
    }


def user_parts(model: Model) -> Iterator[Part]:
    """Yield the users of the model, and the number of items each has interacted with."""
    n_items = np.diff(model.seen.indptr)
    for rows in _parts(len(model.users)):
        yield {
            "user_id": model.users.ids(rows),
            "n_items": n_items[rows.start : rows.stop].tolist(),
        }


def event_parts(journal: Journal) -> Iterator[Part]:
    """Yield all events in the order in which they were accepted."""
    position = 0
    while entries := journal.read(position, ENTRIES_AT_ONCE):
        position = entries[-1].position
        events = [entry.record for entry in entries if isinstance(entry.record, Event)]
        yield {name: [getattr(event, name) for event in events] for name in EVENTS}


def code_parts(model: Model, owners: Sequence[Owner] = ("user", "item")) -> Iterator[Part]:
    """Yield codes in hexadecimal, two digits a byte, in the layout of `BinaryCodes`.

    Bit `d` of a code, set if sign `d` is +1, is bit `d % 8`, least significant first, of byte
    `d // 8`.
    """
    for owner in owners:
        if owner == "user":
            yield from _codes_of(owner, model.users, model.user_codes)
        else:
            yield from _codes_of(owner, model.items, model.item_codes)


def _codes_of(kind: Owner, ids: IdMap, codes: BinaryCodes) -> Iterator[Part]:
    for rows in _parts(len(ids)):
        packed = codes.packed[rows.start : rows.stop]
        yield {
            "kind": [kind] * len(rows),
            "id": ids.ids(rows),
            "n_bits": [codes.n_bits] * len(rows),
            "code": [code.tobytes().hex() for code in packed],
        }


def _parts(n: int) -> Iterator[range]:
    for start in range(0, n, ROWS_AT_ONCE):
        yield range(start, min(start + ROWS_AT_ONCE, n))
