"""The catalogue as it is now: a model's items, and what the journal says of them and of others."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hashrec.index.live.journal import Journal, journal_beside, open_journal
from hashrec.index.live.overlay import NEGATIVE_TYPES, Overlay
from hashrec.index.model.model import Model

ENTRIES_AT_ONCE = 10_000


@dataclass(frozen=True, slots=True)
class ItemNow:
    """An item of the catalogue.

    Attributes:
        attributes: whatever is known of it, `title`, `categories` and `timestamp` among them.
        hidden: whether answers leave it out.
    """

    item_id: str
    attributes: Mapping[str, Any]
    hidden: bool


def journal_of(store: Path, url: str | None) -> Journal | None:
    """Open the journal that a service of this store writes, None where there is none.

    Args:
        store: the journal lies beside its versions unless `url` names it.
        url: as HASHREC_EVENTS__URL has it.

    Raises:
        JournalError: it cannot be read.
    """
    if url is not None:
        return open_journal(url)
    path = journal_beside(store)
    return open_journal(f"sqlite:{path}") if path.is_file() else None


def overlay_of(
    journal: Journal | None,
    *,
    after: int = 0,
    negative_types: Collection[str] = NEGATIVE_TYPES,
) -> Overlay:
    """Apply every entry of a journal, events only from a position on."""
    overlay = Overlay(negative_types, floor=after)
    if journal is not None:
        position = 0
        while entries := journal.read(position, ENTRIES_AT_ONCE):
            overlay.apply(entries)
            position = entries[-1].position
    return overlay


def items_now(model: Model | None, overlay: Overlay) -> Iterator[ItemNow]:
    """Yield the model's items by row, but for deleted ones, then those it does not have."""
    if model is not None:
        yield from _items_of_model(model, overlay)
    for item_id, state in overlay.changed_items().items():
        known = model is not None and model.items.row(item_id) is not None
        if not known and not state.deleted and state.attributes is not None:
            yield ItemNow(item_id, state.attributes, bool(state.hidden))


def _items_of_model(model: Model, overlay: Overlay) -> Iterator[ItemNow]:
    hidden_by_model = set(model.item_table.hidden.tolist())
    for row in range(len(model.items)):
        item_id = model.items.id(row)
        state = overlay.item(item_id)
        hidden = row in hidden_by_model
        if state is None:
            yield ItemNow(item_id, model.item_table.of(row), hidden)
        elif not state.deleted:
            yield ItemNow(
                item_id,
                model.item_table.of(row) if state.attributes is None else state.attributes,
                hidden if state.hidden is None else state.hidden,
            )
