"""Artifacts and reports of every hash model and every teacher, made by both versions."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.compare_differences import (
    IN_WORDS,
    Account,
    Difference,
    of_documents,
    of_folders,
)
from benchmarks.compare_sides import Done, Side, Sides, both

SEED = "7"
KEPT = ("runs", "printed")  # what a version has trained, in its folder
LEARNED_FROM = ("interactions.csv", "given.csv", "test.csv", "items.jsonl")
GIVEN = ("--split", "given", "--data", "../data/given.csv", "--test", "../data/test.csv")

Settings = Mapping[str, int | float | str | bool]


@dataclass(frozen=True)
class Job:
    """One `hashrec train`.

    Attributes:
        model: key of the registry of hash models, or `auto`.
        teacher: key of the registry of teachers; None for the model's own, or none.
        options: of the command.
        settings: of the model, that make it quick or choose another way through it.
        teacher_settings: of the teacher.
    """

    model: str
    teacher: str | None = None
    options: tuple[str, ...] = ()
    settings: Settings = field(default_factory=dict)
    teacher_settings: Settings = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The job in a word that can name a folder."""
        return self.model if self.teacher is None else f"{self.model}-of-{self.teacher}"

    def toml(self) -> str:
        """Return the settings as a file for `--config`."""
        tables = {"model": self.settings, "teacher": self.teacher_settings}
        return "".join(
            f"[{table}]\n" + "".join(f"{k} = {json.dumps(v)}\n" for k, v in settings.items())
            for table, settings in tables.items()
        )

    def arguments(self) -> list[str]:
        """Return the command."""
        return [
            *("train", "--data", "../data/interactions.csv", "--items", "../data/items.jsonl"),
            *("--model", self.model, "--config", f"../data/{self.name}.toml"),
            *(("--teacher", self.teacher) if self.teacher else ()),
            *("--seed", SEED, "--k", "10", "--out", f"runs/{self.name}"),
            *("--fresh", "--quiet", "--json"),
            *self.options,
        ]


FEW = {"epochs": 4, "batches_per_epoch": 4}
# Every model and every teacher, and ways to split, filter and judge. No codes are learned here from
# `ials` and `popularity`, but for those of `blend`; their figures are in the reports.
JOBS = (
    Job("auto", options=("--bits", "64")),
    Job("listwise", "blend", ("--bits", "64"), {"epochs": 10, "perplexity": 12}),
    Job("itq", "denoised-ease", ("--bits", "16", "--rerank", "auto")),
    Job("lsh", "graph-filter", ("--index", "ivf", "--bits", "64")),
    Job("least-squares", "ease", ("--bits", "72"), {"iterations": 20}, {"regularization": 100.0}),
    Job(
        "dgcn-bincf", "gcn-cf", ("--preset", "paper", "--k-core", "5", "--bits", "64"),
        FEW, {"factor_dim": 8, **FEW},
    ),
    Job(
        "bincf", "lightgcn", ("--bits", "32"),
        {"binarizer": "bernoulli", **FEW}, {"factor_dim": 16, **FEW},
    ),
    Job("bccf", "popularity", ("--split", "temporal"), {"binarizer": "median"}),
    Job("ch", options=("--validate", "--bits", "48")),
    Job("dcf", options=("--k-core", "8", "--bits", "32")),
    Job("hashed-mf", "ials", ("--types", "view", "--bits", "64"), {"epochs": 3}),
    Job("minhash", options=("--split", "none")),
    Job("pph", options=(*GIVEN, "--bits", "40")),
    Job("least-squares", "spectralcf", ("--bits", "32"), {}, {"factor_dim": 8, "epochs": 6}),
    Job(
        "dgcn-bincf", "gc-mc", ("--bits", "24"),
        {"binarizer": "tanh-annealing", "distillation": "rank-distil", **FEW},
        {"hidden_dim": 16, "factor_dim": 8, **FEW},
    ),
    Job(
        "dgcn-bincf", "pinsage", ("--bits", "24"),
        {"binarizer": "straight-through", "distillation": "kd", **FEW},
        {"factor_dim": 8, "walks": 10, "epochs": 2, "batch_size": 256},
    ),
)  # fmt: skip
# Runs that are published: the one that is served, and others.
SERVED, RERANKED = "listwise-of-blend", "itq-of-denoised-ease"
CLUSTERED, DAMAGED = "lsh-of-graph-filter", "pph"


