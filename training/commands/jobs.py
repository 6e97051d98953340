"""The `hashrec` commands that read data and train. torch and polars load when a command runs."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from dataclasses import asdict
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hashrec.index.commands.options import (
    DEFAULT_STORE,
    JsonOption,
    QuietOption,
    StoreOption,
    print_json,
    print_table,
    say,
)
from hashrec.index.errors import ConfigError

if TYPE_CHECKING:
    from hashrec.training.jobs.config import JobConfig
    from hashrec.training.progress import Progress

app = typer.Typer()
data_app = typer.Typer(no_args_is_help=True)
app.add_typer(data_app, name="data", help="Named data sets, and what a data file holds.")

HomeOption = Annotated[
    Path | None,
    typer.Option(
        "--data-home",
        envvar="HASHREC_DATA_HOME",
        help="Folder of the fetched data sets; ~/.cache/hashrec by default.",
    ),
]
DataOption = Annotated[str | None, typer.Option("--data", help="Named data set or path.")]
PresetOption = Annotated[
    str | None,
    typer.Option(
        help="Format of the file, in place of detection; or `paper`, the protocol of the paper: "
        "20-core, half of each user's items held out."
    ),
]
MapOption = Annotated[
    str | None, typer.Option("--map", help="Columns by role, such as user=uid,item=sku.")
]
MinValueOption = Annotated[
    float | None, typer.Option(help="Least value that counts as a positive; all do by default.")
]
TypesOption = Annotated[
    str | None,
    typer.Option(
        help="Types of interactions that are positives, such as click,buy; "
        "by default all but dislike, skip and hide."
    ),
]
ConfigOption = Annotated[Path | None, typer.Option(help="TOML file; flags go before it.")]
MaxBadOption = Annotated[
    int | None, typer.Option(min=0, help="Unreadable rows to leave out of a file.")
]
ItemsOption = Annotated[
    Path | None, typer.Option(help="File of the items' titles, categories and so on.")
]
ModelOption = Annotated[
    str | None,
    typer.Option(
        help="Hash model; by default auto: listwise, teacher and target chosen on held-out data."
    ),
]
TeacherOption = Annotated[
    str | None, typer.Option(help="Teacher; chosen with auto, else the model's own by default.")
]
BitsOption = Annotated[int | None, typer.Option(help="Width of the codes, a multiple of 8.")]
SeedOption = Annotated[int | None, typer.Option(min=0, help="Of the split and the training.")]
DeviceOption = Annotated[str | None, typer.Option(help="auto, cpu or cuda.")]
IndexOption = Annotated[
    str | None,
    typer.Option(help="Search index, for example flat (exact) or ivf (for millions of items)."),
]
RerankOption = Annotated[
    str | None,
    typer.Option(help="Re-order the nearest by small int8 vectors: off, or auto, where it pays."),
]
KCoreOption = Annotated[
    int | None,
    typer.Option(min=0, help="Drop users and items with fewer interactions, until none is left."),
]
FreshOption = Annotated[
    bool, typer.Option("--fresh", help="Start over, even if the same job was killed on the way.")
]

# What an option of `train` and `retrain` sets; the others are no settings of a job.
SETTING_OF_OPTION = {
    "data": "data.source",
    "home": "data.home",
    "k_core": "data.k_core",
    "min_value": "data.min_value",
    "types": "data.types",
    "events": "data.events",
    "negative_types": "data.negative_types",
    "max_bad": "data.max_bad",
    "items": "data.items",
    "split": "split.strategy",
    "test": "split.test",
    "validate": "split.by_validation",
    "teacher": "teacher.name",
    "model": "model.name",
    "bits": "model.n_bits",
    "index": "index",
    "rerank": "rerank",
    "k": "k",
    "seed": "seed",
    "device": "device",
}


def _job_options(
    data: DataOption = None,
    model: ModelOption = None,
    teacher: TeacherOption = None,
    config: ConfigOption = None,
    bits: BitsOption = None,
    preset: PresetOption = None,
    k_core: KCoreOption = None,
    seed: SeedOption = None,
    device: DeviceOption = None,
    index: IndexOption = None,
    rerank: RerankOption = None,
    columns: MapOption = None,
    min_value: MinValueOption = None,
    types: TypesOption = None,
    max_bad: MaxBadOption = None,
    items: ItemsOption = None,
    home: HomeOption = None,
) -> dict[str, Any]:
    """Return the options that every command that runs a job has."""
    return locals()


def _with_job_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command those of `_job_options` after its first; its first argument gathers them."""
    shared = inspect.signature(_job_options, eval_str=True).parameters
    _, first, *others = inspect.signature(command, eval_str=True).parameters.values()

    @wraps(command)
    def run(**options: Any) -> None:
        job = _job_options(**{name: options.pop(name) for name in shared})
        command(job, **options)

    options = [first, *shared.values(), *others]  # Typer reads the signature
    run.__signature__ = inspect.Signature(  # pyright: ignore[reportAttributeAccessIssue]
        [option.replace(kind=inspect.Parameter.KEYWORD_ONLY) for option in options]
    )
    return run


