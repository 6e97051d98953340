"""The runs behind the comparison: each in a process and a folder of its own, none made twice.

RESULTS/DATASET/METHOD-BITS-SEED/     a run of `hashrec train`
RESULTS/DATASET/METHOD-float-SEED/    report.json of a float model
RESULTS/data/DATASET.parquet          data that are invented
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.accuracy_protocol import DATASETS, FLOAT_METHODS, HASH_METHODS, Protocol
from hashrec.index.artifacts import durable
from hashrec.index.errors import DataError
from hashrec.training.jobs.config import (
    PAPER_PROTOCOL,
    PAPER_SETTINGS,
    SETTING_OF_OPTION,
    JobConfig,
    load_config,
)
from hashrec.training.jobs.report import REPORT_FILE, read_report
from hashrec.training.reproduction.process import in_own_process

# Where the data lie and what computes say nothing of what is measured.
_ELSEWHERE = ("data.source", "data.home", "data.items", "split.test", "device")

Report = dict[str, Any]


@dataclass(frozen=True)
class Job:
    """One method on one split.

    Attributes:
        dataset: key of `DATASETS`.
        method: key of `HASH_METHODS` or `FLOAT_METHODS`.
        bits: width of the codes; None for a float model.
        seed: of the split and of the fit.
    """

    dataset: str
    method: str
    bits: int | None
    seed: int

    @property
    def protocol(self) -> Protocol:
        """How the data set is judged."""
        return DATASETS[self.dataset]

    @property
    def name(self) -> str:
        """The run's folder, in that of the results."""
        return f"{self.dataset}/{self.method}-{self.bits or 'float'}-{self.seed}"

    def options(self) -> dict[str, Any]:
        """Return the options of `hashrec train`, without the data."""
        shared = {**self.protocol.options, "seed": self.seed}
        if self.bits is None:
            return shared
        return shared | {**HASH_METHODS[self.method].options, "bits": self.bits}

    def config(self, source: str = "synthetic") -> JobConfig:
        """Return the settings that `options` stand for."""
        options = self.options()
        paper = options.pop("preset", None) == PAPER_PROTOCOL
        flags = {SETTING_OF_OPTION[name]: value for name, value in options.items()}
        return load_config(
            None, (PAPER_SETTINGS if paper else {}) | flags | {"data.source": source}
        )

    def settings(self) -> dict[str, Any]:
        """Return what a report says that was made so: the settings, defaults written out."""
        if self.bits is None:
            return float_settings(self, self.config())
        from hashrec.training.jobs.recipe import Recipe

        config = self.config()
        return config.model_dump(mode="json") | Recipe.of(config).settings()

    def left_open(self) -> tuple[str, ...]:
        """Return the settings that two equal runs may differ in."""
        chosen = () if self.bits is None else HASH_METHODS[self.method].left_open
        return (*_ELSEWHERE, *chosen)


def jobs(
    dataset: str, methods: list[str], n_splits: int, widths: list[int] | None
) -> Iterator[Job]:
    """Yield what is to be compared on a data set, split by split.

    Args:
        dataset: key of `DATASETS`.
        methods: names.
        n_splits: seeds 0 .. n_splits - 1; one, where the split comes with the data.
        widths: of the codes; None for the protocol's own.
    """
    protocol = DATASETS[dataset]
    for seed in range(1 if protocol.fixed_split else n_splits):
        for method in methods:
            for bits in (None,) if method in FLOAT_METHODS else widths or protocol.widths:
                yield Job(dataset, method, bits, seed)


def finished(job: Job, results: Path) -> Report | None:
    """Return the report of a run made with a job's settings, in its own folder or one that serves.

    Args:
        job: to look for.
        results: folder of all runs.
    """
    also_in = None if job.bits is None else HASH_METHODS[job.method].also_in
    names = [job.name] if also_in is None else [job.name, replace(job, method=also_in).name]
    for name in names:
        if (results / name / REPORT_FILE).is_file():
            report = read_report(results / name)
            if _differs(report, job) is None:
                return report
    return None


