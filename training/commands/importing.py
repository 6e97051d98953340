"""`hashrec import`: write events and items from files into the journal of a store."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

import typer

from hashrec.index.commands.file_options import FileOptions, with_options
from hashrec.index.commands.options import (
    DEFAULT_STORE,
    JournalOption,
    JsonOption,
    QuietOption,
    StoreOption,
)
from hashrec.index.commands.printing import print_json, say

if TYPE_CHECKING:
    from hashrec.training.data.importing import Advance, ImportReport

app = typer.Typer()
imports = typer.Typer(no_args_is_help=True)
app.add_typer(imports, name="import", help="Import events or items from a file into a store.")

FileArgument = Annotated[
    Path, typer.Argument(help="A table with named columns, in any format; - for standard input.")
]


@dataclass(frozen=True, kw_only=True)
class ItemFileOptions(FileOptions):
    """What only the user knows about a file of items; None where an option is not given."""

    map_option: ClassVar[str] = "--map-items"
    columns: Annotated[
        str | None,
        typer.Option(
            "--map-items",
            "--map",
            help="Columns by role, for example item=sku,title=name; categories=- for no column.",
        ),
    ] = None


@imports.command()
@with_options
def events(
    options: FileOptions,
    file: FileArgument,
    *,
    store: StoreOption = DEFAULT_STORE,
    default_type: Annotated[
        str, typer.Option("--type", help="Type of events that have none.")
    ] = "click",
    journal: JournalOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Import what users did.

    A running service takes the events into account at once. An event that is in the journal already
    is not written again.
    """
    from hashrec.training.data.importing import import_events, journal_to_write

    with closing(journal_to_write(store, journal)) as opened:
        _import(
            "events",
            lambda advance: import_events(
                file,
                opened,
                options.format_options(),
                default_type=default_type,
                max_bad=options.max_bad or 0,
                advance=advance,
            ),
            as_json=as_json,
            quiet=quiet,
        )


@imports.command()
@with_options
def items(
    options: ItemFileOptions,
    file: FileArgument,
    *,
    store: StoreOption = DEFAULT_STORE,
    journal: JournalOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Import new items and changed attributes.

    Attributes are titles, categories, times and whether an item is hidden. A running service takes
    them into account at once.
    """
    from hashrec.training.data.importing import import_items, journal_to_write

    with closing(journal_to_write(store, journal)) as opened:
        _import(
            "items",
            lambda advance: import_items(
                file,
                opened,
                store,
                options.format_options(),
                max_bad=options.max_bad or 0,
                advance=advance,
            ),
            as_json=as_json,
            quiet=quiet,
        )


def _import(
    what: str, work: Callable[[Advance], ImportReport], *, as_json: bool, quiet: bool
) -> None:
    from hashrec.index.commands.progress import count_bar

    with count_bar(what, None, None if quiet else sys.stderr) as advance:
        report = work(advance)
    for message in (*(() if quiet else report.reading), *report.warnings):
        say(message)
    if as_json:
        print_json(asdict(report))
        return
    merged = f", {report.merged:,} merged into other rows" if report.merged else ""
    bad = f", {report.bad:,} bad rows skipped" if report.bad else ""
    print(
        f"{report.rows:,} rows: {report.new:,} {what} written, {report.known:,} already known"
        f"{merged}{bad}"
    )
