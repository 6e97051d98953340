"""Results of runs, one file each, written whole or not at all."""

from __future__ import annotations

import json
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from hashrec.index.artifacts import durable
from hashrec.training.reproduction.runs import Run

RUNS, TEACHERS = "runs", "teachers"


@dataclass(frozen=True)
class ResultStore:
    """A folder of results.

    FOLDER/runs/DATASET/METHOD-SEED-KEY.json    a finished run
    FOLDER/teachers/KEY.npz                     factors of a teacher that several runs learn from

    Attributes:
        folder: that `hashrec reproduce` writes into.
    """

    folder: Path

    @property
    def teachers(self) -> Path:
        """Folder of the factors."""
        return self.folder / TEACHERS

    def prepare(self) -> None:
        """Make the folder.

        Raises:
            OSError: nothing can be written there.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=self.folder):
            pass

    def load(self, run: Run) -> dict[str, Any] | None:
        """Return a finished run's report; None where there is none, or its file is damaged."""
        return _read(self.folder / RUNS / run.file_name())

    def save(self, run: Run, report: dict[str, Any]) -> None:
        """Keep a report: on disk, and complete, when this returns."""
        path = self.folder / RUNS / run.file_name()
        path.parent.mkdir(parents=True, exist_ok=True)
        content = {"sha256": _digest(report), "report": report}
        with durable.replacing(path) as temporary:  # and what a killed process left is removed
            temporary.write_text(json.dumps(content, indent=1) + "\n")


def _read(path: Path) -> dict[str, Any] | None:
    try:
        content = json.loads(path.read_bytes())
        report = content["report"]
        return report if content["sha256"] == _digest(report) else None
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _digest(report: Any) -> str:
    return sha256(json.dumps(report, sort_keys=True).encode()).hexdigest()
