"""Options that mean the same in every command, and how commands print."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

StoreOption = Annotated[Path, typer.Option("--store", help="Folder of the published versions.")]
DEFAULT_STORE = Path(".hashrec/store")
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")]

JournalOption = Annotated[
    str | None,
    typer.Option(
        "--journal",
        metavar="URL",
        envvar="HASHREC_EVENTS__URL",
        help="Journal of events and catalogue changes; by default the one beside the versions.",
    ),
]


def say(message: str) -> None:
    """Tell the person at the terminal something that is not data: on stderr."""
    print(message, file=sys.stderr, flush=True)


def print_json(value: object) -> None:
    """Print data for machines: one JSON document on stdout."""
    print(json.dumps(value, ensure_ascii=False, indent=2, default=str))


def print_table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print data for people: aligned columns on stdout, numbers to the right."""
    from rich.console import Console  # noqa: PLC0415  80 ms that JSON output need not pay
    from rich.table import Table  # noqa: PLC0415

    table = Table(box=None, pad_edge=False)
    for position, column in enumerate(columns):
        numeric = all(isinstance(row[position], int | float) for row in rows)
        table.add_column(column, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(f"{cell:.4f}" if isinstance(cell, float) else str(cell) for cell in row))
    Console(width=None if sys.stdout.isatty() else 160).print(table)
