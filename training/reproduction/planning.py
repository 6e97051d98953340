"""Plan the runs of tables, figures and sweeps, with every setting."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from hashrec.training.jobs.recipe import AUTO
from hashrec.training.models import HASH_MODELS
from hashrec.training.models.listwise import Listwise
from hashrec.training.reproduction.methods import (
    BARS_OF_FIGURE,
    CURVES_OF_FIGURE,
    GRIDS,
    METHODS,
    METHODS_OF_TABLE,
    SWEEPS,
    SWEPT_METHOD,
    Effort,
    Settings,
)
from hashrec.training.reproduction.runs import Run, Source
from hashrec.training.teachers import TEACHERS

START_SECONDS = 4  # to start a process and load its libraries
Chosen = Mapping[
    tuple[str, int], Settings
]  # (method, seed) -> settings, a float method's teacher's


@dataclass(frozen=True)
class Plan:
    """Plans the runs on one data set.

    Attributes:
        source: the data.
        effort: full, or with fewer epochs.
        n_splits: number of random splits, with seeds 0 .. n_splits - 1.
        chosen: the settings that `--select` has chosen; empty for those of `METHODS`.
    """

    source: Source
    effort: Effort
    n_splits: int
    chosen: Chosen = field(default_factory=dict)

    @property
    def seeds(self) -> range:
        """Seeds of the splits."""
        return range(1 if self.source.protocol.fixed_split else self.n_splits)

    def choices(self) -> Iterator[dict[str, Any]]:
        """Yield the choices of `--select` as plain data."""
        for (name, seed), settings in self.chosen.items():
            yield {"dataset": self.source.dataset, "method": name, "seed": seed, **settings}

    def run(
        self,
        name: str,
        seed: int,
        *,
        model: Settings | None = None,
        teacher: Settings | None = None,
        by_validation: bool = False,
    ) -> Run:
        """Return the run of a method on a split.

        Args:
            name: key of `METHODS`.
            seed: of the split.
            model: settings of the model that override all others.
            teacher: settings of the teacher that override all others.
            by_validation: see `Run`.
        """
        method = METHODS[name]
        model_settings: dict[str, Any] = {}
        if method.model is not None:
            model_settings = {
                "name": method.model,
                "n_bits": self.source.protocol.n_bits,
                **self.effort.models.get(method.model, {}),
                **method.settings,
                **self.chosen.get((name, seed), {}),
                **(model or {}),
            }
        widths = {"gcn-cf": {"factor_dim": self.source.protocol.factor_dim}}
        teacher_settings: dict[str, Any] = {}
        taught_by = teacher_name(name)
        if taught_by is not None:
            teacher_settings = {
                "name": taught_by,
                **widths.get(taught_by, {}),
                **self.effort.teachers.get(taught_by, {}),
                **self.chosen.get((taught_by, seed), {}),
                **(teacher or {}),
            }
        return Run(self.source, name, teacher_settings, model_settings, seed, by_validation)

    def rows(self, names: Sequence[str]) -> Iterator[Run]:
        """Yield methods on every split, split by split, so that a first table is complete early."""
        for seed in self.seeds:
            for name in names:
                yield self.run(name, seed)

    def table(self) -> list[Run]:
        """Return the runs of a table."""
        return list(self.rows(METHODS_OF_TABLE))

    def figure(self, number: int) -> list[Run]:
        """Return the runs of a figure."""
        if number in BARS_OF_FIGURE:
            return list(self.rows(BARS_OF_FIGURE[number]))
        long = {"epochs": self.effort.curve_epochs}
        return [self.run(name, 0, model=long, teacher=long) for name in CURVES_OF_FIGURE[number]]

    def sweep(self, name: str) -> dict[tuple[str, float | str], list[Run]]:
        """Return the runs behind each point, by line and value."""
        sweep = SWEEPS[name]
        return {
            (line, value): [
                self.run(SWEPT_METHOD, seed, model={**shared, name: value}, by_validation=True)
                for seed in self.seeds
            ]
            for line, shared in sweep.lines.items()
            for value in sweep.values
        }

    def trials(self, name: str, seed: int, setting: str, chosen: Settings) -> dict[float, Run]:
        """Return the runs to choose one setting by, by its value; the current value is included.

        Args:
            name: key of `GRIDS`.
            seed: of the split.
            setting: key of the method's grid.
            chosen: the earlier choices.
        """
        place = "teacher" if METHODS[name].model is None else "model"

        def trial(settings: Settings) -> Run:
            given = {"teacher": None, "model": None, place: settings}
            return self.run(name, seed, **given, by_validation=True)

        in_force = trial(chosen).settings()[place][setting]
        values = sorted({in_force, *GRIDS[name][setting]})
        return {value: trial({**chosen, setting: value}) for value in values}


@dataclass(frozen=True)
class Target:
    """A table, figure or sweep, and the plan of its data.

    Attributes:
        kind: table, figure or sweep.
        name: number of the table or figure, or a key of `SWEEPS`.
        plan: the plan of its data.
    """

    kind: Literal["table", "figure", "sweep"]
    name: int | str
    plan: Plan

    def runs(self) -> list[Run]:
        """Return its runs."""
        match self.kind, self.name:
            case "table", _:
                return self.plan.table()
            case "figure", int(number):
                return self.plan.figure(number)
            case _:
                points = self.plan.sweep(str(self.name)).values()
                return [run for runs in points for run in runs]


def teacher_name(name: str) -> str | None:
    """Return the teacher of a method; None if it has none or chooses it itself."""
    method = METHODS[name]
    if method.teacher is None and method.model in HASH_MODELS:
        model = HASH_MODELS[method.model]
        return model.default_teacher if model.needs_teacher else None
    return method.teacher


def expected_seconds(run: Run) -> float:
    """Estimate the time of a run from that of its method on MovieLens-1M."""
    method = METHODS[run.method]
    size = run.source.n_interactions / 1_000_000
    settings = run.model or run.teacher
    if "epochs" in settings:
        known = {**HASH_MODELS, AUTO: Listwise} if run.model else TEACHERS
        size *= settings["epochs"] / known[settings["name"]]().model_dump()["epochs"]
    return START_SECONDS + method.seconds * size
