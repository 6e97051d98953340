"""Bars for the person at a terminal, on stderr: stdout is for data."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn
from rich.progress import TimeRemainingColumn as TimeLeftColumn
from rich.text import Text


class RateColumn(ProgressColumn):
    """Steps a second, or seconds a step where that is the more readable number."""

    def render(self, task: Task) -> Text:
        """See the parent."""
        speed = task.finished_speed or task.speed
        if not speed:
            return Text("")
        return Text(f"{speed:,.1f}/s" if speed >= 1 else f"{1 / speed:.1f} s each")


@contextmanager
def count_bar(
    what: str, total: int | None, stream: TextIO | None
) -> Generator[Callable[[int], None]]:
    """Draw how many are done, how many a second, and the time left.

    Args:
        what: is counted.
        total: how many there are, if that is known.
        stream: where to draw; None draws nothing.

    Yields:
        A function that takes the number done since its last call.
    """
    bars = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        RateColumn(),
        TimeLeftColumn(),
        console=Console(file=stream),
        disable=stream is None,
    )
    with bars:
        bar = bars.add_task(what, total=total)
        yield lambda done: bars.advance(bar, done)
