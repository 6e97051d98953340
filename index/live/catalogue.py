"""Items of the catalogue by id and in order: a model's as they were changed, and others."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hashrec.index.arrays.seen import contained
from hashrec.index.live.catalogue_state import ItemNow
from hashrec.index.live.model_overlay import CatalogueView
from hashrec.index.model.model import Model


@dataclass(frozen=True, slots=True)
class ItemPlace:
    """Where a listing of the catalogue goes on.

    Attributes:
        row: of the model's next item.
        after: once there are no more of these, the id of the last item beside the model's.
    """

    row: int = 0
    after: str = ""


def item_now(model: Model, catalogue: CatalogueView, item_id: str) -> ItemNow | None:
    """Return an item as it is, hidden or not, None where there is none."""
    row = model.items.row(item_id)
    if row is not None:
        return _item_of_row(model, catalogue, row)
    if item_id not in catalogue.added:
        return None
    return ItemNow(item_id, catalogue.attributes[item_id], catalogue.added[item_id])


def items_from(
    model: Model, catalogue: CatalogueView, place: ItemPlace, n: int
) -> tuple[list[ItemNow], ItemPlace | None]:
    """Return the next items of the catalogue, hidden ones too, and where it goes on.

    The model's come first, the most popular first, then the others by id, so an item keeps its
    place however the catalogue is changed.

    Args:
        model: whose items come first.
        catalogue: as it was changed.
        place: where to begin.
        n: how many at most.
    """
    found: list[ItemNow] = []
    row = place.row
    while row < len(model.items) and len(found) < n:
        item = _item_of_row(model, catalogue, row)
        if item is not None:
            found.append(item)
        row += 1
    if row < len(model.items):
        return found, ItemPlace(row)
    others = sorted(item_id for item_id in catalogue.added if item_id > place.after)
    taken = others[: n - len(found)]
    found += [
        ItemNow(item_id, catalogue.attributes[item_id], catalogue.added[item_id])
        for item_id in taken
    ]
    if len(taken) == len(others):
        return found, None
    return found, ItemPlace(row, taken[-1] if taken else place.after)


def _item_of_row(model: Model, catalogue: CatalogueView, row: int) -> ItemNow | None:
    if row in catalogue.deleted:
        return None
    item_id = model.items.id(row)
    attributes = catalogue.attributes.get(item_id)
    if attributes is None:
        attributes = model.item_table.of(row)
    return ItemNow(item_id, attributes, bool(contained(np.array([row]), catalogue.hidden)[0]))