@app.command()
@_with_job_options
def train(
    job_options: dict[str, Any],
    *,
    out: Annotated[Path, typer.Option(help="Folder for the artifact and the report.")],
    split: Annotated[str | None, typer.Option(help="random, temporal, given or none.")] = None,
    test: Annotated[Path | None, typer.Option(help="Test file of `--split given`.")] = None,
    validate: Annotated[
        bool | None,
        typer.Option(
            "--validate",
            help="Judge by a tenth of the training part, not by the test part: to tune.",
        ),
    ] = None,
    k: Annotated[int | None, typer.Option(help="Length of the evaluated lists.")] = None,
    fresh: FreshOption = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Learn codes from interactions; writes OUT/artifact and OUT/report.json."""
    job = _job_config(job_options | {"split": split, "test": test, "validate": validate, "k": k})
    from hashrec.training.jobs.job import train as run_job

    report = run_job(job, out, _progress(quiet), _narrator(quiet), fresh=fresh)
    if as_json:
        print_json(asdict(report))
        return
    _print_metrics(report.metrics.get("validation" if validate else "test", {}))
    say(
        f"{report.version}: {report.bytes_per_item['total']} bytes an item, "
        f"{report.seconds['total']:.1f} s, peak {report.peak_memory_mb:,.0f} MB; "
        f"report in {out / 'report.json'}"
    )


@app.command()
def evaluate(
    run: Annotated[Path, typer.Argument(help="Folder that `hashrec train` wrote.")],
    k: Annotated[int, typer.Option(min=1, help="Length of the lists.")] = 100,
    as_json: JsonOption = False,
) -> None:
    """Rank each user's held-out items with the code that serves, and say what the codes do."""
    from hashrec.index.artifacts.artifact import artifact_of_run
    from hashrec.index.artifacts.manifest import Manifest
    from hashrec.training.jobs.job import examine, load_held_out
    from hashrec.training.judging.diagnostic_tables import tables

    artifact = artifact_of_run(run)
    relevant = load_held_out(run, Manifest.read(artifact).n_users)
    figures, diagnostics = examine(artifact, relevant, k)
    if as_json:
        print_json({**figures, "diagnostics": asdict(diagnostics)})
        return
    _print_metrics(figures)
    for columns, rows in tables(diagnostics):
        print()
        print_table(columns, rows)


@app.command()
@_with_job_options
def retrain(
    job_options: dict[str, Any],
    *,
    store: StoreOption = DEFAULT_STORE,
    max_drop: Annotated[
        float, typer.Option(min=0, max=1, help="Share NDCG may fall below the served one.")
    ] = 0.1,
    events: Annotated[
        str | None,
        typer.Option(
            "--events",
            "--journal",
            metavar="URL",
            envvar="HASHREC_EVENTS__URL",
            help="Journal whose events are data too; by default the one beside the versions.",
        ),
    ] = None,
    negative_types: Annotated[
        str | None,
        typer.Option(
            envvar="HASHREC_EVENTS__NEGATIVE_TYPES",
            help="Types of events that take an interaction back. [dislike,skip,hide]",
        ),
    ] = None,
    once: Annotated[
        bool, typer.Option("--once", help="Do nothing if the store serves a valid version already.")
    ] = False,
    fresh: FreshOption = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Train on the current data; publish unless the model ranks worse than the served one."""
    from hashrec.index.artifacts.store import Store

    if once and (served := Store(store).served()) is not None:
        say(f"{store} serves {served.version} already")
        return

    options = {"split": "none", "events": events, "negative_types": _types(negative_types)}
    job = _job_config(job_options | options)
    from hashrec.training.jobs.retraining import retrain as run_job

    report = run_job(job, store, max_drop, _progress(quiet), _narrator(quiet), fresh=fresh)
    if as_json:
        print_json(asdict(report))
    else:
        _print_metrics(report.metrics["validation"])
        print(report.version)


@data_app.command("list")
def list_data(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """List the named data sets and whether they are here."""
    from hashrec.training.data.catalogue import default_data_home, list_datasets

    listed = list_datasets(home or default_data_home())
    if as_json:
        print_json([asdict(known) for known in listed])
    else:
        print_table(
            ("name", "here", "description"),
            [(known.name, "yes" if known.is_here else "no", known.description) for known in listed],
        )


@data_app.command()
def fetch(
    name: Annotated[str, typer.Argument(help="A name that `hashrec data list` gives.")],
    home: HomeOption = None,
    quiet: QuietOption = False,
) -> None:
    """Download a public data set from its owner, verify and unpack it."""
    from hashrec.training.data.catalogue import default_data_home
    from hashrec.training.data.catalogue import fetch as fetch_dataset
    from hashrec.training.progress import byte_bar

    with byte_bar(name, None if quiet else sys.stderr) as follow:
        print(fetch_dataset(name, home or default_data_home(), follow))


@data_app.command()
def validate(
    path: Annotated[str, typer.Argument(help="File or folder.")],
    preset: PresetOption = None,
    columns: MapOption = None,
    min_value: MinValueOption = None,
    types: TypesOption = None,
    as_json: JsonOption = False,
) -> None:
    """Read a data file as training would, and say what it holds."""
    from hashrec.training.data.validation import validate as validate_file

    report = asdict(
        validate_file(
            path,
            preset=preset,
            columns=_columns(columns),
            min_value=min_value,
            types=_types(types),
        )
    )
    if as_json:
        print_json(report)
    else:
        print_table(
            ("", path), [(name.replace("_", " "), str(value)) for name, value in report.items()]
        )


@data_app.command()
def expand(
    source: Annotated[str, typer.Argument(help="Named data set or path.")],
    users: Annotated[int, typer.Option(min=1, help="Users of the result.")],
    items: Annotated[int, typer.Option(min=1, help="Items of the result.")],
    interactions: Annotated[int, typer.Option(min=1, help="Interactions of the result.")],
    out: Annotated[Path, typer.Option(help="Parquet file to write.")],
    seed: Annotated[int, typer.Option(min=0, help="Of the draws.")] = 0,
    preset: PresetOption = None,
    columns: MapOption = None,
    min_value: MinValueOption = None,
    types: TypesOption = None,
    max_bad: MaxBadOption = None,
    home: HomeOption = None,
    quiet: QuietOption = False,
) -> None:
    """Make a larger set with the structure of a given one, to measure how cost grows with size."""
    from hashrec.training.data.catalogue import load_dataset
    from hashrec.training.data.fractal import expand as expand_interactions
    from hashrec.training.data.writing import write_parquet

    dataset = load_dataset(
        source,
        data_home=home,
        preset=preset,
        columns=_columns(columns),
        min_value=min_value,
        types=_types(types),
        max_bad=max_bad or 0,
    )
    _narrator(quiet)(dataset.description)
    expanded = expand_interactions(
        dataset.interactions, users, items, interactions, seed=seed, progress=_progress(quiet)
    )
    write_parquet(expanded, out)
    print(out)


def _job_config(options: dict[str, Any]) -> JobConfig:
    """Lay a command's options over its TOML file and the `paper` preset between the two."""
    from hashrec.training.jobs.config import PAPER_PROTOCOL, PAPER_SETTINGS, load_config

    flags = {
        setting: options[name]
        for name, setting in SETTING_OF_OPTION.items()
        if options.get(name) is not None
    }
    if options["preset"] == PAPER_PROTOCOL:
        flags = PAPER_SETTINGS | flags
    else:
        flags["data.preset"] = options["preset"]
    flags["data.columns"] = _columns(options["columns"])
    flags["data.types"] = _types(options["types"])
    return load_config(options["config"], flags)


def _columns(text: str | None) -> dict[str, str] | None:
    """Parse `user=uid,item=sku`.

    Raises:
        ConfigError: it is not of that form.
    """
    if text is None:
        return None
    pairs = [part.partition("=") for part in text.split(",")]
    if not all(role and column for role, _, column in pairs):
        raise ConfigError(f"--map {text!r} is not of the form user=COLUMN,item=COLUMN")
    return {role.strip(): column.strip() for role, _, column in pairs}


def _types(text: str | None) -> tuple[str, ...] | None:
    """Parse `click,buy`."""
    return None if text is None else tuple(name.strip() for name in text.split(","))


def _progress(quiet: bool) -> Progress:
    from hashrec.training.progress import BarProgress, QuietProgress

    return QuietProgress() if quiet else BarProgress(sys.stderr)


def _narrator(quiet: bool) -> Any:
    return (lambda _message: None) if quiet else say


def _print_metrics(figures: dict[str, dict[str, Any]]) -> None:
    if not figures:
        return
    k = next(iter(figures.values()))["k"]
    names = ("recall", "map", "ndcg", "coverage")
    print_table(
        ("ranked by", "users", *(name if name == "coverage" else f"{name}@{k}" for name in names)),
        [
            (what, judged["n_users"], *(judged[name] for name in names))
            for what, judged in figures.items()
        ],
    )