def compare_training(
    sides: Sides, data: Path, account: Account, say: Callable[[str], None]
) -> None:
    """Train with both versions, and compare all that the jobs leave."""
    for number, job in enumerate(JOBS, 1):
        before, after = both(sides, lambda side, job=job: _train(side, job, data))
        _compare_job(job, before, after, sides, account)
        say(f"trained {number} of {len(JOBS)}: {job.name}")


def train_before(before: Side, jobs: Iterable[Job], data: Path) -> None:
    """Train with the version before where that was not done yet."""
    for job in jobs:
        if (done := _train(before, job, data)).status:
            raise ChildProcessError(f"train {job.name}: {done.stderr}")


def _train(side: Side, job: Job, data: Path) -> Done:
    """Run a job, or return what it printed when the very same was run earlier."""
    config = data / f"{job.name}.toml"
    config.write_text(job.toml())
    facts = [str(side.command).encode(), repr(job.arguments()).encode(), config.read_bytes()]
    facts += [(data / name).read_bytes() for name in LEARNED_FROM]
    key = hashlib.sha256(b"".join(facts)).hexdigest().encode()
    kept = side.folder / "printed" / f"{job.name}.json"
    if kept.exists():
        of_key, _, stdout = kept.read_bytes().partition(b"\n")
        if of_key == key:
            return Done(0, stdout, "")
    done = side.run(*job.arguments())
    if not done.status:
        kept.parent.mkdir(exist_ok=True)
        kept.write_bytes(key + b"\n" + done.stdout)
    return done


def _compare_job(job: Job, before: Done, after: Done, sides: Sides, account: Account) -> None:
    if before.status:
        raise ChildProcessError(f"train {job.name}: {before.stderr}")
    if after.status:
        said = Difference(f"train {job.name}: exit status", "0", f"{after.status} {after.stderr}")
        account.add("train --json", [said])
        return
    printed = (report_of(json.loads(done.stdout)) for done in (before, after))
    account.add("train --json", of_documents(*printed, f"train {job.name} --json"))
    runs = [side.folder / "runs" / job.name for side in sides]
    for differences in of_run(runs[0], runs[1], f"runs/{job.name}"):
        account.add("files of runs", differences)


def of_run(before: Path, after: Path, where: str) -> Iterator[list[Difference]]:
    """Compare the folders of two runs, or two published versions; yield a list for each file."""
    readers = {
        "manifest.json": lambda path: manifest_of(json.loads(path.read_bytes())),
        "report.json": lambda path: report_of(json.loads(path.read_bytes())),
    }
    return of_folders(before, after, where, readers=readers)


def manifest_of(manifest: dict[str, Any]) -> dict[str, Any]:
    """Return a manifest without the time at which it was made."""
    return {**manifest, "created_at": None, "version": _untimed(manifest["version"])}


def report_of(report: dict[str, Any]) -> dict[str, Any]:
    """Return a report without what it says of times, memory and the version of the code.

    The names of loss curves and of trials are words for people; their order is not.
    """
    left_out = {"seconds": None, "peak_memory_mb": None, "version": _untimed(report["version"])}
    environment = {**report["environment"], "hashrec": None, "commit": None}
    report = {**report, **left_out, "environment": environment}
    report["curves"] = _named_in_words(report["curves"])
    if report["selection"] is not None:
        selection = report["selection"]
        report["selection"] = {**selection, "ndcg": _named_in_words(selection["ndcg"])}
    return report


def _named_in_words(entries: dict[str, Any]) -> list[dict[str, Any]]:
    return [{IN_WORDS: name, "value": value} for name, value in entries.items()]


def _untimed(version: str) -> str:
    """Return what a version says of the bytes that it names."""
    return re.sub(r"^\d{8}T\d{6}Z-", "", version)
