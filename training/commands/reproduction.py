"""`hashrec reproduce`: make the tables and figures of the paper again."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from hashrec.index.commands.completion import key_of
from hashrec.index.commands.options import JsonOption, QuietOption
from hashrec.index.commands.printing import print_json, say
from hashrec.index.errors import MissingLibraryError
from hashrec.training.commands.options import DeviceOption, HomeOption
from hashrec.training.commands.reporting import narrator_for

app = typer.Typer()


@app.command()
def reproduce(
    table: Annotated[
        list[int] | None, typer.Option(help="Table of the paper: 2, 3 or 4; repeatable.")
    ] = None,
    figure: Annotated[
        list[int] | None, typer.Option(help="Figure of the paper: 1, 2 or 3; repeatable.")
    ] = None,
    sweep: Annotated[
        list[str] | None,
        typer.Option(
            help="Setting of DGCN-BinCF to vary: alpha, beta, nu, tau or binarizer; repeatable.",
            autocompletion=key_of("hashrec.training.reproduction.methods", "SWEEPS"),
        ),
    ] = None,
    *,
    splits: Annotated[
        int, typer.Option(min=1, help="Number of random splits to average over.")
    ] = 5,
    fast: Annotated[
        bool, typer.Option("--fast", help="Train for fewer epochs, to try the command.")
    ] = False,
    select: Annotated[
        bool,
        typer.Option("--select", help="Choose settings from grids on a part of the training data."),
    ] = False,
    data: Annotated[
        Path | None,
        typer.Option(help="A file, a data set by name or folder, or a folder of data sets."),
    ] = None,
    home: HomeOption = None,
    out: Annotated[Path, typer.Option(help="Folder for the runs, the report and figures.")] = Path(
        "runs/reproduction"
    ),
    threads: Annotated[int | None, typer.Option(min=1, help="Most threads for a run.")] = None,
    device: DeviceOption = None,
    write_docs: Annotated[
        bool, typer.Option("--write-docs", help="Write the tables into docs/reproduction.md too.")
    ] = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Run the experiments of the paper.

    By default Table 2 and all figures. Finished runs stay in OUT and are not repeated. Writes
    OUT/report.md, OUT/report.json and the figures as SVG and PNG.
    """
    if not (table or figure or sweep):
        table, figure = [2], [1, 2, 3]
    if (figure or sweep) and find_spec("matplotlib") is None:
        raise MissingLibraryError("a figure", "matplotlib", "plots")
    from hashrec.training.reproduction.methods import FAST, FULL
    from hashrec.training.reproduction.publishing import page_of_docs, publish
    from hashrec.training.reproduction.reproducing import Request, in_processes
    from hashrec.training.reproduction.reproducing import reproduce as run_all
    from hashrec.training.reproduction.store import ResultStore

    page = page_of_docs() if write_docs else None
    request = Request(
        tables=table or (),
        figures=figure or (),
        sweeps=sweep or (),
        n_splits=splits,
        effort=FAST if fast else FULL,
        select=select,
        data=data,
        home=home,
    )
    store = ResultStore(out)
    performer = in_processes(store, device or "auto", threads, draws=not quiet)
    report = run_all(request, store, performer, narrator_for(quiet))
    text = publish(report, out, page)
    if as_json:
        print_json(report)
    else:
        print(text)
    say(f"report in {out / 'report.md'}")
    if report["failed"]:
        sys.exit(1)
