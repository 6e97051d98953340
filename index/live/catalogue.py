"""Items of the catalogue by id and in order: a model's with their changes, then the added ones."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from hashrec.index.live.catalogue_view import CatalogueView, ItemNow
from hashrec.index.model.model import Model


@dataclass(frozen=True, slots=True)
class ItemPlace:
    """Where a listing of the catalogue continues.

    Attributes:
        row: of the model's next item.
        after: once the model has no more items, the id of the last added item that was listed.
    """

    row: int = 0
    after: str = ""


def item_now(model: Model, catalogue: CatalogueView, item_id: str) -> ItemNow | None:
    """Return an item as it is now, hidden or not, None if there is none."""
    row = model.items.row(item_id)
    if row is None:
        return catalogue.added.get(item_id)
    return next(items_of_rows(model, catalogue, (row,)), None)


def items_from(
    model: Model, catalogue: CatalogueView, place: ItemPlace, n: int
) -> tuple[list[ItemNow], ItemPlace | None]:
    """Return the next items of the catalogue, hidden ones too, and where the listing continues.

    The model's items come first, the most popular first, then the added ones by id, so an item
    keeps its place while the catalogue changes.

    Args:
        model: its items come first.
        catalogue: with the changes of the journal.
        place: where to begin.
        n: how many at most.
    """
    rows = iter(range(place.row, len(model.items)))
    found = list(islice(items_of_rows(model, catalogue, rows), n))
    if (row := next(rows, None)) is not None:
        return found, ItemPlace(row)
    others = sorted(item_id for item_id in catalogue.added if item_id > place.after)
    taken = others[: n - len(found)]
    found += [catalogue.added[item_id] for item_id in taken]
    if len(taken) == len(others):
        return found, None
    return found, ItemPlace(len(model.items), taken[-1] if taken else place.after)


def items_of_rows(model: Model, catalogue: CatalogueView, rows: Iterable[int]) -> Iterator[ItemNow]:
    """Yield the items of some rows as they are now, without the deleted ones."""
    for row in rows:
        if row not in catalogue.deleted:
            item_id = model.items.id(row)
            attributes = catalogue.attributes(row, item_id)
            yield ItemNow(item_id, attributes, catalogue.is_hidden(row), row)
