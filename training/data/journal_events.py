"""Merge the events of a journal into interactions: the pairs they add and those they remove."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import polars as pl

from hashrec.index.arrays.ids import IdMap
from hashrec.index.live.journal import Event, Journal
from hashrec.index.live.overlay import NEGATIVE_TYPES
from hashrec.training.data.interactions import Interactions

ENTRIES_AT_ONCE = 10_000
_SCHEMA = {"user": pl.String, "item": pl.String, "timestamp": pl.Float64, "positive": pl.Boolean}


@dataclass(frozen=True, eq=False)
class JournalEvents:
    """The events of a journal, up to a position.

    Attributes:
        pairs: the latest event of each user and item: `user`, `item`, `timestamp` (seconds) and
            `positive`.
        n_events: number of events that the pairs come from.
        position: of the last entry that was read, 0 for none.
    """

    pairs: pl.DataFrame
    n_events: int
    position: int


@dataclass(frozen=True, eq=False)
class Merged:
    """Interactions after the merge.

    Attributes:
        interactions: users and items that were there before keep their rows.
        n_added: pairs that the events added.
        n_taken_back: pairs that the events removed.
    """

    interactions: Interactions
    n_added: int
    n_taken_back: int


def read_events(
    journal: Journal,
    *,
    types: Collection[str] | None = None,
    negative_types: Collection[str] = NEGATIVE_TYPES,
    until: int | None = None,
) -> JournalEvents:
    """Read all events of a journal, some thousand at a time.

    Args:
        journal: stays open.
        types: positive types; None for all but the negative ones. Other types are ignored.
        negative_types: types that remove a pair.
        until: position of the last entry to read; None reads to the end.

    Raises:
        JournalError: the journal cannot be read.
    """
    frames = [pl.DataFrame(schema=_SCHEMA)]
    position = n_events = 0
    while entries := [
        entry
        for entry in journal.read(position, ENTRIES_AT_ONCE)
        if until is None or entry.position <= until
    ]:
        position = entries[-1].position
        events = [entry.record for entry in entries if isinstance(entry.record, Event)]
        told = [
            (event.user_id, event.item_id, event.timestamp, event.type not in negative_types)
            for event in events
            if types is None or event.type in types or event.type in negative_types
        ]
        n_events += len(told)
        frames.append(pl.DataFrame(told, schema=_SCHEMA, orient="row"))
    pairs = (
        pl.concat(frames)
        .sort("timestamp", maintain_order=True)  # of two at the same time, the later entry
        .group_by("user", "item", maintain_order=True)
        .last()
    )
    return JournalEvents(pairs, n_events, position)


def merge_events(interactions: Interactions, events: JournalEvents) -> Merged:
    """Add the pairs of positive events, and remove the pairs of negative ones.

    For a pair that is there already the later of interaction and event counts; without timestamps
    in the interactions, the event counts. A pair that an event adds has no value.
    """
    positive = events.pairs.filter("positive")
    users = _extended(interactions.users, positive.get_column("user"))
    items = _extended(interactions.items, positive.get_column("item"))
    # A user or an item with negative events alone may be in neither: there is nothing to remove.
    pairs = events.pairs.with_columns(
        user_row=_rows(users, events.pairs.get_column("user")),
        item_row=_rows(items, events.pairs.get_column("item")),
    ).drop_nulls(("user_row", "item_row"))
    user_rows = pairs.get_column("user_row").to_numpy()
    item_rows = pairs.get_column("item_row").to_numpy()
    seconds = pairs.get_column("timestamp").to_numpy().astype(np.int64)
    is_positive = pairs.get_column("positive").to_numpy()

    keys = interactions.user_rows.astype(np.int64) * len(items) + interactions.item_rows
    event_keys = user_rows * len(items) + item_rows
    order = np.argsort(keys)
    place = order[np.minimum(keys[order].searchsorted(event_keys), len(keys) - 1)]
    is_known = keys[place] == event_keys
    before = interactions.timestamps
    is_later = np.ones(len(pairs), bool) if before is None else seconds >= before[place]

    taken_back = place[is_known & ~is_positive & is_later]
    kept = np.ones(len(keys), dtype=bool)
    kept[taken_back] = False
    added = is_positive & ~is_known
    n_added = int(added.sum())
    timestamps, values = interactions.timestamps, interactions.values
    first_timestamps = interactions.first_times
    if timestamps is not None and first_timestamps is not None:
        timestamps = timestamps.copy()
        again = is_known & is_positive & is_later
        timestamps[place[again]] = seconds[again]
        timestamps = np.concatenate([timestamps[kept], seconds[added]])
        first_timestamps = np.concatenate([first_timestamps[kept], seconds[added]])
    if values is not None:
        values = np.concatenate([values[kept], np.full(n_added, np.nan, np.float32)])
    merged = Interactions(
        user_rows=np.concatenate([interactions.user_rows[kept], user_rows[added]], dtype=np.int32),
        item_rows=np.concatenate([interactions.item_rows[kept], item_rows[added]], dtype=np.int32),
        users=users,
        items=items,
        values=values,
        timestamps=timestamps,
        first_timestamps=first_timestamps,
    )
    return Merged(merged, n_added, len(taken_back))


def _extended(ids: IdMap, named: pl.Series) -> IdMap:
    """Give new ids the next rows, in the order of their first event."""
    new = [name for name in named.unique(maintain_order=True) if ids.row(name) is None]
    return IdMap.build([*ids.ids(range(len(ids))), *new]) if new else ids


def _rows(ids: IdMap, named: pl.Series) -> pl.Series:
    """Return the row of each id, null for unknown ids."""
    row_of = {name: ids.row(name) for name in named.unique()}
    return pl.Series([row_of[name] for name in named], dtype=pl.Int64)
