"""`RecentCounts`: interactions of each item on each of the last days that a model learned from."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from hashrec.index.arrays.rows import Rows
from hashrec.index.arrays.strings import ascending
from hashrec.index.errors import ConfigError, shorten

DAY_S = 86_400
MAX_DAYS = 90  # of the longest window
WINDOW_PATTERN = "^([1-9]|[1-8][0-9]|90)d$"


@dataclass(frozen=True, eq=False)
class RecentCounts:
    """Interactions of each item on each day before a moment, the latest day first.

    A day is 24 hours, not a day of the calendar: day 0 is the one that ends at `until`.

    Attributes:
        until: seconds since 1970 UTC; no interaction at or after it is counted.
        indptr: int64, shape (91,): the entries of day d are those from `indptr[d]` to
            `indptr[d + 1]`, so the entries of the last n days are the first `indptr[n]`.
        items: int32, shape (n_entries,), item rows, ascending and distinct within a day.
        counts: int32, shape (n_entries,), interactions of the item on that day, above 0.
    """

    until: int
    indptr: NDArray[np.int64]
    items: NDArray[np.int32]
    counts: NDArray[np.int32]

    @classmethod
    def build(
        cls, item_rows: NDArray[np.integer], timestamps: NDArray[np.int64], until: int | None = None
    ) -> Self:
        """Count interactions by item and day.

        Args:
            item_rows: integer, shape (n,).
            timestamps: int64, shape (n,), seconds since 1970 UTC.
            until: where the last day ends; None for right after the newest interaction.
        """
        if until is None:
            until = int(timestamps.max(initial=-1)) + 1
        days = (until - 1 - timestamps) // DAY_S
        recent = (days >= 0) & (days < MAX_DAYS)
        width = int(item_rows.max(initial=-1)) + 1
        keys, counts = np.unique(days[recent] * width + item_rows[recent], return_counts=True)
        days, rows = np.divmod(keys, max(1, width))
        indptr = np.zeros(MAX_DAYS + 1, dtype=np.int64)
        np.cumsum(np.bincount(days, minlength=MAX_DAYS), out=indptr[1:])
        return cls(until, indptr, rows.astype(np.int32), counts.astype(np.int32))

    def of_window(self, n_days: int, n_items: int) -> NDArray[np.int64]:
        """Return the interactions of each item in the last days, int64, shape (n_items,)."""
        entries = slice(0, int(self.indptr[n_days]))
        counted = np.bincount(self.items[entries], weights=self.counts[entries], minlength=n_items)
        return counted.astype(np.int64)

    def check(self, n_items: int) -> None:
        """Check that the counts are complete and in the range of the items.

        Raises:
            ValueError: they are not.
        """
        indptr, items = self.indptr, self.items
        if not (
            len(indptr) == MAX_DAYS + 1
            and indptr[0] == 0
            and indptr[-1] == len(items) == len(self.counts)
            and ascending(indptr)
        ):
            raise ValueError("recent: the days do not fit their items")
        if len(items) and items.view(np.uint32).max() >= n_items:  # negative rows become huge ones
            raise ValueError("recent: an item row is out of range")
        if len(items) and int(self.counts.min()) < 1:
            raise ValueError("recent: a count is not above 0")


@dataclass(frozen=True, slots=True, eq=False)
class RecentItems:
    """The items that were taken in a window of time, those taken most often first.

    Attributes:
        rows: int64, shape (n,), those with a count above 0, ties by row.
        counts: int64, shape (n,).
        stamp: what they were counted up to: a position in the journal, and where the window ends in
            seconds since 1970.
    """

    rows: Rows
    counts: NDArray[np.int64]
    stamp: tuple[int, int]

    @classmethod
    def of(cls, counts: NDArray[np.int64], stamp: tuple[int, int]) -> Self:
        """Order the items of a catalogue.

        Args:
            counts: int64, shape (n_items,), by row.
            stamp: see the class.
        """
        rows = np.flatnonzero(counts)
        rows = rows[np.argsort(-counts[rows], kind="stable")]
        return cls(rows, counts[rows], stamp)


def recent_items(recent: RecentCounts | None, n_days: int, n_items: int) -> RecentItems:
    """Return the items of the last days that a model learned from; none without counts."""
    if recent is None:
        return RecentItems.of(np.zeros(n_items, dtype=np.int64), (0, 0))
    return RecentItems.of(recent.of_window(n_days, n_items), (0, recent.until))


def days_of(window: str) -> int:
    """Return the days of a window such as `7d`.

    Raises:
        ConfigError: it is not from 1d to 90d.
    """
    if not re.fullmatch(WINDOW_PATTERN, window):
        raise ConfigError(f"the window must be from 1d to {MAX_DAYS}d, got {shorten(window)}")
    return int(window[:-1])
