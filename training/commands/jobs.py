"""`hashrec train`, `hashrec evaluate` and `hashrec retrain`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from hashrec.index.commands.completion import one_of
from hashrec.index.commands.file_options import with_options
from hashrec.index.commands.options import DEFAULT_STORE, JsonOption, QuietOption, StoreOption
from hashrec.index.commands.printing import print_json, print_table, say
from hashrec.training.commands.options import (
    FreshOption,
    JobOptions,
    parse_types,
)
from hashrec.training.commands.reporting import narrator_for, print_metrics, progress_for

app = typer.Typer()


@app.command()
@with_options
def train(
    job: JobOptions,
    *,
    out: Annotated[Path, typer.Option(help="Folder for the artifact and the report.")],
    split: Annotated[
        str | None,
        typer.Option(
            help="What to hold out: random half of each user's items; time, all after one moment "
            "(--at); temporal, each user's latest item, which leaks the future; given (--test); "
            "or none. [random]",
            autocompletion=one_of("random", "time", "temporal", "given", "none"),
        ),
    ] = None,
    at: Annotated[
        str | None,
        typer.Option(
            metavar="DATE|SHARE",
            help="Where `--split time` cuts: a date (ISO 8601, UTC by default), or the share of "
            "the interactions that lies after the cut. [0.2]",
        ),
    ] = None,
    test: Annotated[Path | None, typer.Option(help="Test file of `--split given`.")] = None,
    validate: Annotated[
        bool | None,
        typer.Option(
            "--validate",
            help="To compare settings: judge on a tenth of the training part, not the test part.",
        ),
    ] = None,
    k: Annotated[
        int | None,
        typer.Option(help="Length of the lists to serve: settings are chosen by NDCG@k. [20]"),
    ] = None,
    fresh: FreshOption = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Train a model on interactions and judge it.

    Writes OUT/artifact, which `hashrec publish` takes, and OUT/report.json.
    """
    config = job.config_with(split=split, at=at, test=test, validate=validate, k=k)
    from hashrec.training.jobs.training import train as run_job

    report = run_job(config, out, progress_for(quiet), narrator_for(quiet), fresh=fresh)
    if as_json:
        print_json(asdict(report))
        return
    print_metrics(report.metrics.get("validation" if validate else "test", {}))
    say(
        f"{report.version}: {report.bytes_per_item['total']} bytes an item, "
        f"{report.seconds['total']:.1f} s, peak {report.peak_memory_mb:,.0f} MB; "
        f"report in {out / 'report.json'}"
    )


@app.command()
def evaluate(
    run: Annotated[Path, typer.Argument(help="Folder that `hashrec train` wrote.")],
    k: Annotated[
        int, typer.Option(min=1, help="Length of the lists; 10, 20 and 100 are printed anyway.")
    ] = 20,
    as_json: JsonOption = False,
) -> None:
    """Judge a trained model on its held-out interactions.

    Ranks with the search index that serves, and prints diagnostics of the codes.
    """
    from hashrec.index.artifacts.artifact import artifact_of_run
    from hashrec.index.artifacts.manifest import Manifest
    from hashrec.training.jobs.outputs import load_held_out
    from hashrec.training.judging.artifacts import examine
    from hashrec.training.judging.diagnostic_tables import tables

    artifact = artifact_of_run(run)
    relevant = load_held_out(run, Manifest.read(artifact).n_users)
    figures, diagnostics = examine(artifact, relevant, k)
    if as_json:
        print_json({**figures, "diagnostics": asdict(diagnostics)})
        return
    print_metrics(figures)
    for columns, rows in tables(diagnostics):
        print()
        print_table(columns, rows)


@app.command()
@with_options
def retrain(
    job: JobOptions,
    *,
    store: StoreOption = DEFAULT_STORE,
    max_drop: Annotated[
        float,
        typer.Option(
            min=0, max=1, help="Share by which NDCG may fall below that of the served version."
        ),
    ] = 0.1,
    gate: Annotated[
        str | None,
        typer.Option(
            help="What the new model is judged by: time, the interactions after one moment, or "
            "random ones. [as the served version was judged, else time where the data have times]",
            autocompletion=one_of("time", "random"),
        ),
    ] = None,
    events: Annotated[
        str | None,
        typer.Option(
            "--events",
            "--journal",
            metavar="URL",
            envvar="HASHREC_EVENTS__URL",
            help="Journal whose events are added to the data. [the one in the store's folder]",
        ),
    ] = None,
    negative_types: Annotated[
        str | None,
        typer.Option(
            envvar="HASHREC_EVENTS__NEGATIVE_TYPES",
            help="Types of events that cancel an earlier interaction. [dislike,skip,hide]",
        ),
    ] = None,
    once: Annotated[
        bool, typer.Option("--once", help="Do nothing if the store already serves a valid version.")
    ] = False,
    fresh: FreshOption = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Train and publish, unless the new model ranks worse.

    Trains on the current data and the events of the journal. The new model is compared with the
    served one on held-out interactions.
    """
    from hashrec.index.artifacts.store import Store

    if once and (served := Store(store).served()) is not None:
        say(f"{store} serves {served.version} already")
        return

    config = job.config_with(
        split="none", events=events, negative_types=parse_types(negative_types)
    )
    from hashrec.training.jobs.retraining import retrain as run_job

    report = run_job(
        config, store, max_drop, progress_for(quiet), narrator_for(quiet), gate=gate, fresh=fresh
    )
    if as_json:
        print_json(asdict(report))
    else:
        print_metrics(report.metrics["validation"])
        print(report.version)