def stale(job: Job, results: Path) -> str | None:
    """Say how the report in a job's own folder differs from it; None if it does not, or is none."""
    if not (results / job.name / REPORT_FILE).is_file():
        return None
    return _differs(read_report(results / job.name), job)


def _differs(report: Report, job: Job) -> str | None:
    from hashrec.training.reproduction.runs import candidates

    teacher = report["config"].get("teacher")
    if "teacher" in job.left_open() and teacher not in candidates():
        return f"its teacher, {teacher}, is none that would be chosen from"
    return difference(report["config"], job.settings(), job.left_open())


def difference(
    found: Mapping[str, Any], wanted: Mapping[str, Any], left_open: tuple[str, ...]
) -> str | None:
    """Return the first setting that differs, in words; None if none does.

    Args:
        found: settings of a report.
        wanted: settings of a job.
        left_open: dotted names, or first parts of such, of settings that may differ.
    """
    there = dict(_dotted(found))
    here = dict(_dotted(_written(wanted)))
    for name in sorted(there.keys() | here.keys()):
        may_differ = any(name == free or name.startswith(f"{free}.") for free in left_open)
        if not may_differ and there.get(name) != here.get(name):
            return f"{name} is {there.get(name)!r}, not {here.get(name)!r}"
    return None


def run(job: Job, source: str, results: Path) -> Report:
    """Run a job in a process of its own, so that its peak memory is its own.

    Args:
        job: to run.
        source: file or folder of the data.
        results: folder of all runs.

    Raises:
        DataError: hashrec refuses it, with its reason.
        ChildProcessError: it failed in another way, such as for want of memory.
    """
    if job.bits is not None:
        return _train(job, source, results / job.name)
    report = in_own_process(judge_float, job, source)
    folder = results / job.name
    folder.mkdir(parents=True, exist_ok=True)
    durable.write_bytes(folder / REPORT_FILE, json.dumps(report, indent=2).encode() + b"\n")
    return report


def judge_float(job: Job, source: str) -> Report:
    """Fit a float model and judge it by its scores, on the split that codes are judged on."""
    from hashrec.training.reproduction.performing import perform

    config, method = job.config(source), FLOAT_METHODS[job.method]
    teacher = {"name": method.teacher, **method.settings}
    report = perform(config.model_copy(update={"teacher": teacher}))
    return report | {"config": float_settings(job, config)}


def float_settings(job: Job, config: JobConfig) -> dict[str, Any]:
    """Return the settings of a float model, its defaults written out."""
    from hashrec.training.reproduction.runs import described

    method = FLOAT_METHODS[job.method]
    shared = config.model_dump(mode="json", include={"data", "split", "k", "seed", "device"})
    return shared | {"teacher": described({"name": method.teacher, **method.settings})}


def invent(dataset: str, results: Path) -> Path:
    """Write a data set that is made rather than found, unless it is there; return its file."""
    path = results / "data" / f"{dataset}.parquet"
    arguments = DATASETS[dataset].invented
    if not path.is_file() and arguments is not None:
        from hashrec.training.data.synthetic import synthetic_catalogue
        from hashrec.training.data.writing import write_parquet

        write_parquet(synthetic_catalogue(**arguments, seed=0).interactions, path)
    return path


def _train(job: Job, source: str, folder: Path) -> Report:
    options = [text for name, value in job.options().items() for text in (f"--{name}", str(value))]
    command = [
        sys.executable,
        "-m",
        "hashrec",
        "train",
        "--data",
        source,
        "--out",
        str(folder),
    ]
    done = subprocess.run(
        [*command, *options, "--quiet", "--json"], capture_output=True, text=True, check=False
    )
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"ended with {done.returncode}"]
        if len(said) == 1 and done.returncode == 1:  # the one line of a refusal
            raise DataError(said[0].removeprefix("error: "))
        raise ChildProcessError(f"hashrec train failed: {said[-1]}")
    return read_report(folder)


def _written(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings as a report holds them: tuples as lists, for one."""
    return json.loads(json.dumps(settings))


def _dotted(settings: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from _dotted(value, f"{before}{name}.")
        else:
            yield before + name, value
