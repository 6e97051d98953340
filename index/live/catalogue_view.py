"""The catalogue of one model with the changes of the journal, immutable, by row and by id."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hashrec.index.arrays.rows import NO_ROWS, Rows
from hashrec.index.live.overlay import ItemState
from hashrec.index.model.items import ItemTable, title_in
from hashrec.index.model.subsets import Members


@dataclass(frozen=True, slots=True)
class ItemNow:
    """An item of the catalogue.

    Attributes:
        attributes: all that are known, for example `title`, `categories` and `timestamp`.
        hidden: whether lists leave the item out.
        row: in the model; None for an item that the model does not have.
    """

    item_id: str
    attributes: Mapping[str, Any]
    hidden: bool
    row: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class CatalogueView:
    """The items of a model with the changes of the journal, and the items that the journal added.

    Attributes:
        table: what the model has.
        position: of the last change that is included.
        hidden: int64, ascending, rows that no list may hold.
        changed: by row, the attributes that replaced those of the model.
        members: of each category that items joined or left.
        deleted: hidden rows of items that are gone from the catalogue.
        added: by id, the items that the model does not have.
    """

    table: ItemTable
    position: int = 0
    hidden: Rows = field(default_factory=lambda: NO_ROWS)
    changed: Mapping[int, Mapping[str, Any]] = field(default_factory=dict[int, Any])
    members: Mapping[str, Members] = field(default_factory=dict[str, Members])
    deleted: frozenset[int] = frozenset()
    added: Mapping[str, ItemNow] = field(default_factory=dict[str, ItemNow])

    @classmethod
    def unchanged(cls, table: ItemTable) -> CatalogueView:
        """Return the catalogue as the model has it."""
        return cls(table, hidden=table.hidden.astype(np.int64))

    def attributes(self, row: int | None, item_id: str) -> Mapping[str, Any]:
        """Return an item's attributes: as the journal changed them, else as the model has them.

        Args:
            row: in the model; None for an item of `added`.
            item_id: external id.
        """
        if row is None:
            return self.added[item_id].attributes
        changed = self.changed.get(row)
        return self.table.of(row) if changed is None else changed

    def title(self, row: int | None, item_id: str) -> str | None:
        """Return an item's title, None if it has none; see `attributes`."""
        if row is None or row in self.changed:
            return title_in(self.attributes(row, item_id))
        return self.table.title(row)

    def is_hidden(self, row: int) -> bool:
        """Tell whether lists leave a row out."""
        at = int(self.hidden.searchsorted(row))
        return at < len(self.hidden) and int(self.hidden[at]) == row


def added_item(item_id: str, state: ItemState) -> ItemNow | None:
    """Return an item that the model does not have, None if the journal deleted it again."""
    if state.attributes is None or state.deleted:
        return None
    return ItemNow(item_id, state.attributes, bool(state.hidden))


def categories_of(attributes: Mapping[str, Any]) -> frozenset[str]:
    """Return the categories of an item with these attributes."""
    return frozenset(attributes.get("categories", ()))
