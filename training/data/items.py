"""What is known of the items: titles and categories."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from index.ids import IdMap


@dataclass(frozen=True)
class ItemAttributes:
    """Titles and categories by external item id.

    Attributes:
        titles: item id -> title; an item without one is absent.
        categories: item id -> category names; an item without any is absent.
    """

    titles: Mapping[str, str]
    categories: Mapping[str, tuple[str, ...]]

    def __len__(self) -> int:
        return len(self.titles.keys() | self.categories.keys())

    def by_row(self, items: IdMap) -> list[dict[str, Any]]:
        """Return one mapping per item row, with ``title`` and ``categories`` where known."""
        rows: list[dict[str, Any]] = []
        for item_id in items.ids(range(len(items))):
            attributes: dict[str, Any] = {}
            if item_id in self.titles:
                attributes["title"] = self.titles[item_id]
            if item_id in self.categories:
                attributes["categories"] = list(self.categories[item_id])
            rows.append(attributes)
        return rows


NO_ATTRIBUTES = ItemAttributes({}, {})
