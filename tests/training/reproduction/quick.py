"""Everything that is reproduced, on few invented data and with few epochs.

    python -m tests.training.reproduction.quick DATA OUT

makes Figure 2 on three splits and says so line by line, until it is killed.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from hashrec.training.reproduction.methods import Effort
from hashrec.training.reproduction.performing import perform
from hashrec.training.reproduction.reproducing import Performer, Request, reproduce
from hashrec.training.reproduction.runs import Run
from hashrec.training.reproduction.store import ResultStore
from tests.contracts.test_hash_models import QUICK as QUICK_MODELS
from tests.contracts.test_teachers import QUICK as QUICK_TEACHERS

QUICK = Effort(
    "quick",
    teachers=QUICK_TEACHERS,
    models={**QUICK_MODELS, "auto": {"epochs": 5, "perplexity": 10}},
    curve_epochs=7,
)
OF_THE_MOMENT = ("seconds", "peak_mb", "peak_memory_mb", "compute", "environment")


def request(data: Path, **asked: Any) -> Request:
    """Ask for things on a file."""
    nothing = {"tables": (), "figures": (), "sweeps": (), "n_splits": 1, "effort": QUICK}
    return Request(**{**nothing, "data": data, **asked})


def here(store: ResultStore) -> Performer:
    """Return what makes runs in this process."""

    def perform_here(run: Run) -> dict[str, Any]:
        return perform(run.config("cpu"), teachers=store.teachers)

    return perform_here


def lasting(report: Any) -> Any:
    """Return a report without what differs each time: durations, memory and commit."""
    if isinstance(report, dict):
        kept = {name: value for name, value in report.items() if name not in OF_THE_MOMENT}
        return {name: lasting(value) for name, value in kept.items()}
    return [lasting(value) for value in report] if isinstance(report, list | tuple) else report


def main() -> None:
    """Make Figure 2 on three splits."""
    data, out = map(Path, sys.argv[1:])
    store = ResultStore(out)
    asked = request(data, figures=(2,), n_splits=3)
    reproduce(asked, store, here(store), lambda message: print(message, flush=True))


if __name__ == "__main__":
    main()
