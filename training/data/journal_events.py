"""Merge the events of a journal into interactions: the pairs they add and those they remove."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hashrec.index.arrays.ids import IdMap
from hashrec.index.live.journal import Event, Journal
from hashrec.index.strength import ALIKE, UNIT, Amounts, Strength
from hashrec.training.data.interactions import Interactions
from hashrec.training.data.strengths import amounts_or_none

ENTRIES_AT_ONCE = 10_000
_SCHEMA = {
    "user": pl.String,
    "item": pl.String,
    "timestamp": pl.Float64,
    "type": pl.String,
    "positive": pl.Boolean,
}


@dataclass(frozen=True, eq=False)
class JournalEvents:
    """The events of a journal, up to a position.

    Attributes:
        pairs: the latest event of each user and item: `user`, `item`, `timestamp` (seconds) and
            `positive`.
        n_events: number of events that the pairs come from.
        position: of the last entry that was read, 0 for none.
        told: all these events by time: `user`, `item`, `timestamp`, `type` and `positive`.
    """

    pairs: pl.DataFrame
    n_events: int
    position: int
    told: pl.DataFrame

    def positive_types(self) -> list[str]:
        """Return the types of the positive events."""
        return self.told.filter("positive").get_column("type").unique().to_list()


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
    strength: Strength = ALIKE,
    negative_types: Collection[str] | None = None,
    until: int | None = None,
) -> JournalEvents:
    """Read all events of a journal, some thousand at a time.

    Args:
        journal: stays open.
        types: positive types; None for all of a worth above 0. Other types are ignored.
        strength: what types are worth: below 0 they remove a pair, at 0 they are ignored.
        negative_types: types that remove a pair, in place of the policy's.
        until: position of the last entry to read; None reads to the end.

    Raises:
        JournalError: the journal cannot be read.
    """
    policy = strength if negative_types is None else strength.with_negative_types(negative_types)

    def sign(kind: str) -> float:
        worth = policy.worth(kind)
        return worth if types is None or worth < 0 else float(kind in types)

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
            (event.user_id, event.item_id, event.timestamp, event.type, worth > 0)
            for event in events
            if (worth := sign(event.type))
        ]
        n_events += len(told)
        frames.append(pl.DataFrame(told, schema=_SCHEMA, orient="row"))
    told = pl.concat(frames).sort("timestamp", maintain_order=True)
    pairs = (
        told.drop("type")
        .group_by("user", "item", maintain_order=True)
        .last()  # of two at the same time, the later entry
    )
    return JournalEvents(pairs, n_events, position, told)


def merge_events(
    interactions: Interactions, events: JournalEvents, strength: Strength = ALIKE
) -> Merged:
    """Add the pairs of positive events, and remove the pairs of negative ones.

    For a pair that is there already the later of interaction and event counts; without timestamps
    in the interactions, the event counts. A pair that an event adds has no value.

    Args:
        interactions: what the events are added to, its amounts by the same policy.
        events: of a journal.
        strength: what positive events add to their pairs. An event before the interaction of its
            pair adds nothing: the data know it already.
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
    amounts = None
    if not strength.is_even:
        after = _amounts(
            interactions, place, is_known, pairs=pairs, told=events.told, strength=strength
        )
        before = np.full(len(keys), UNIT) if interactions.amounts is None else interactions.amounts
        before = before.astype(np.int64)
        before[place[is_known]] = after[is_known]
        amounts = amounts_or_none(np.concatenate([before[kept], after[added]]))
    merged = Interactions(
        user_rows=np.concatenate([interactions.user_rows[kept], user_rows[added]], dtype=np.int32),
        item_rows=np.concatenate([interactions.item_rows[kept], item_rows[added]], dtype=np.int32),
        users=users,
        items=items,
        values=values,
        timestamps=timestamps,
        first_timestamps=first_timestamps,
        amounts=amounts,
    )
    return Merged(merged, n_added, len(taken_back))


def _amounts(
    interactions: Interactions,
    place: NDArray[np.integer],
    is_known: NDArray[np.bool_],
    *,
    pairs: pl.DataFrame,
    told: pl.DataFrame,
    strength: Strength,
) -> Amounts:
    """Return the amount of each pair of `pairs` after its events, uint16.

    Args:
        interactions: before the events.
        place: the interaction of each pair, if it `is_known`.
        is_known: bool, shape (n_pairs,).
        pairs: `user` and `item`.
        told: all events by time.
        strength: what they are worth.
    """
    n_pairs = pairs.height
    amounts = np.zeros(n_pairs, dtype=np.int64)
    learned_at = np.full(n_pairs, -1, dtype=np.int64)
    if len(interactions):
        known = np.full(len(interactions), UNIT)
        known = known if interactions.amounts is None else interactions.amounts
        amounts[is_known] = known[place[is_known]]
        if interactions.timestamps is not None:
            learned_at[is_known] = interactions.timestamps[place[is_known]]
    numbered = pairs.select("user", "item").with_columns(
        pair=pl.int_range(n_pairs, dtype=pl.Int64), learned_at=pl.Series(learned_at)
    )
    later = (
        told.join(numbered, on=["user", "item"], how="inner", maintain_order="left")
        .filter(pl.col("timestamp").floor() >= pl.col("learned_at"))
        .with_row_index("place")
        .with_columns(
            refused=pl.col("place").filter(~pl.col("positive")).max().over("pair").cast(pl.Int64)
        )
    )
    refused = later.drop_nulls("refused").get_column("pair").unique().to_numpy()
    amounts[refused] = 0
    counted = later.filter("positive", pl.col("place") > pl.col("refused").fill_null(-1))
    worths = np.array([strength.worth(kind) for kind in counted.get_column("type")], dtype=float)
    worths = np.where(worths > 0, worths, strength.other)
    new = np.zeros(n_pairs, dtype=np.int64)
    combine = np.add if strength.repeats == "sum" else np.maximum
    combine.at(new, counted.get_column("pair").to_numpy(), strength.amounts(worths, None))
    return strength.combined(amounts, new)


def _extended(ids: IdMap, named: pl.Series) -> IdMap:
    """Give new ids the next rows, in the order of their first event."""
    new = [name for name in named.unique(maintain_order=True) if ids.row(name) is None]
    return IdMap.build([*ids.ids(range(len(ids))), *new]) if new else ids


def _rows(ids: IdMap, named: pl.Series) -> pl.Series:
    """Return the row of each id, null for unknown ids."""
    row_of = {name: ids.row(name) for name in named.unique()}
    return pl.Series([row_of[name] for name in named], dtype=pl.Int64)
