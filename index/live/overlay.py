"""What a journal adds up to: users' latest events, and the catalogue as it was changed.

A model learned from the past; this is what happened since, in a form that costs a request a
dictionary lookup. `hashrec.index.live.model_overlay` says what it means for one model.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from pydantic import JsonValue

from hashrec.index.live.journal.records import Entry, Event, ItemChange
from hashrec.index.live.recent_events import RecentEvents
from hashrec.index.strength import ALIKE, Strength

_CACHED_TYPES = 256
_EVENTS_A_PAIR = 32  # whose positions are known; of more, the oldest count as one


@dataclass(frozen=True, slots=True)
class ItemState:
    """An item as changes left it.

    Attributes:
        position: of the last change.
        attributes: None where they are as the model has them.
        hidden: None where it is as the model has it.
        deleted: the item is gone until attributes are given to it again.
    """

    position: int
    attributes: Mapping[str, JsonValue] | None = None
    hidden: bool | None = None
    deleted: bool = False


@dataclass(frozen=True, slots=True)
class UserEvents:
    """Items of a user's events, the latest first; an item is where its last event puts it."""

    positives: tuple[str, ...] = ()
    negatives: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.positives) + len(self.negatives)


NO_EVENTS = UserEvents()


class Overlay:
    """The state after some entries of a journal, applied in order. Pure data: it reads nothing.

    Not for several threads; everything it returns is immutable.

    Memory grows with the distinct pairs of user and item in the events since `floor` and in all
    negative ones, up to 180 bytes each, and with the changed items, about 350 bytes each beside
    their attributes; a user takes some 200 bytes more. A repeated event takes at most 20 bytes, and
    `forget` gives back what every served model has learned.

    Args:
        negative_types: types of events that say no, in place of those of `strength`. Types of worth
            0, such as impressions, say nothing and are not applied; all others say yes. A model
            does not know what was refused, so the last event of a pair stays here if it is a
            negative one.
        floor: other events up to here are not applied.
        strength: what events are worth. If not all are alike, the positions and amounts of the
            events above `floor` are kept too, up to 80 bytes an event.

    Attributes:
        position: of the last entry applied.
        catalogue_position: of the last change of the catalogue, 0 for none.
        floor: positive events up to here are not known.
        recent: when the other positive ones happened.
        strength: what events are worth.
    """

    def __init__(
        self,
        negative_types: Collection[str] | None = None,
        *,
        floor: int = 0,
        strength: Strength = ALIKE,
    ) -> None:
        if negative_types is not None:
            strength = strength.with_negative_types(negative_types)
        self.strength = strength
        # Both cost much more than the rest of an event, and there are few types.
        self._is_even = strength.is_even
        self._amount_of = lru_cache(_CACHED_TYPES)(strength.amount)
        # The events of a pair above `floor` since its last refusal: position, amount, and so on.
        # A refusal is an amount of 0. Only where amounts differ.
        self._amounts: dict[str, dict[str, list[int]]] = {}
        # Items of a user in the order of their last events, whose positions they have; a negative
        # event's is below zero. An integer takes a third of what an object would.
        self._users: dict[str, dict[str, int]] = {}
        self._items: dict[str, ItemState] = {}  # in the order of their last changes
        self.position = 0
        self.catalogue_position = 0
        self.floor = floor
        self.recent = RecentEvents()

    def apply(self, entries: Iterable[Entry]) -> None:
        """Take in entries, in ascending positions; those already taken in change nothing."""
        for entry in entries:
            position = entry.position
            if position <= self.position:
                continue
            record = entry.record
            if isinstance(record, Event):
                self._take_event(position, record)
            else:
                self._take_change(position, record)
            self.position = position

    def knows(self, user_id: str) -> bool:
        """Tell whether there are events of a user, of any time."""
        return user_id in self._users

    def user_position(self, user_id: str, after: int = 0) -> int:
        """Return the position of a user's last event, 0 if none is above `after`."""
        items = self._users.get(user_id)
        if items is None:
            return 0
        last = abs(items[next(reversed(items))])
        return last if last > after else 0

    def refused_position(self, user_id: str, up_to: int) -> int:
        """Return the position of the last of a user's `refused` events, 0 for none."""
        items = self._users.get(user_id)
        return (
            0
            if items is None
            else max((-at for at in items.values() if -up_to <= at < 0), default=0)
        )

    def user_ids(self) -> list[str]:
        """Return the users with events above `floor`, in the order of their first."""
        return [user_id for user_id in self._users if self.user_position(user_id, self.floor)]

    def user_events(self, user_id: str, after: int = 0) -> UserEvents:
        """Return the items of a user's events at positions above `after`."""
        items = self._users.get(user_id)
        if items is None:
            return NO_EVENTS
        positives: list[str] = []
        negatives: list[str] = []
        for item_id in reversed(items):
            position = items[item_id]
            if abs(position) <= after:
                break
            (positives if position > 0 else negatives).append(item_id)
        return UserEvents(tuple(positives), tuple(negatives))

    def amount(self, user_id: str, item_id: str, after: int = 0) -> int:
        """Return what a user's positive events above `after` add to an item, in sixteenths.

        Returns:
            Below 0 if a refusal above `after` came before them: then only they count.
        """
        events = self._amounts.get(user_id, {}).get(item_id, ())
        total, sign = np.zeros(1, dtype=np.int64), 1
        for position, amount in zip(events[::2], events[1::2], strict=True):
            if position > after:
                if amount:
                    total = self.strength.combined(total, np.array([amount]))
                else:
                    sign = -1
        return sign * int(total[0])

    def refused(self, user_id: str, up_to: int) -> list[str]:
        """Return the items whose last event by a user was a negative one, up to a position."""
        items = self._users.get(user_id)
        return [] if items is None else [item for item, at in items.items() if -up_to <= at < 0]

    def item(self, item_id: str) -> ItemState | None:
        """Return what was changed of an item, None for nothing."""
        return self._items.get(item_id)

    def changed_items(self, after: int = 0) -> dict[str, ItemState]:
        """Return the items whose last change is above `after`, the latest first."""
        changed: dict[str, ItemState] = {}
        if self.catalogue_position > after:
            for item_id in reversed(self._items):
                state = self._items[item_id]
                if state.position <= after:
                    break
                changed[item_id] = state
        return changed

    def forget(self, position: int) -> None:
        """Drop positive events up to a position: every served model has learned from them."""
        if position <= self.floor:
            return
        self.floor = position
        self.recent.forget(position)
        for user_id, items in list(self._users.items()):
            for item_id in list(items):
                if abs(items[item_id]) > position:
                    break
                if items[item_id] > 0:
                    del items[item_id]
                    self._amounts.get(user_id, {}).pop(item_id, None)
            if not items:
                del self._users[user_id]
                self._amounts.pop(user_id, None)

    def _take_event(self, position: int, event: Event) -> None:
        amount = self._amount_of(event.type)
        if not amount:
            return
        if not self._is_even and position > self.floor:
            self._take_amount(position, event, max(amount, 0))
        items = self._users.setdefault(event.user_id, {})
        item_id = sys.intern(event.item_id)  # one string, however many users have it
        if (before := items.pop(item_id, 0)) > 0:
            self.recent.drop(before)
        if amount < 0:
            items[item_id] = -position
        elif position > self.floor:
            items[item_id] = position
            self.recent.add(position, event.timestamp, item_id)
        elif not items:
            del self._users[event.user_id]

    def _take_amount(self, position: int, event: Event, amount: int) -> None:
        pairs = self._amounts.setdefault(event.user_id, {})
        if not amount:
            pairs[event.item_id] = [position, 0]
            return
        events = pairs.setdefault(event.item_id, [])
        events += (position, amount)
        if len(events) > 2 * _EVENTS_A_PAIR:
            first = 0 if events[1] else 2  # the refusal stays
            both = self.strength.combined(
                np.array([events[first + 1]]), np.array([events[first + 3]])
            )
            events[first : first + 4] = (events[first + 2], int(both[0]))

    def _take_change(self, position: int, change: ItemChange) -> None:
        before = self._items.pop(change.item_id, None)
        if change.deleted:
            state = ItemState(position, deleted=True)
        elif change.attributes is None:
            state = ItemState(
                position,
                None if before is None else before.attributes,
                change.hidden if change.hidden is not None or before is None else before.hidden,
                before is not None and before.deleted,
            )
        else:
            hidden = change.hidden
            if hidden is None and before is not None:
                # A deleted item that comes back is a new one, whatever a model says of the old.
                hidden = False if before.deleted else before.hidden
            state = ItemState(position, change.attributes, hidden)
        self._items[change.item_id] = state
        self.catalogue_position = position
