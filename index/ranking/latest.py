"""Items by the time at which they came, the newest first."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hashrec.index.arrays.rows import Rows
from hashrec.index.live.catalogue_view import CatalogueView, ItemNow, categories_of
from hashrec.index.live.model_overlay import OverlayView
from hashrec.index.model.model import Model
from hashrec.index.ranking.listing import Allowed, popular_items
from hashrec.index.ranking.recommendation import Options, RecommendedItem

_BLOCK = 4096  # rows looked at together
_NAMED = b'"timestamp":'


class NewItem(NamedTuple):
    """An item and when it came.

    Attributes:
        row: None where the model does not have the item.
    """

    timestamp: float
    row: int | None
    item_id: str


class Latest:
    """The newest items of a model, and of those that were added since.

    Of equally old items the model's come first, the more popular one before the other. Building the
    order reads every item's attributes, about a second for a million; that is done when it is first
    asked for.
    """

    def __init__(self, model: Model) -> None:
        self._model = model

    def newest(
        self, k: int, allowed: Allowed, options: Options, overlay: OverlayView
    ) -> list[NewItem]:
        """Return the k newest items that have a timestamp.

        Args:
            k: how many at most.
            allowed: rows that may be listed.
            options: what they were made from, for items without a row.
            overlay: likewise.
        """
        found = [
            *islice(self._of_model(allowed, overlay.catalogue), k),
            *self._changed(k, allowed, overlay.catalogue),
            *_added(options, overlay),
        ]
        found.sort(key=_newest_first)
        return found[:k]

    def items(
        self, k: int, allowed: Allowed, options: Options, overlay: OverlayView
    ) -> list[RecommendedItem]:
        """List the newest items, and popular ones where there are not enough; see `newest`."""
        newest = self.newest(k, allowed, options, overlay)
        items = latest_items(self._model, newest)
        taken = np.array([new.row for new in newest if new.row is not None], dtype=np.int64)
        rows = allowed.most_popular(
            len(self._model.items), k - len(items), after=-1, taken=np.sort(taken)
        )
        source = allowed.popular_source
        return items + popular_items(self._model, rows, source, first_rank=len(items) + 1)

    @cached_property
    def _order(self) -> tuple[Rows, NDArray[np.float64]]:
        """The rows with a timestamp, newest first, and these."""
        texts = self._model.item_table.attributes
        rows: list[int] = []
        times: list[float] = []
        for row in range(len(self._model.items)):
            text = texts[row]
            if _NAMED not in text:  # saves parsing where there is none
                continue
            time = timestamp_of(json.loads(text))
            if time is not None:
                rows.append(row)
                times.append(time)
        order = np.argsort(-np.array(times, dtype=np.float64), kind="stable")
        return np.array(rows, dtype=np.int64)[order], np.array(times, dtype=np.float64)[order]

    def _of_model(self, allowed: Allowed, catalogue: CatalogueView) -> Iterator[NewItem]:
        """Yield items whose attributes are as the model has them."""
        rows, times = self._order
        for first in range(0, len(rows), _BLOCK):
            block = rows[first : first + _BLOCK]
            for at in np.flatnonzero(allowed.admits(block)).tolist():
                row = int(block[at])
                if row not in catalogue.changed:
                    yield NewItem(float(times[first + at]), row, self._model.items.id(row))

    def _changed(self, k: int, allowed: Allowed, catalogue: CatalogueView) -> list[NewItem]:
        """Return the k newest items whose attributes the journal changed."""
        times = {
            row: time
            for row, attributes in catalogue.changed.items()
            if (time := timestamp_of(attributes)) is not None
        }
        rows = np.array(sorted(times), dtype=np.int64)
        listed = rows[allowed.admits(rows)].tolist()
        listed.sort(key=times.__getitem__, reverse=True)
        return [NewItem(times[row], row, self._model.items.id(row)) for row in listed[:k]]


def _added(options: Options, overlay: OverlayView) -> Iterator[NewItem]:
    """Yield the items that the model does not have."""
    for item in overlay.catalogue.added.values():
        time = timestamp_of(item.attributes)
        if time is not None and not item.hidden and _may_be_added(item, options, overlay):
            yield NewItem(time, None, item.item_id)


def latest_items(model: Model, newest: Sequence[NewItem]) -> list[RecommendedItem]:
    """List items that are given by their timestamps; the score is that of a popular item."""
    most = max(1, int(model.popularity[0]))
    return [
        RecommendedItem(
            new.item_id,
            rank,
            0.0 if new.row is None else int(model.popularity[new.row]) / most,
            None,
            "latest",
            new.row,
        )
        for rank, new in enumerate(newest, 1)
    ]


def timestamp_of(attributes: Mapping[str, Any]) -> float | None:
    """Return when an item came, in seconds since 1970, None where that is not known."""
    time = attributes.get("timestamp")
    return float(time) if isinstance(time, int | float) and not isinstance(time, bool) else None


def _newest_first(item: NewItem) -> tuple[float, bool, int, str]:
    return -item.timestamp, item.row is None, item.row or 0, item.item_id


def _may_be_added(item: ItemNow, options: Options, overlay: OverlayView) -> bool:
    """Tell whether an item that the model does not have may be listed."""
    if item.item_id in options.exclude or item.item_id in overlay.new_items:
        return False
    if options.include and item.item_id not in options.include:
        return False
    wanted, has = frozenset(options.categories), categories_of(item.attributes)
    if options.category_mode == "all":
        return wanted <= has
    return not wanted or bool(wanted & has)
