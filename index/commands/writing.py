"""Write a table part by part to a file, with a bar: for the commands that make files."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hashrec.index.commands.printing import say

if TYPE_CHECKING:
    from hashrec.index.files.tables import Schema

OutOption = Annotated[
    Path, typer.Option("--out", help="File to write; its name ends with .jsonl, .csv or .parquet.")
]


def write_counted(
    out: Path,
    schema: Schema,
    parts: Iterable[tuple[Mapping[str, Sequence[Any]], int]],
    what: str,
    *,
    total: int | None,
    quiet: bool,
) -> None:
    """Write parts as they come.

    Args:
        out: the file; its name is printed on stdout afterwards.
        schema: of its columns.
        parts: columns, and the number of things they describe.
        what: is counted.
        total: number of things in all parts, if it is known.
        quiet: print no progress.
    """
    from hashrec.index.commands.progress import count_bar  # noqa: PLC0415
    from hashrec.index.files.tables import writing_table  # noqa: PLC0415

    n_done = 0
    advance: Callable[[int], None]
    with (
        writing_table(out, schema) as write,
        count_bar(what, total, None if quiet else sys.stderr) as advance,
    ):
        for columns, n in parts:
            write(columns)
            n_done += n
            advance(n)
    if not quiet:
        say(f"{n_done:,} {what}")
    print(out)
