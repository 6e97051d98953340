"""`hashrec reproduce`: find the data, choose settings, make the runs, report."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from hashrec.index.errors import ConfigError, HashrecError
from hashrec.training.numerics.device import resolve_device
from hashrec.training.progress import Say
from hashrec.training.reproduction.methods import (
    DATASETS_OF_FIGURES,
    DATASETS_OF_TABLE,
    FIGURES,
    GRIDS,
    METHODS,
    SWEEPS,
    Effort,
)
from hashrec.training.reproduction.performing import perform
from hashrec.training.reproduction.planning import Plan, Target, expected_seconds, teacher_name
from hashrec.training.reproduction.process import in_own_process
from hashrec.training.reproduction.reporting import build_report
from hashrec.training.reproduction.results import Finished, Results
from hashrec.training.reproduction.runs import Run
from hashrec.training.reproduction.sources import find_source, holds_data_sets
from hashrec.training.reproduction.store import ResultStore

Report = dict[str, Any]
Performer = Callable[[Run], Report]


@dataclass(frozen=True)
class Request:
    """The requested tables, figures and sweeps, and how to run them.

    Attributes:
        tables: numbers of the paper's tables.
        figures: numbers of its figures.
        sweeps: keys of `SWEEPS`.
        n_splits: random splits of each data set.
        effort: full, or with fewer epochs.
        select: choose the settings that have a grid, for each split by its training part.
        data: see `find_source`.
        home: see `find_source`.

    Raises:
        ConfigError: there is no such table, figure or sweep.
    """

    tables: Sequence[int]
    figures: Sequence[int]
    sweeps: Sequence[str]
    n_splits: int
    effort: Effort
    select: bool = False
    data: Path | None = None
    home: Path | None = None

    def __post_init__(self) -> None:
        for kind, asked, known in (
            ("table", self.tables, DATASETS_OF_TABLE),
            ("figure", self.figures, FIGURES),
            ("sweep", self.sweeps, SWEEPS),
        ):
            for name in asked:
                if name not in known:
                    raise ConfigError(f"no {kind} {name}; there are {', '.join(map(str, known))}")


def reproduce(request: Request, store: ResultStore, performer: Performer, say: Say) -> Report:
    """Make the runs that are not finished, and return the report of all.

    Args:
        request: the tables, figures and sweeps to make.
        store: of finished runs, which are not repeated.
        performer: fits and judges.
        say: takes messages about the runs and the remaining time.

    Raises:
        DataError: the data of a table are not there.
        OSError: the folder of results cannot be written.
    """
    plans = find_plans(request)
    store.prepare()  # rather than after the first run
    for plan in plans.values():
        say(f"{plan.source.protocol.title}: {plan.source.path}")
    targets, runner = targets_of(request, plans), Runner(store, performer, say)
    if request.select:
        plans = {of: runner.choose(plan, targets) for of, plan in plans.items()}
        targets = targets_of(request, plans)
    runner.complete(run for target in targets for run in target.runs())
    if not runner.results.failed:
        say("all runs are finished")
    choices = [choice for plan in plans.values() for choice in plan.choices()]
    return build_report(targets, runner.results, request.effort.name, choices)


def in_processes(store: ResultStore, device: str, threads: int | None, *, draws: bool) -> Performer:
    """Return a performer that makes each run in a separate process.

    Args:
        store: holds the factors of teachers that several runs learn from.
        device: `auto`, `cpu` or `cuda`.
        threads: of a run; see `perform`.
        draws: see `perform`.

    Raises:
        ConfigError: this machine does not have the device.
    """
    resolve_device(device)
    options = {"teachers": store.teachers, "threads": threads, "draws": draws}
    work = partial(perform, **options)
    return lambda run: in_own_process(work, run.config(device))


def find_plans(request: Request) -> dict[tuple[str, ...], Plan]:
    """Find all data before anything runs; figures and sweeps share those of a table.

    Raises:
        ConfigError: a single data set is given for targets with different data.
        DataError: the data of a target are not there.
    """
    wanted = {DATASETS_OF_TABLE[number]: f"Table {number}" for number in request.tables}
    if request.figures or request.sweeps:
        wanted.setdefault(DATASETS_OF_FIGURES, "this")
    if len(wanted) > 1 and request.data is not None and not holds_data_sets(request.data):
        names = ", ".join(" or ".join(datasets) for datasets in wanted)
        raise ConfigError(
            f"{' and '.join(wanted.values())} use different data: let --data be a folder that "
            f"holds {names}, or run one at a time"
        )
    return {
        datasets: Plan(
            find_source(what, datasets, request.data, request.home),
            request.effort,
            request.n_splits,
        )
        for datasets, what in wanted.items()
    }


def targets_of(request: Request, plans: Mapping[tuple[str, ...], Plan]) -> list[Target]:
    """Return the requested targets, each with the plan of its data."""
    return [
        *(Target("table", number, plans[DATASETS_OF_TABLE[number]]) for number in request.tables),
        *(Target("figure", number, plans[DATASETS_OF_FIGURES]) for number in request.figures),
        *(Target("sweep", name, plans[DATASETS_OF_FIGURES]) for name in request.sweeps),
    ]


class Runner:
    """Makes runs and collects their results.

    Args:
        store: of finished runs.
        performer: makes the report of a run.
        say: takes messages about each run.

    Attributes:
        results: of all runs so far.
    """

    def __init__(self, store: ResultStore, performer: Performer, say: Say) -> None:
        self._store, self._performer, self._say = store, performer, say
        self.results = Results()

    def complete(self, runs: Iterable[Run]) -> None:
        """Make the runs that are not finished; after a failure the others go on."""
        missing: dict[str, Run] = {}
        for run in runs:
            report = self._store.load(run)
            if report is None:
                missing[run.key()] = run
            else:
                self.results.finished[run.key()] = Finished(run, report)
        if not missing:
            return
        expected = {key: expected_seconds(run) for key, run in missing.items()}
        total, done, start = sum(expected.values()), 0.0, time.perf_counter()
        self._announce(missing, total)
        for position, (key, run) in enumerate(missing.items(), 1):
            self._say(f"[{position}/{len(missing)}] {run}")
            before = time.perf_counter()
            outcome = self._perform(key, run)
            now, done = time.perf_counter(), done + expected[key]
            left = (total / done - 1) * (now - start)
            self._say(f"  {outcome} in {now - before:,.0f} s; about {_duration(left)} left")

    def choose(self, plan: Plan, targets: Sequence[Target]) -> Plan:
        """Return a plan with the best settings of each split on its validation part."""
        names = {
            name
            for target in targets
            if target.plan is plan
            for run in target.runs()
            for name in (run.method, teacher_name(run.method))
            if name is not None and name in GRIDS
        }
        # Teachers first: their students are then tried with the chosen teacher.
        for name in sorted(names, key=lambda name: (METHODS[name].model is not None, name)):
            for seed in plan.seeds:
                settings: dict[str, float] = {}
                for setting in GRIDS[name]:
                    trials = plan.trials(name, seed, setting, settings)
                    self.complete(trials.values())
                    judged = {
                        value: finished.ndcg
                        for value, run in trials.items()
                        for finished in self.results.of([run])
                    }
                    if judged:
                        settings[setting] = max(judged, key=judged.__getitem__)
                plan = replace(plan, chosen={**plan.chosen, (name, seed): settings})
                self._say(f"chose for {METHODS[name].title}, split {seed}: {settings}")
        return plan

    def _perform(self, key: str, run: Run) -> str:
        try:
            report = self._performer(run)
        except (HashrecError, ChildProcessError) as error:
            self.results.failed[key] = str(error)
            return f"failed: {error}"
        self._store.save(run, report)
        self.results.finished[key] = Finished(run, report)
        return str(self.results.finished[key])

    def _announce(self, missing: Mapping[str, Run], seconds: float) -> None:
        numbers = Counter(METHODS[run.method].title for run in missing.values())
        listed = ", ".join(f"{n} x {title}" if n > 1 else title for title, n in numbers.items())
        self._say(
            f"{len(missing)} runs, about {_duration(seconds)} on two cores: {listed}; "
            "you can stop at any time; the same command resumes"
        )


def _duration(seconds: float) -> str:
    if seconds >= 5400:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{max(0.0, seconds):.0f} s"
