"""Progress on stderr: bars on a terminal, plain lines elsewhere. stdout is for data."""

from __future__ import annotations

import time
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


def draws_bars(stream: TextIO) -> bool:
    """Tell whether a stream is a terminal, on which a bar can be redrawn in place."""
    return Console(file=stream).is_terminal


@contextmanager
def count_bar(
    what: str, total: int | None, stream: TextIO | None
) -> Generator[Callable[[int], None]]:
    """Show how many are done, how many a second, and the time left; elsewhere one line at the end.

    Args:
        what: plural noun of what is counted.
        total: the number of all, if it is known.
        stream: where to write; None writes nothing.

    Yields:
        A function that takes the number done since its last call.
    """
    if stream is not None and not draws_bars(stream):
        with _count_line(what, total, stream) as advance:
            yield advance
        return
    bars = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        RateColumn(),
        TimeLeftColumn(),
        # Older releases of rich end even a disabled bar with a line, and no file means stdout.
        console=Console(file=stream, quiet=stream is None),
        disable=stream is None,
    )
    with bars:
        bar = bars.add_task(what, total=total)
        yield lambda done: bars.advance(bar, done)


@contextmanager
def _count_line(what: str, total: int | None, stream: TextIO) -> Generator[Callable[[int], None]]:
    start, n_done = time.monotonic(), 0

    def advance(done: int) -> None:
        nonlocal n_done
        n_done += done

    try:
        yield advance
    finally:
        of = "" if total is None else f" of {total:,}"
        print(f"{what} ({n_done:,}{of}): {time.monotonic() - start:.1f} s", file=stream, flush=True)
