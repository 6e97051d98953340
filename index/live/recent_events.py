"""When the positive events of a journal happened, by which the items of a window are counted."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right

import numpy as np
from numpy.typing import NDArray

_DROPPED = -1
_FEW = 1024  # events, among which dropped ones may stay


class RecentEvents:
    """The last positive event of each user and item, in the order of the journal.

    An event takes 20 bytes. Not for several threads.

    Attributes:
        names: item ids by the number that `items` returns; an item keeps its number.
    """

    def __init__(self) -> None:
        self._positions = array("q")  # ascending
        self._times = array("q")
        self._items = array("i")
        self._n_dropped = 0
        self._numbers: dict[str, int] = {}
        self.names: list[str] = []

    def __len__(self) -> int:
        return len(self._items) - self._n_dropped

    def add(self, position: int, timestamp: float, item_id: str) -> None:
        """Take in an event behind all others.

        Args:
            position: in the journal.
            timestamp: seconds since 1970.
            item_id: of the item.
        """
        number = self._numbers.setdefault(item_id, len(self.names))
        if number == len(self.names):
            self.names.append(item_id)
        self._positions.append(position)
        self._times.append(int(timestamp))
        self._items.append(number)

    def drop(self, position: int) -> None:
        """Count the event at a position no more: a later one of its user and item decides."""
        at = bisect_left(self._positions, position)
        if at == len(self._positions) or self._positions[at] != position:
            return
        self._items[at] = _DROPPED
        self._n_dropped += 1
        if 2 * self._n_dropped > len(self._items) > _FEW:
            kept = np.frombuffer(self._items, np.int32) != _DROPPED
            self._positions = array("q", np.frombuffer(self._positions, np.int64)[kept].tobytes())
            self._times = array("q", np.frombuffer(self._times, np.int64)[kept].tobytes())
            self._items = array("i", np.frombuffer(self._items, np.int32)[kept].tobytes())
            self._n_dropped = 0

    def forget(self, position: int) -> None:
        """Drop all events up to a position."""
        n_forgotten = bisect_right(self._positions, position)
        for column in (self._positions, self._times, self._items):
            del column[:n_forgotten]
        self._n_dropped = self._items.count(_DROPPED)

    def newest(self, after: int, now: float) -> int | None:
        """Return the time of the newest event, in seconds since 1970; None if there is none.

        Args:
            after: only events at later positions.
            now: an event that claims to be later than this is not there yet.
        """
        times = self._columns(after)[0]
        times = times[times <= now]
        return int(times.max()) if len(times) else None

    def items(self, after: int, start: int, end: int) -> NDArray[np.int32]:
        """Return the number of the item of each event in a window, int32, shape (n_events,).

        Args:
            after: only events at later positions.
            start: seconds since 1970, the first that counts.
            end: seconds since 1970, the first that counts no more.
        """
        times, items = self._columns(after)
        return items[(times >= start) & (times < end)]

    def _columns(self, after: int) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """Return copies of the times and items that count: a view would lock the arrays."""
        first = bisect_right(self._positions, after)
        items = np.frombuffer(self._items, np.int32)[first:]
        counts = items != _DROPPED
        return np.frombuffer(self._times, np.int64)[first:][counts], items[counts]
