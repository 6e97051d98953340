"""`hashrec data`: public data sets, what a data file holds, and larger data for measurements."""

from __future__ import annotations

import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from hashrec.index.commands.completion import key_of
from hashrec.index.commands.file_options import with_options
from hashrec.index.commands.options import JsonOption, QuietOption
from hashrec.index.commands.printing import print_json, print_table
from hashrec.training.commands.options import (
    DataArgument,
    DataOptions,
    HomeOption,
)
from hashrec.training.commands.reporting import narrator_for, progress_for

app = typer.Typer()
data = typer.Typer(no_args_is_help=True)
app.add_typer(data, name="data", help="List, fetch, check and enlarge data sets.")


@data.command("list")
def list_data(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """List the data sets that have a name."""
    from hashrec.training.data.catalogue import default_data_home, list_datasets

    listed = list_datasets(home or default_data_home())
    if as_json:
        print_json([asdict(known) for known in listed])
    else:
        print_table(
            ("name", "here", "description"),
            [(known.name, "yes" if known.is_here else "no", known.description) for known in listed],
        )


@data.command()
def fetch(
    name: Annotated[
        str,
        typer.Argument(
            help="Name of a public data set, see `hashrec data list`.",
            autocompletion=key_of("hashrec.training.data.catalogue", "DATASETS"),
        ),
    ],
    home: HomeOption = None,
    quiet: QuietOption = False,
) -> None:
    """Download, verify and unpack a public data set."""
    from hashrec.training.data.catalogue import default_data_home
    from hashrec.training.data.catalogue import fetch as fetch_dataset
    from hashrec.training.progress import byte_bar

    with byte_bar(name, None if quiet else sys.stderr) as follow:
        print(fetch_dataset(name, home or default_data_home(), follow))


@data.command()
@with_options
def validate(options: DataOptions, source: DataArgument, as_json: JsonOption = False) -> None:
    """Read data as training would; print columns, counts and bad rows."""
    from hashrec.training.data.validation import validate as validate_file

    report = asdict(validate_file(source, **options.reading()))
    if as_json:
        print_json(report)
        return
    nested = {name: report.pop(name) for name in ("columns", "types", "hints", "strength")}
    rows = [(name.replace("_", " "), _shown(value)) for name, value in report.items()]
    for column in nested["columns"]:
        said = [f"{column['role']}: {column['why']}", column["read_as"]]
        if column["n_missing"]:
            said.append(f"{column['n_missing']} missing")
        if column["n_unreadable"]:
            said.append(f"{column['n_unreadable']} unreadable, {column['example']}")
        said.append(column["note"])
        rows.append((f"column {column['name']}", "; ".join(filter(None, said))))
    rows += [(f"type {name}", f"{count} rows") for name, count in nested["types"].items()]
    rows += [("strength", nested["strength"])] if nested["strength"] else []
    rows += [("hint", hint) for hint in nested["hints"]]
    print_table(("", source), rows)


def _shown(value: Any) -> str:
    """Round to six digits, which also suit the density of very sparse data."""
    if value is None:
        return "-"
    if isinstance(value, tuple) and not value:
        return "-"
    if isinstance(value, tuple):
        return ", ".join(map(_shown, value))
    return f"{value:.6g}" if isinstance(value, float) else str(value)


@data.command()
@with_options
def expand(
    options: DataOptions,
    source: DataArgument,
    users: Annotated[int, typer.Option(min=1, help="Users of the result.")],
    items: Annotated[int, typer.Option(min=1, help="Items of the result.")],
    interactions: Annotated[int, typer.Option(min=1, help="Interactions of the result.")],
    out: Annotated[Path, typer.Option(help="Parquet file to write.")],
    seed: Annotated[int, typer.Option(min=0, help="Seed of the draws.")] = 0,
    quiet: QuietOption = False,
) -> None:
    """Write a larger data set with the structure of a given one.

    To measure how time and memory grow with the size of the data.
    """
    from hashrec.training.data.catalogue import load_dataset
    from hashrec.training.data.fractal import expand as expand_interactions
    from hashrec.training.data.writing import write_parquet

    dataset = load_dataset(source, **options.reading(), max_bad=options.max_bad or 0)
    narrator_for(quiet)(dataset.description)
    progress, start = progress_for(quiet), time.monotonic()
    expanded = expand_interactions(
        dataset.interactions, users, items, interactions, seed=seed, progress=progress
    )
    progress.end_stage("expanding", time.monotonic() - start)
    write_parquet(expanded, out)
    print(out)
