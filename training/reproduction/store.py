"""Store of results: one file for each run, written whole or not at all."""

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
        folder: the folder that `hashrec reproduce` writes into.
    """

    folder: Path

    @property
    def teachers(self) -> Path:
        """Folder of the factors."""
        return self.folder / TEACHERS

    def prepare(self) -> None:
        """Make the folder.

        Raises:
            OSError: it cannot be written.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=self.folder):
            pass

    def load(self, run: Run) -> dict[str, Any] | None:
        """Return the report of a finished run; None if its file is missing or damaged."""
        return _read(self.folder / RUNS / run.file_name())

    def save(self, run: Run, report: dict[str, Any]) -> None:
        """Write a report to disk before returning."""
        path = self.folder / RUNS / run.file_name()
        path.parent.mkdir(parents=True, exist_ok=True)
        content = {"sha256": _digest(report), "report": report}
        with durable.replacing(path) as temporary:  # removes files left by a killed process
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
