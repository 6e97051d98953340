"""Retraining under `kill -9`: the same model bit for bit, and what each kill cost.

`python -m benchmarks.resume --kills 50` lets jobs run to their end again and again, killed on the
way at random moments, until there were that many kills. Each model that is published is held
against that of a job nobody interrupted.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from hashrec.index.artifacts.store import Store
from hashrec.training.jobs.config import JobConfig, load_config
from hashrec.training.jobs.retraining import retrain
from hashrec.training.progress import QuietProgress, State

_PROCESSES = multiprocessing.get_context("forkserver")  # a start costs no import
_PROCESSES.set_forkserver_preload(
    ["hashrec.training.jobs.retraining", "pandas", "polars", "torch._dynamo"]
)
ANY_DROP = 1.0  # what the job learns matters here, not how well that ranks
KINDS: dict[str, dict[str, Any]] = {
    "auto": {},
    "dgcn-bincf": {"model.name": "dgcn-bincf"},
}


Moment = tuple[int, float]  # steps to begin, and seconds from the last of these


class _Log(QuietProgress):
    """Writes a line before each step of a loop that can go on, and for what is said.

    Args:
        path: of the file.
        kill: when this process is to be killed; None lets it live.
    """

    def __init__(self, path: Path, kill: Moment | None) -> None:
        super().__init__()
        self._file = path.open("a", buffering=1)
        self._kill, self._begun = kill, 0
        self._kill_in_time()

    def track(self, loop: str, total: int, state: State = (), *, first: int = 0) -> Iterator[int]:
        """Yield the steps, each once its line is written."""
        for step in super().track(loop, total, state, first=first):
            if state:
                self._write(loop=loop, step=step)
                self._begun += 1
                self._kill_in_time()
            yield step

    def say(self, message: str) -> None:
        """Take a message for the person who waits."""
        self._write(said=message)

    def _kill_in_time(self) -> None:
        if self._kill is not None and self._kill[0] == self._begun:
            timer = threading.Timer(self._kill[1], os.kill, (os.getpid(), signal.SIGKILL))
            timer.daemon = True  # a process that is done before does not wait to be killed
            timer.start()

    def _write(self, **line: object) -> None:
        self._file.write(json.dumps(line) + "\n")


@dataclass(frozen=True)
class KilledJob:
    """A retraining in processes of its own.

    Attributes:
        config: of the job; its data stay as they are.
        store: where it publishes.
        log: file of what all of its processes did.
    """

    config: JobConfig
    store: Path
    log: Path

    def run(self, kill: Moment | None = None) -> bool:
        """Run until the job is done, or it is killed.

        Args:
            kill: when; None lets it live.

        Returns:
            Whether it was killed.

        Raises:
            ChildProcessError: it failed.
        """
        process = _PROCESSES.Process(target=_learn, args=(self.config, self.store, self.log, kill))
        process.start()
        process.join()
        if process.exitcode not in (0, -signal.SIGKILL):
            raise ChildProcessError(f"the job ended with {process.exitcode}")
        return process.exitcode != 0

    def lines(self) -> list[dict[str, Any]]:
        """Return what was logged, without the line a kill cut off."""
        if not self.log.exists():
            return []
        return [json.loads(line) for line in self.log.read_text().split("\n")[:-1] if line]

    def steps(self) -> int:
        """Return the number of steps that were begun."""
        return sum("step" in line for line in self.lines())

    def said(self) -> list[str]:
        """Return the messages."""
        return [line["said"] for line in self.lines() if "said" in line]


def arrays_of(store: Path) -> dict[str, bytes]:
    """Return the files of the served version but its manifest, which names its date."""
    folder = Store(store).folder(Store(store).current())
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix != ".json"}


def _learn(config: JobConfig, store: Path, log: Path, kill: Moment | None) -> None:
    torch.set_num_threads(1)
    progress = _Log(log, kill)
    retrain(config, store, ANY_DROP, progress, progress.say)


def survive(
    job: KilledJob, whole: KilledJob, draw: Callable[[], Moment], kills: int
) -> tuple[int, int]:
    """Kill a job some times, let it end, and hold it against one that nobody interrupted.

    Args:
        job: that nothing has run of yet.
        whole: the same, done.
        draw: gives the moment of the next kill.
        kills: at most; fewer if it is done before.

    Returns:
        How often it was killed, and the number of steps made more than once.

    Raises:
        AssertionError: what it published differs.
    """
    killed, store = 0, Store(job.store)
    while store.pointer() is None:  # it may be killed after it has published
        killed += job.run(draw() if killed < kills else None)
    found, wanted = arrays_of(job.store), arrays_of(whole.store)
    differing = [name for name in wanted if found.get(name) != wanted[name]]
    if differing or found.keys() != wanted.keys():
        raise AssertionError(f"other than without a kill: {', '.join(differing) or found.keys()}")
    return killed, job.steps() - whole.steps()


def measure(source: str, kind: str, kills: int, every: float, seed: int) -> dict[str, Any]:
    """Kill jobs of one kind, and return what that cost."""
    flags = {"data.source": source, "checkpoint_seconds": every, **KINDS[kind]}
    config, rng = load_config(None, flags), random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        whole = KilledJob(config, root / "whole", root / "whole.log")
        start = time.perf_counter()
        whole.run()
        seconds = time.perf_counter() - start
        steps = whole.steps()
        most = 1 + steps // 8  # so that a job is killed some times on its way
        killed = lost = jobs = 0
        while killed < kills:
            job = KilledJob(config, root / "store", root / "job.log")
            more, again = survive(
                job,
                whole,
                lambda: (rng.randrange(most), rng.uniform(0, seconds / 16)),
                kills - killed,
            )
            killed, lost, jobs = killed + more, lost + again, jobs + 1
            print(f"{kind}: {killed} kills, {jobs} jobs, {lost} steps made again", flush=True)
            shutil.rmtree(job.store)
            job.log.unlink()
    return {
        "kind": kind,
        "seconds": round(seconds, 2),
        "steps": steps,
        "kills": killed,
        "jobs": jobs,
        "steps_again": lost,
    }


def main() -> None:
    """Print a line of figures for each kind of job."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="synthetic")
    parser.add_argument("--kinds", nargs="+", choices=sorted(KINDS), default=sorted(KINDS))
    parser.add_argument("--kills", type=int, default=50, help="of each kind")
    parser.add_argument("--every", type=float, default=0.0, help="seconds between checkpoints")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    figures = [
        measure(options.data, kind, options.kills, options.every, options.seed)
        for kind in options.kinds
    ]
    for row in figures:
        print(row)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
