"""Read, train, evaluate, publish and retrain from Python: the jobs of the command line."""

from __future__ import annotations

import sys
from collections.abc import Collection, Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, Literal, TypedDict, Unpack

from hashrec.index.artifacts.artifact import artifact_of_run
from hashrec.index.artifacts.manifest import Manifest
from hashrec.index.artifacts.store import Store
from hashrec.index.errors import ConfigError
from hashrec.index.reading.options import FormatOptions
from hashrec.training.data.catalogue import Dataset, load_dataset
from hashrec.training.jobs.config import config_of
from hashrec.training.jobs.outputs import load_held_out
from hashrec.training.jobs.report import Report
from hashrec.training.jobs.retraining import retrain as run_retraining
from hashrec.training.jobs.training import train as run_training
from hashrec.training.judging.artifacts import examine
from hashrec.training.progress import Progress, QuietProgress, Say, shown_on


class ReadOptions(TypedDict, total=False):
    """Keywords that say how a file is read; see `docs/files.md`.

    Attributes:
        items: file of titles, categories and other attributes of the items.
        item_columns: role -> column of that file, such as `{"item": "sku", "title": "name"}`.
        preset: name of the file's format, in place of detection.
        columns: role -> column name, such as `{"user": "buyer", "item": "sku"}`; `-` for none.
        separator: of the fields, one character. Default: detected.
        decimal: decimal mark of numbers, `.` or `,`. Default: detected.
        encoding: of the text, for example `latin-1`. Default: UTF-8 or UTF-16, detected.
        quoting: whether quotes enclose fields. Default: they do.
        time_format: of the timestamps, a unit such as `seconds`, or a pattern such as `%d.%m.%Y`.
        min_value: least value of a positive interaction. Default: all are positive.
        types: types of positive interactions. Default: all but dislike, skip and hide.
        max_bad: number of unreadable rows to skip in a file. Default 0.
        home: folder of the fetched data sets. Default `~/.cache/hashrec`.
    """

    items: str | Path | None
    item_columns: Mapping[str, str] | None
    preset: str | None
    columns: Mapping[str, str] | None
    separator: str | None
    decimal: Literal[".", ","] | None
    encoding: str | None
    quoting: bool | None
    time_format: str | None
    min_value: float | None
    types: Collection[str] | None
    max_bad: int
    home: str | Path | None


class JobOptions(ReadOptions, total=False):
    """Keywords of `train` and `retrain`, with the names and defaults of the command line.

    Attributes:
        model: a hash model, or `auto`. Default `auto`.
        teacher: a teacher. Default: chosen on held-out data for `auto`, else the model's own.
        bits: width of the codes, a multiple of 8. Default 192.
        k_core: drop users and items with fewer interactions, repeatedly. Default 0, keep all.
        k: length of the lists to serve: settings are chosen by NDCG@k. Default 20.
        index: type of the search index. Default `flat`.
        rerank: `auto` adds vectors that re-rank if they help. Default `off`.
        strength: what interactions are worth: `auto`, derived from the data and used if it helps;
            `off`, all alike; a TOML file with a table `[strength]`, or its settings as a mapping.
            Default `auto`.
        seed: seed of the split and of the training. Default 0.
        device: `auto`, `cpu` or `cuda`. Default `auto`.
    """

    model: str
    teacher: str
    bits: int
    k_core: int
    k: int
    index: str
    rerank: Literal["off", "auto"]
    strength: str | Path | Mapping[str, Any]
    seed: int
    device: Literal["auto", "cpu", "cuda"]


def read(source: str | Path, **options: Unpack[ReadOptions]) -> Dataset:
    """Read a file, a folder of Parquet files, or a named data set.

    Args:
        source: a path, or a name of `hashrec data list`.
        **options: see `ReadOptions`.

    Raises:
        DataError: the data are missing, damaged, or of an unknown format.
        TooManyBadRowsError: more rows are bad than `max_bad`.
        ConfigError: an option is unknown.
    """
    if unknown := sorted(set(options) - set(ReadOptions.__annotations__)):
        raise ConfigError(
            f"no option {unknown[0]!r}; the options are {', '.join(ReadOptions.__annotations__)}"
        )
    given: dict[str, Any] = {name: value for name, value in options.items() if value is not None}
    home, items = (given.pop(name, None) for name in ("home", "items"))
    names = {field.name for field in fields(FormatOptions)}
    formats = {name: given.pop(name) for name in names & given.keys()}
    return load_dataset(
        str(source),
        data_home=None if home is None else Path(home),
        items=None if items is None else Path(items),
        options=FormatOptions(**formats),
        **given,
    )


