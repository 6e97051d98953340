"""Resume the loops and parts of a killed job from its checkpoints."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hashrec.training.jobs.checkpoints import Checkpoints
from hashrec.training.progress import History, Plain, Progress, State


class ResumableProgress:
    """Wraps a `Progress` and writes checkpoints of the job's loops and parts.

    Parts (`once`) and loops are identified by their names, loops of one part also by their order,
    which is the same each time.

    Args:
        shown: records the history and shows the progress.
        checkpoints: of this job.
        say: takes a message when a loop is resumed.
    """

    def __init__(
        self, shown: Progress, checkpoints: Checkpoints, say: Callable[[str], None]
    ) -> None:
        self._shown, self._checkpoints, self._say = shown, checkpoints, say
        self.history: History = shown.history  # of before the job was killed, and since
        self._part = Path()
        self._n_loops = Counter[Path]()

    def log(self, **values: float) -> None:
        """Record quantities of the current step; see `Progress.log`."""
        self._shown.log(**values)

    def end_stage(self, stage: str, seconds: float) -> None:
        """Show that a stage is done; see `Progress.end_stage`."""
        self._shown.end_stage(stage, seconds)

    def track(self, loop: str, total: int, state: State = (), *, first: int = 0) -> Iterator[int]:
        """Yield the remaining steps and write checkpoints between them; see `Progress.track`."""
        if not state:
            yield from self._shown.track(loop, total, first=first)
            return
        self._n_loops[self._part] += 1
        name = self._part / f"{self._n_loops[self._part]} {loop}"
        if (kept := self._checkpoints.load(name)) is not None:
            first = kept["done"]
            _put_back(state, kept["state"])
            self._remember(kept["history"])
            if first < total:
                self._say(f"{loop}: resuming at step {first} of {total}")
        for step in self._shown.track(loop, total, state, first=first):
            yield step
            done = step + 1
            # A loop with a checkpoint in its middle needs one at its end, or it would run again.
            ended = done == total and self._checkpoints.holds(name)
            if ended or self._checkpoints.is_due():
                self._checkpoints.save(
                    name,
                    {"done": done, "state": _taken(state), "history": json.dumps(self.history)},
                )

    def once(self, what: str, make: Callable[[], Plain]) -> Plain:
        """Return the result of a part of the job; see `Progress.once`."""
        around, name = self._part, self._part / what
        if (kept := self._checkpoints.load(name)) is not None:
            self._remember(kept["history"])
            return json.loads(kept["outcome"])
        self._part = name
        try:
            outcome = json.dumps(make())
        finally:
            self._part = around
        self._checkpoints.settle(name, {"outcome": outcome, "history": json.dumps(self.history)})
        return json.loads(outcome)

    def _remember(self, history: str) -> None:
        self.history.clear()
        self.history.update(json.loads(history))


def _taken(state: State) -> list[Any]:
    return [part.detach() if isinstance(part, Tensor) else part.state_dict() for part in state]


def _put_back(state: State, kept: list[Any]) -> None:
    for part, of_part in zip(state, kept, strict=True):
        if isinstance(part, Tensor):
            with torch.no_grad():
                part.copy_(of_part)
        else:
            part.load_state_dict(of_part)
