"""The state of a journal for offline jobs: its overlay, and the items of the catalogue now."""

from __future__ import annotations

from collections.abc import Collection, Generator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from hashrec.index.live.catalogue import items_of_rows
from hashrec.index.live.catalogue_view import ItemNow, added_item
from hashrec.index.live.journal import Journal, journal_beside, open_journal
from hashrec.index.live.model_overlay import ModelOverlay
from hashrec.index.live.overlay import Overlay
from hashrec.index.model.model import Model
from hashrec.index.strength import ALIKE, Strength

ENTRIES_AT_ONCE = 10_000


@contextmanager
def journal_of(store: Path, url: str | None) -> Generator[Journal | None]:
    """Open the journal that a service of this store writes, and close it after the block.

    Args:
        store: the journal lies beside its versions unless `url` names it.
        url: as HASHREC_EVENTS__URL has it.

    Yields:
        None where there is no journal.

    Raises:
        JournalError: it cannot be read.
    """
    path = journal_beside(store)
    if url is None and not path.is_file():
        yield None
        return
    with closing(open_journal(f"sqlite:{path}" if url is None else url)) as journal:
        yield journal


def overlay_of(
    journal: Journal | None,
    *,
    after: int = 0,
    strength: Strength = ALIKE,
    negative_types: Collection[str] | None = None,
) -> Overlay:
    """Apply every entry of a journal, events only from a position on; see `Overlay`."""
    overlay = Overlay(negative_types, floor=after, strength=strength)
    if journal is not None:
        position = 0
        while entries := journal.read(position, ENTRIES_AT_ONCE):
            overlay.apply(entries)
            position = entries[-1].position
    return overlay


def items_now(model: Model | None, overlay: Overlay) -> Iterator[ItemNow]:
    """Yield the model's items by row, without the deleted ones, then those it does not have."""
    if model is not None:
        catalogue = ModelOverlay(overlay, model).catalogue()
        yield from items_of_rows(model, catalogue, range(len(model.items)))
        yield from catalogue.added.values()
        return
    for item_id, state in overlay.changed_items().items():
        if (item := added_item(item_id, state)) is not None:
            yield item
