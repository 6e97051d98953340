"""`hashrec reproduce`: the tables and figures of the paper, made again."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from hashrec.index.commands.options import JsonOption, QuietOption, print_json, say
from hashrec.index.errors import MissingLibraryError
from hashrec.training.commands.jobs import DeviceOption, HomeOption

app = typer.Typer()


@app.command()
def reproduce(
    table: Annotated[
        list[int] | None, typer.Option(help="Of the paper, 2, 3 or 4; repeatable.")
    ] = None,
    figure: Annotated[
        list[int] | None, typer.Option(help="Of the paper, 1, 2 or 3; repeatable.")
    ] = None,
    sweep: Annotated[
        list[str] | None,
        typer.Option(help="Setting of DGCN-BinCF: alpha, beta, nu, tau or binarizer; repeatable."),
    ] = None,
    *,
    splits: Annotated[int, typer.Option(min=1, help="Random splits, averaged.")] = 5,
    fast: Annotated[
        bool, typer.Option("--fast", help="Fewer passes, the same widths: to see it work.")
    ] = False,
    select: Annotated[
        bool,
        typer.Option("--select", help="Choose settings from grids on a part of the training part."),
    ] = False,
    data: Annotated[
        Path | None,
        typer.Option(help="File, data set by folder or name, or folder that holds such by name."),
    ] = None,
    home: HomeOption = None,
    out: Annotated[Path, typer.Option(help="Folder of runs, report and figures.")] = Path(
        "runs/reproduction"
    ),
    threads: Annotated[int | None, typer.Option(min=1, help="Of a run, at most.")] = None,
    device: DeviceOption = None,
    write_docs: Annotated[
        bool, typer.Option("--write-docs", help="Put the tables into docs/reproduction.md too.")
    ] = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Run the paper's experiments; without --table, --figure and --sweep Table 2 and all figures.

    Finished runs are kept in OUT and not made again. Writes OUT/report.md, OUT/report.json and the
    figures as SVG and PNG.
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
    report = run_all(request, store, performer, (lambda _: None) if quiet else say)
    text = publish(report, out, page)
    if as_json:
        print_json(report)
    else:
        print(text)
    say(f"report in {out / 'report.md'}")
    if report["failed"]:
        sys.exit(1)
