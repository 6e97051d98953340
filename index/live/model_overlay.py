"""What an overlay means for one model: ids as rows, in a form that a ranking can use at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from hashrec.index.arrays.rows import NO_ROWS, Rows
from hashrec.index.arrays.seen import contained
from hashrec.index.live.catalogue_view import CatalogueView, ItemNow, added_item, categories_of
from hashrec.index.live.overlay import ItemState, Overlay, UserEvents
from hashrec.index.model.model import Model
from hashrec.index.model.recent import DAY_S, RecentItems
from hashrec.index.model.subsets import Members

RECOUNT_S = 5.0  # at least, between two counts of a window while events come
COUNTED_WINDOWS = 4  # that are kept


@dataclass(frozen=True, slots=True, eq=False)
class OverlayView:
    """What a ranking for one user has to know beside the model. Immutable.

    Attributes:
        catalogue: as it was changed.
        positives: int64, ascending, rows of the user's positive events that the model has not
            learned from.
        negatives: int64, ascending, rows of all negative ones, if there is any event that the model
            has not learned from.
        refused: int64, ascending, rows of the negative events before the model learned, which
            taught it nothing.
        new_items: those of `catalogue.added` that the user has events about.
        recent: the items of a window of time; None where the list has no window.
        amounts: int64, shape as `positives`, what the events add to each of them; below 0 if a
            refusal came before, so that only they count. Empty where all strengths are alike.
    """

    catalogue: CatalogueView
    positives: Rows = field(default_factory=lambda: NO_ROWS)
    negatives: Rows = field(default_factory=lambda: NO_ROWS)
    refused: Rows = field(default_factory=lambda: NO_ROWS)
    new_items: frozenset[str] = frozenset()
    recent: RecentItems | None = None
    amounts: Rows = field(default_factory=lambda: NO_ROWS)

    @property
    def has_events(self) -> bool:
        """Whether the user did anything that the model has not learned from."""
        return len(self.positives) > 0 or len(self.negatives) > 0


class _Counted(NamedTuple):
    """The items of a window, and when they were counted: a position and a time."""

    position: int
    at: float
    items: RecentItems


class ModelOverlay:
    """An overlay bound to a model. A request costs a comparison, and looks up its user's items.

    Changes of the catalogue are taken over when one is first asked for after them, each once. Not
    for several threads, like the overlay; what it returns is immutable and may go to any.

    Args:
        overlay: goes on being applied to.
        model: the rows are of this one.
        after: position up to which the model has learned from events.
    """

    def __init__(self, overlay: Overlay, model: Model, *, after: int = 0) -> None:
        self.overlay = overlay
        self.after = after
        self._model = model
        self._as_learned = CatalogueView.unchanged(model.item_table)
        self._without_events = OverlayView(self._as_learned)
        self._changed: dict[int, Mapping[str, Any]] = {}
        self._added: dict[str, ItemNow] = {}
        self._members: dict[str, Members] = {}
        self._deleted: set[int] = set()
        self._counted: dict[int, _Counted] = {}
        self._row_of_number: list[int] = []  # of `overlay.recent.names`; -1 for unknown items

    def stamp(self, user_id: str | None = None) -> tuple[int, int] | None:
        """Return the positions of the last entries that can change an answer, None for none.

        Args:
            user_id: whose events the answer depends on.

        Returns:
            Of the user's last event and of the last change of the catalogue; 0 for none.
        """
        overlay = self.overlay
        last = 0
        if user_id is not None and overlay.knows(user_id):
            last = overlay.user_position(user_id, self.after)
            # A worker that has not read the journal yet must not share its answer with this one.
            last = last or overlay.refused_position(user_id, self.after)
        if not last and not overlay.catalogue_position:
            return None
        return last, overlay.catalogue_position

    def view(self, user_id: str | None = None) -> OverlayView:
        """Return the state at this moment, for a user or, with None, for anyone."""
        catalogue = self.catalogue()
        if user_id is None or not self.overlay.knows(user_id):
            return self._without_events
        refused = self._known_rows(self.overlay.refused(user_id, self.after))
        events = self.events(user_id)
        if not len(events):
            return OverlayView(catalogue, refused=refused) if len(refused) else self._without_events
        new = frozenset(
            item_id
            for item_id in (*events.positives, *events.negatives)
            if item_id in catalogue.added
        )
        negatives = np.union1d(self._known_rows(events.negatives), refused)
        positives = self._known_rows(events.positives)
        amounts = NO_ROWS
        if not self.overlay.strength.is_even:
            ids = self._model.items.ids(positives)
            told = (self.overlay.amount(user_id, item_id, self.after) for item_id in ids)
            amounts = np.fromiter(told, dtype=np.int64, count=len(positives))
        return OverlayView(catalogue, positives, negatives, refused, new, amounts=amounts)

    def events(self, user_id: str) -> UserEvents:
        """Return a user's events that the model has not learned from."""
        return self.overlay.user_events(user_id, self.after)

    def catalogue(self) -> CatalogueView:
        """Return the catalogue as it is at this moment."""
        position = self._without_events.catalogue.position
        if position != self.overlay.catalogue_position:
            self._apply_changes(self.overlay.changed_items(position))
        return self._without_events.catalogue

    def recent(self, n_days: int, now: float) -> RecentItems:
        """Return the items of the last days: what the model learned from, and the events since.

        The window ends with the newest interaction known: with the newest event, or with what the
        model learned if that is later. What the model learned is known by days, which count whole
        if the greater part of one is in the window. Counts are renewed some seconds after an event.

        Args:
            n_days: of 24 hours, 1 to 90.
            now: seconds since 1970; events that claim to be later are not counted yet.
        """
        position, known = self.overlay.position, self._counted.pop(n_days, None)
        if known is None or (known.position != position and not 0 <= now - known.at < RECOUNT_S):
            known = _Counted(position, now, self._count(n_days, now))
        self._counted[n_days] = known
        if len(self._counted) > COUNTED_WINDOWS:
            del self._counted[
                next(iter(self._counted))
            ]  # the one that was asked for the longest ago
        return known.items

    def _count(self, n_days: int, now: float) -> RecentItems:
        events, learned, n_items = self.overlay.recent, self._model.recent, len(self._model.items)
        newest = events.newest(self.after, now)
        end = max(0 if newest is None else newest + 1, 0 if learned is None else learned.until)
        start = end - n_days * DAY_S
        counts = np.zeros(n_items, dtype=np.int64)
        if learned is not None:
            in_window = (learned.until - start + DAY_S // 2) // DAY_S
            counts += learned.of_window(max(0, min(in_window, n_days)), n_items)
        self._row_of_number += (
            -1 if (row := self._model.items.row(name)) is None else row
            for name in events.names[len(self._row_of_number) :]
        )
        numbers = events.items(self.after, start, end)
        rows = np.array(self._row_of_number, dtype=np.int64)[numbers]
        counts += np.bincount(rows[rows >= 0], minlength=n_items)
        return RecentItems.of(counts, (self.overlay.position, end))

    def _known_rows(self, item_ids: Sequence[str]) -> Rows:
        if not item_ids:
            return NO_ROWS
        return np.sort(np.array(self._model.items.known_rows(item_ids), dtype=np.int64))

    def _apply_changes(self, changed: Mapping[str, ItemState]) -> None:
        touched: list[int] = []
        hidden: list[int] = []
        joined: dict[str, list[int]] = {}
        left: dict[str, list[int]] = {}
        for item_id, state in changed.items():
            row = self._model.items.row(item_id)
            if row is None:
                self._added.pop(item_id, None)
                if (item := added_item(item_id, state)) is not None:
                    self._added[item_id] = item
                continue
            touched.append(row)
            if state.deleted:
                self._deleted.add(row)
            else:
                self._deleted.discard(row)
            is_hidden = self._as_learned.is_hidden(row) if state.hidden is None else state.hidden
            if state.deleted or is_hidden:
                hidden.append(row)
            if state.attributes is not None:
                before = categories_of(self._without_events.catalogue.attributes(row, item_id))
                now = categories_of(state.attributes)
                self._changed[row] = state.attributes
                for name in now - before:
                    joined.setdefault(name, []).append(row)
                for name in before - now:
                    left.setdefault(name, []).append(row)
        for name in joined.keys() | left.keys():
            rows = self._members_now(name)
            gone = np.sort(np.array(left.get(name, ()), dtype=np.int64))
            rows = _merged(rows[~contained(rows, gone)], joined.get(name, ()))
            self._members[name] = Members(rows)
        rows = self._without_events.catalogue.hidden
        rows = rows[~contained(rows, np.sort(np.array(touched, dtype=np.int64)))]
        catalogue = CatalogueView(
            self._model.item_table,
            self.overlay.catalogue_position,
            _merged(rows, hidden),
            dict(self._changed),
            dict(self._members),
            frozenset(self._deleted),
            dict(self._added),
        )
        self._without_events = OverlayView(catalogue)

    def _members_now(self, name: str) -> Rows:
        if name in self._members:
            return self._members[name].rows
        table = self._model.item_table
        row = table.categories.row(name)
        return NO_ROWS if row is None else table.category_items[row].astype(np.int64)


def _merged(ascending: Rows, rows: Iterable[int]) -> Rows:
    """Add rows that are not there yet to an ascending array."""
    added = np.sort(np.fromiter(rows, dtype=np.int64))
    return np.insert(ascending, ascending.searchsorted(added), added)
