"""`report.json` of a job: figures, settings and the environment."""

from __future__ import annotations

import json
import platform
import re
import resource
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from hashrec.index.artifacts import durable
from hashrec.index.errors import DataError
from hashrec.training.progress import History

REPORT_FILE = "report.json"


class Stopwatch:
    """Wall-clock seconds of each stage of a job."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time a block."""
        start = time.perf_counter()
        try:
            yield
        finally:
            elapsed = time.perf_counter() - start
            self.seconds[name] = round(self.seconds.get(name, 0.0) + elapsed, 3)


@dataclass(frozen=True)
class Report:
    """The figures of a job, and everything that is needed to repeat it.

    Attributes:
        version: of the artifact.
        config: the settings in force, the model's and the teacher's with all their defaults.
        data: source, SHA-256 and sizes after filtering.
        metrics: part -> ranking (`codes`, `reranked`, `teacher`, `popularity`, and where there are
            times `popularity_7d` and `popularity_30d`) -> figure.
        seconds: wall clock by stage, in the process that finished the job.
        peak_memory_mb: largest resident size of that process, in 10^6 bytes.
        curves: loss curves by training loop.
        bytes_per_item: bytes of an item's code and of its re-ranking vector.
        rerank: how the nearest items are re-ordered, and the figures that decided it; None if the
            codes alone rank.
        selection: the trials that teacher and settings were chosen by; None if they were given.
        resumed: whether the job was interrupted and went on.
        split: how interactions were held out: the strategy, the moment of a cut, and the pairs that
            were not judged because training lacks their user or item.
        strength: what interactions are worth by the `data`, what was `used`, and the model and the
            teacher that it was `ignored_by`.
    """

    version: str
    config: dict[str, Any]
    data: dict[str, Any]
    metrics: dict[str, dict[str, dict[str, float]]]
    seconds: dict[str, float]
    peak_memory_mb: float
    curves: History
    environment: dict[str, Any] = field(default_factory=dict)
    bytes_per_item: dict[str, int] = field(default_factory=dict)
    rerank: dict[str, Any] | None = None
    selection: dict[str, Any] | None = None
    resumed: bool = False
    split: dict[str, Any] = field(default_factory=dict)
    strength: dict[str, Any] = field(default_factory=dict)

    def write(self, run: Path) -> None:
        """Write `report.json` into a run's folder."""
        content = json.dumps(asdict(self), indent=2, ensure_ascii=False, default=str)
        durable.write_bytes(run / REPORT_FILE, content.encode() + b"\n")


def read_report(run: Path) -> dict[str, Any]:
    """Read a run's report.

    Raises:
        DataError: the folder has no report.
    """
    try:
        return json.loads((run / REPORT_FILE).read_bytes())
    except (OSError, ValueError) as error:
        raise DataError(f"{run}: not a finished run: {error}; run `hashrec train` first") from error


def peak_memory_mb() -> float:
    """Return the largest resident size this process has had, in 10^6 bytes."""
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # On Linux ru_maxrss is at least the size of the parent process.
    if (own := re.search(rb"VmHWM:\s*(\d+) kB", _status())) is not None:
        kilobytes = int(own[1])
    return kilobytes * 1024 / 1e6


def _status() -> bytes:
    try:
        return Path("/proc/self/status").read_bytes()
    except OSError:  # not Linux
        return b""


def environment() -> dict[str, Any]:
    """Return versions, threads and the commit of the source, if it is a git checkout."""
    import torch

    return {
        "hashrec": version("hashrec"),
        "commit": _commit(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": version("numpy"),
        "faiss": version("faiss-cpu"),
        "threads": torch.get_num_threads(),
    }


def _commit() -> str | None:
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():  # installed from a wheel
        return None
    try:
        shown = subprocess.run(
            ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=12"],
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return shown.stdout.strip()
