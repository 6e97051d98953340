"""Attributes of items: titles, categories and any others."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hashrec.index.arrays.ids import IdMap, spread
from hashrec.index.arrays.seen import RowLists
from hashrec.index.arrays.strings import StringArray
from hashrec.index.errors import DataError

KEPT_TITLES = 65_536


@dataclass(frozen=True, eq=False)
class ItemTable:
    """Attributes by item row, and the items of each category.

    Attributes:
        attributes: a JSON object per item row, such as `{"title": ..., "categories": [...]}`.
        categories: category names.
        category_items: the item rows of each category, ascending.
        hidden: int32, ascending rows of the items that must not be recommended.
    """

    attributes: StringArray
    categories: IdMap
    category_items: RowLists
    hidden: NDArray[np.int32] = field(default_factory=lambda: np.empty(0, dtype=np.int32))

    @classmethod
    def build(cls, attributes: Sequence[Mapping[str, Any]]) -> ItemTable:
        """Pack one mapping per item row, and index its `categories`, a list of names.

        `hidden: true` goes into `hidden`, not into the attributes.

        Raises:
            DataError: a text cannot be encoded as UTF-8.
        """
        names: dict[str, int] = {}
        pairs: list[tuple[int, int]] = []
        for row, item in enumerate(attributes):
            pairs += [
                (names.setdefault(category, len(names)), row)
                for category in item.get("categories", ())
            ]
        owners, rows = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
        try:
            packed = StringArray.build(
                json.dumps(
                    {name: value for name, value in item.items() if name != "hidden"},
                    ensure_ascii=False,
                    separators=(",", ":"),
                ).encode()
                for item in attributes
            )
        except UnicodeEncodeError as error:
            raise DataError(f"item attributes are not valid Unicode: {error.reason}") from error
        return cls(
            packed,
            IdMap.build(names),
            RowLists.build(owners, rows, len(names)),
            np.flatnonzero([item.get("hidden") is True for item in attributes]).astype(np.int32),
        )

    def check(self, n_items: int) -> None:
        """Check that the parts fit each other, and that some items' attributes are JSON objects.

        Raises:
            ValueError: a check fails.
        """
        self.attributes.check("item_attributes")
        try:
            objects = [json.loads(self.attributes[row]) for row in spread(n_items)]
        except (ValueError, RecursionError) as error:
            raise ValueError("item_attributes: not JSON") from error
        if not all(isinstance(item, dict) for item in objects):
            raise ValueError("item_attributes: not a JSON object")
        self.categories.check("categories")
        self.category_items.check("category_items", len(self.categories), n_items)
        hidden = self.hidden
        if len(hidden) and not (
            hidden[0] >= 0 and hidden[-1] < n_items and (hidden[1:] > hidden[:-1]).all()
        ):
            raise ValueError("hidden_items: not ascending item rows")

    def of(self, row: int) -> dict[str, Any]:
        """Return an item's attributes."""
        return json.loads(self.attributes[row])

    @cached_property
    def title(self) -> Callable[[int], str | None]:
        """Return an item's title by its row, None if it has none; the last titles are kept."""
        texts = self.attributes  # not `self`, which the function would keep alive

        @lru_cache(KEPT_TITLES)
        def title(row: int) -> str | None:
            return title_in(json.loads(texts[row]))

        return title

    def category_rows(self, names: Iterable[str]) -> list[int]:
        """Return the rows of the known categories among the given ones."""
        return self.categories.known_rows(names)


def title_in(attributes: Mapping[str, Any]) -> str | None:
    """Return the title among an item's attributes, None if there is none."""
    title = attributes.get("title")
    return None if title is None else str(title)
