"""`hashrec import`: events and items from files, into the journal of a store."""

from __future__ import annotations

import sys
from collections.abc import Callable
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
    print_json,
)

if TYPE_CHECKING:
    from hashrec.training.data.importing import Advance, ImportReport

app = typer.Typer()
imports = typer.Typer(no_args_is_help=True)
app.add_typer(
    imports, name="import", help="Take in events or items; a running service follows at once."
)

FileArgument = Annotated[Path, typer.Argument(help="JSON lines, Parquet or CSV.")]
MaxBadOption = Annotated[int, typer.Option(min=0, help="Unreadable rows to leave out.")]


@imports.command()
def events(
    file: FileArgument,
    *,
    store: StoreOption = DEFAULT_STORE,
    default_type: Annotated[
        str, typer.Option("--type", help="Of events that do not say what happened.")
    ] = "click",
    max_bad: MaxBadOption = 0,
    journal: JournalOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Take in what users did, each event once however often it is imported."""
    from hashrec.training.data.importing import import_events, journal_to_write

    opened = journal_to_write(store, journal)
    _import(
        "events",
        lambda advance: import_events(
            file, opened, default_type=default_type, max_bad=max_bad, advance=advance
        ),
        as_json=as_json,
        quiet=quiet,
    )
    opened.close()


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
    """Change the catalogue: titles, categories, times, what is hidden; also items that are new."""
    from hashrec.training.data.importing import import_items, journal_to_write

    opened = journal_to_write(store, journal)
    _import(
        "items",
        lambda advance: import_items(file, opened, store, max_bad=max_bad, advance=advance),
        as_json=as_json,
        quiet=quiet,
    )
    opened.close()


def _import(
    what: str, work: Callable[[Advance], ImportReport], *, as_json: bool, quiet: bool
) -> None:
    from hashrec.index.commands.progress import count_bar

    with count_bar(what, None, None if quiet else sys.stderr) as advance:
        report = work(advance)
    if as_json:
        print_json(asdict(report))
        return
    bad = f", {report.bad:,} bad rows left out" if report.bad else ""
    print(f"{report.new:,} {what} written, {report.known:,} known already{bad}")
