"""Graph teachers at scale: seconds of an epoch and peak memory on up to 10 million interactions.

    python -m benchmarks.graph_scale --data ML-1M [--millions 1 3 10] [--work FOLDER]

MovieLens-1M is expanded as in `benchmarks.training_scale`: 7,000, 21,000 and 70,000 users of the
same 10,000 items. Each teacher is fitted in a process of its own, on one thread, and its epochs are
timed by the processor, the first apart from the later one; what comes before is setup.

To be short, GCN-CF takes 16 steps an epoch and not its default of 32, and PinSage 50,000 pairs: its
full epoch takes as many times longer as there are more pairs. The growth is that of the later
epoch beside the interactions, where 1 is linear; for PinSage it is that of a step, where 1 is a
step that the size of the graph does not lengthen.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.training_scale import expanded
from hashrec.training.data.reading import read_interactions
from hashrec.training.progress import QuietProgress, State

SETTINGS: dict[str, dict[str, Any]] = {
    "lightgcn": {},
    "pinsage": {"pairs_per_epoch": 50_000, "hard_negatives": 0},  # all epochs alike
    "gcn-cf": {"batches_per_epoch": 16},
}
EPOCHS = 2


class Timer(QuietProgress):
    """Notes the processor's time at the start and at the end of every epoch."""

    def __init__(self) -> None:
        super().__init__()
        self.times = [time.process_time()]

    def track(self, loop: str, total: int, state: State = (), *, first: int = 0) -> Iterator[int]:
        """Yield first .. total - 1."""
        self.times.append(time.process_time())
        for step in super().track(loop, total, state, first=first):
            yield step
            self.times.append(time.process_time())


def measure(data: Path, teacher: str) -> dict[str, float]:
    """Fit a teacher in this process."""
    import torch

    from hashrec.training.jobs.report import peak_memory_mb
    from hashrec.training.teachers import TEACHERS

    torch.set_num_threads(1)
    train = read_interactions(data).interactions
    timer = Timer()
    model = TEACHERS[teacher](epochs=EPOCHS, **SETTINGS[teacher])
    model.fit(train, seed=0, device=torch.device("cpu"), progress=timer)
    setup, first, later = np.diff(timer.times).tolist()
    return {
        "pairs": len(train),
        "setup_s": setup,
        "first_s": first,
        "later_s": later,
        "peak_mb": peak_memory_mb(),
    }


def measure_apart(data: Path, teacher: str) -> dict[str, float]:
    """Measure in a process of its own, on one thread."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.graph_scale", "--measure", str(data), teacher],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        check=True,
    )
    return json.loads(done.stdout)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, help="ratings of MovieLens-1M")
    parser.add_argument("--millions", type=int, nargs="+", default=[1, 3, 10])
    parser.add_argument("--teachers", nargs="+", default=list(SETTINGS), choices=list(SETTINGS))
    parser.add_argument("--work", type=Path, help="keeps the data")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--measure", nargs=2, metavar=("DATA", "TEACHER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(Path(options.measure[0]), options.measure[1])))
        return
    if options.data is None:
        parser.error("--data is needed: the ratings of MovieLens-1M")
    with tempfile.TemporaryDirectory(prefix="hashrec-benchmark-") as temporary:
        work = options.work or Path(temporary)
        work.mkdir(parents=True, exist_ok=True)
        files = {millions: expanded(options.data, millions, work) for millions in options.millions}
        report = compare(files, options.teachers)
    if options.json is not None:
        options.json.write_text(json.dumps(report, indent=2) + "\n")


def compare(files: dict[int, Path], teachers: list[str]) -> dict[str, list[dict[str, float]]]:
    """Measure every teacher on every file and print a line each, with the growth."""
    report: dict[str, list[dict[str, float]]] = {}
    print(
        f"{'teacher':>10} {'pairs':>12} {'setup s':>8} {'first s':>8} {'later s':>8} "
        f"{'MB':>7} {'growth':>7}"
    )
    for teacher in teachers:
        for data in files.values():
            found = measure_apart(data, teacher)
            first = report.setdefault(teacher, [found])[0]
            growth = found["later_s"] / first["later_s"]
            if "pairs_per_epoch" not in SETTINGS[teacher]:
                growth *= first["pairs"] / found["pairs"]
            found["growth"] = growth
            if found is not first:
                report[teacher].append(found)
            print(
                f"{teacher:>10} {found['pairs']:12,.0f} {found['setup_s']:8.1f} "
                f"{found['first_s']:8.1f} {found['later_s']:8.1f} {found['peak_mb']:7,.0f} "
                f"{growth:7.2f}",
                flush=True,
            )
    return report


if __name__ == "__main__":
    main()
