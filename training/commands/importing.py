"""`hashrec import`: write events and items from files into the journal of a store."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hashrec.index.commands.options import (
    DEFAULT_STORE,
    JournalOption,
    JsonOption,
    QuietOption,
    StoreOption,
)
from hashrec.index.commands.printing import print_json

if TYPE_CHECKING:
    from hashrec.training.data.importing import Advance, ImportReport

app = typer.Typer()
imports = typer.Typer(no_args_is_help=True)
app.add_typer(imports, name="import", help="Import events or items from a file into a store.")

FileArgument = Annotated[Path, typer.Argument(help="JSON lines, Parquet or CSV.")]
MaxBadOption = Annotated[int, typer.Option(min=0, help="Number of unreadable rows to skip.")]


@imports.command()
def events(
    file: FileArgument,
    *,
    store: StoreOption = DEFAULT_STORE,
    default_type: Annotated[
        str, typer.Option("--type", help="Type of events that have none.")
    ] = "click",
    max_bad: MaxBadOption = 0,
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
                file, opened, default_type=default_type, max_bad=max_bad, advance=advance
            ),
            as_json=as_json,
            quiet=quiet,
        )


@imports.command()
def items(
    file: FileArgument,
    *,
    store: StoreOption = DEFAULT_STORE,
    max_bad: MaxBadOption = 0,
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
            lambda advance: import_items(file, opened, store, max_bad=max_bad, advance=advance),
            as_json=as_json,
            quiet=quiet,
        )


def _import(
    what: str, work: Callable[[Advance], ImportReport], *, as_json: bool, quiet: bool
) -> None:
    from hashrec.index.commands.progress import count_bar

    with count_bar(what, None, None if quiet else sys.stderr) as advance:
        report = work(advance)
    if as_json:
        print_json(asdict(report))
        return
    bad = f", {report.bad:,} bad rows skipped" if report.bad else ""
    print(f"{report.new:,} {what} written, {report.known:,} already known{bad}")
