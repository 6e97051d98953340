"""Results of runs: finished reports and reasons of failures."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from hashrec.training.reproduction.runs import Run
from hashrec.training.reproduction.summary import as_text


@dataclass(frozen=True)
class Finished:
    """A finished run.

    Attributes:
        run: the run with all its settings.
        report: see `perform`.
    """

    run: Run
    report: dict[str, Any]

    @property
    def figures(self) -> dict[str, float]:
        """The figures of the run, by name."""
        (judged,) = self.report["metrics"].values()
        (figures,) = judged.values()
        return figures

    @property
    def ndcg(self) -> float:
        """Its NDCG."""
        return self.figures["ndcg"]

    def __str__(self) -> str:
        return f"NDCG@{self.figures['k']} {as_text(self.ndcg)}"


@dataclass(frozen=True)
class Results:
    """The results of all runs, by their keys.

    Attributes:
        finished: in the order of the runs.
        failed: the reason of each failed run.
    """

    finished: dict[str, Finished] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    def of(self, runs: Iterable[Run]) -> list[Finished]:
        """Return the results of those runs that finished."""
        return [self.finished[key] for run in runs if (key := run.key()) in self.finished]

    def failures(self, runs: Iterable[Run]) -> dict[str, str]:
        """Return the reason of each of these runs that failed, by the run in words."""
        return {str(run): self.failed[key] for run in runs if (key := run.key()) in self.failed}