def train(
    data: str | Path | Dataset,
    out: str | Path,
    *,
    split: Literal["random", "time", "temporal", "given", "none"] = "random",
    at: str | float | None = None,
    test: str | Path | None = None,
    validate: bool = False,
    config: str | Path | None = None,
    fresh: bool = False,
    progress: bool = False,
    **options: Unpack[JobOptions],
) -> Report:
    """Learn codes, and write an artifact and a report.

    Args:
        data: a path, the name of a data set, or what `read` returned.
        out: folder of the run. The same job that was killed there resumes.
        split: what to hold out for the evaluation: a `random` half of each user's items; `time`,
            all after one moment; `temporal`, each user's latest item, which leaks the future; the
            `given` test file; or `none`.
        at: where the split `time` cuts: a date (ISO 8601, UTC by default), or the share of the
            interactions that lies after the cut. Default 0.2.
        test: the test file of the split `given`.
        validate: evaluate on a tenth of the training part in place of the test part.
        config: TOML file of settings; the keywords override it.
        fresh: start over, even if the same job was killed.
        progress: show progress and messages on stderr.
        **options: see `JobOptions`.

    Returns:
        The report, which is in `out/report.json` too.

    Raises:
        ConfigError: an option is unknown or out of range, or options of reading are given for data
            that are read already.
        DataError: the data cannot be read, or are too few.
    """
    settings: dict[str, Any] = {**options, "split": split, "at": at, "test": test}
    settings["validate"] = validate
    dataset = None
    if isinstance(data, Dataset):
        if given := sorted(set(options) & set(ReadOptions.__annotations__)):
            raise ConfigError(f"the data are read already: give {given[0]!r} to hashrec.read")
        if options.get("strength", "auto") not in ("auto", "off"):
            raise ConfigError("strength: the data are read already: give their path to train")
        dataset, data = data, data.name
    job = config_of(_path(config), settings | {"data": str(data)})
    return run_training(job, Path(out), *_followers(progress), fresh=fresh, dataset=dataset)


def evaluate(run: str | Path, k: int = 20) -> dict[str, Any]:
    """Rank the held-out items of a run with the code that serves.

    Args:
        run: folder that `train` wrote.
        k: length of the lists; the figures at 10, 20 and 100 are there anyway.

    Returns:
        `codes`, `popularity`, where there are times `popularity_7d` and `popularity_30d`, of the
        last days before the cut, and, if the model re-ranks, `reranked`: each `k`, `n_users`, and
        `recall`, `precision`, `hit_rate`, `map`, `mrr`, `ndcg`, `coverage` and `novelty` at k, and
        at every length by names such as `ndcg@10`; and `diagnostics` of the codes, see
        `docs/diagnostics.md`.

    Raises:
        NoRunError: the folder has no artifact.
        DataError: the run held nothing out.
    """
    artifact = artifact_of_run(Path(run))
    relevant = load_held_out(Path(run), Manifest.read(artifact).n_users)
    figures, diagnostics = examine(artifact, relevant, k)
    return {**figures, "diagnostics": asdict(diagnostics)}


def publish(run: str | Path, store: str | Path, *, activate: bool = True) -> str:
    """Verify the artifact of a run, copy it into a store and serve it.

    Args:
        run: folder that `train` wrote.
        store: folder of the published versions; made if it does not exist.
        activate: False publishes the version and leaves the served one in place.

    Returns:
        The version.

    Raises:
        NoRunError: the folder has no artifact.
        ArtifactCorruptError: a file of the artifact is damaged; the store does not change.
        StoreBusyError: another job writes to the store.
    """
    return Store(Path(store)).publish(artifact_of_run(Path(run)), activate=activate)


def retrain(
    data: str | Path,
    store: str | Path,
    *,
    max_drop: float = 0.1,
    gate: Literal["time", "random"] | None = None,
    events: str | None = None,
    negative_types: Collection[str] | None = None,
    config: str | Path | None = None,
    fresh: bool = False,
    progress: bool = False,
    **options: Unpack[JobOptions],
) -> Report:
    """Train on the current data; publish unless the model ranks worse than the served one.

    Args:
        data: a path or the name of a data set.
        store: folder of the published versions.
        max_drop: share by which NDCG may be below that of the served version, 0 to 1.
        gate: what the new model is judged by: the interactions after one moment (`time`), or
            `random` ones. Default: as the served version was judged, else `time` where the data
            have times.
        events: URL of a journal of events to learn from. Default: the journal of the store.
        negative_types: types of events that take an interaction back.
        config: TOML file of settings; the keywords override it.
        fresh: start over, even if the same job was killed.
        progress: show progress and messages on stderr.
        **options: see `JobOptions`.

    Raises:
        QualityGateError: the model ranks too badly; the served version stays.
        StoreBusyError: another retraining runs on this store.
        HashrecError: any other failure; the served version stays.
    """
    settings: dict[str, Any] = {**options, "events": events, "negative_types": negative_types}
    job = config_of(_path(config), settings | {"data": str(data), "split": "none"})
    return run_retraining(job, Path(store), max_drop, *_followers(progress), gate=gate, fresh=fresh)


def _path(path: str | Path | None) -> Path | None:
    return None if path is None else Path(path)


def _followers(shown: bool) -> tuple[Progress, Say]:
    """Return what follows the training loops, and what takes messages."""
    if not shown:
        return QuietProgress(), lambda _message: None
    return shown_on(sys.stderr), lambda message: print(message, file=sys.stderr, flush=True)
