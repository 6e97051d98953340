"""`hashrec export`: items, users, events and codes of a store, as files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from hashrec.index.commands.options import (
    DEFAULT_STORE,
    JournalOption,
    QuietOption,
    StoreOption,
    VersionOption,
)
from hashrec.index.commands.writing import OutOption, write_counted

if TYPE_CHECKING:
    from hashrec.index.artifacts.artifact import Artifact
    from hashrec.index.files.tables import Schema

app = typer.Typer()
export = typer.Typer(no_args_is_help=True)
app.add_typer(export, name="export", help="Export items, users, events or codes to a file.")


@export.command()
def items(
    out: OutOption,
    store: StoreOption = DEFAULT_STORE,
    version: VersionOption = None,
    journal: JournalOption = None,
    quiet: QuietOption = False,
) -> None:
    """Write the model's items with the changes made since."""
    from hashrec.index.files import exporting  # noqa: PLC0415
    from hashrec.index.live.catalogue_state import journal_of, overlay_of  # noqa: PLC0415

    model = _opened(store, version).model
    with journal_of(store, journal) as opened:
        overlay = overlay_of(opened)
    parts = exporting.item_parts(model, overlay)
    _write(out, exporting.ITEMS, parts, "items", total=len(model.items), quiet=quiet)


@export.command()
def users(
    out: OutOption,
    store: StoreOption = DEFAULT_STORE,
    version: VersionOption = None,
    quiet: QuietOption = False,
) -> None:
    """Write the model's users."""
    from hashrec.index.files import exporting  # noqa: PLC0415

    model = _opened(store, version).model
    parts = exporting.user_parts(model)
    _write(out, exporting.USERS, parts, "users", total=len(model.users), quiet=quiet)


@export.command()
def events(
    out: OutOption,
    store: StoreOption = DEFAULT_STORE,
    journal: JournalOption = None,
    quiet: QuietOption = False,
) -> None:
    """Write all accepted events, in order.

    `hashrec train --data` reads the file.
    """
    from hashrec.index.files import exporting  # noqa: PLC0415
    from hashrec.index.live.catalogue_state import journal_of  # noqa: PLC0415

    with journal_of(store, journal) as opened:
        parts = iter(()) if opened is None else exporting.event_parts(opened)
        _write(out, exporting.EVENTS, parts, "events", total=None, quiet=quiet)


@export.command()
def codes(
    out: OutOption,
    of: Annotated[
        Literal["users", "items", "both"], typer.Option(help="Owners of the codes.")
    ] = "both",
    store: StoreOption = DEFAULT_STORE,
    version: VersionOption = None,
    quiet: QuietOption = False,
) -> None:
    """Write codes in hexadecimal.

    Sign d is bit d % 8, least significant first, of byte d // 8.
    """
    from hashrec.index.files import exporting  # noqa: PLC0415

    model = _opened(store, version).model
    total = (of != "items") * len(model.users) + (of != "users") * len(model.items)
    owners: dict[str, tuple[exporting.Owner, ...]] = {
        "users": ("user",), "items": ("item",), "both": ("user", "item"),
    }  # fmt: skip
    parts = exporting.code_parts(model, owners[of])
    _write(out, exporting.CODES, parts, "codes", total=total, quiet=quiet)


def _opened(store: Path, version: str | None) -> Artifact:
    from hashrec.index.artifacts.store import Store  # noqa: PLC0415

    return Store(store).open(version)


def _write(
    out: Path,
    schema: Schema,
    parts: Iterator[dict[str, Sequence[Any]]],
    what: str,
    *,
    total: int | None,
    quiet: bool,
) -> None:
    def counted() -> Iterator[tuple[Mapping[str, Sequence[Any]], int]]:
        for part in parts:
            yield part, len(next(iter(part.values())))

    write_counted(out, schema, counted(), what, total=total, quiet=quiet)
