"""What a training loop tells the person waiting for it, and the report afterwards."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import Protocol, TextIO

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.progress import Progress as Bars

from index.progress import RateColumn

History = dict[str, dict[str, list[float]]]


class Progress(Protocol):
    """Follows the loops of a job.

    Attributes:
        history: what was logged, by loop and by quantity, one value a step: the loss curves.
    """

    history: History

    def track(self, loop: str, total: int) -> Iterator[int]:
        """Yield 0 .. total - 1 and show how far the loop is; loops do not nest."""
        ...

    def log(self, **values: float) -> None:
        """Record quantities of the current step of the current loop, such as ``loss=0.31``."""
        ...


class QuietProgress:
    """Records, shows nothing."""

    def __init__(self) -> None:
        self.history: History = {}
        self._loop = ""

    def track(self, loop: str, total: int) -> Iterator[int]:
        """Yield 0 .. total - 1."""
        self._loop = loop
        yield from range(total)

    def log(self, **values: float) -> None:
        """Record quantities under the current loop."""
        curves = self.history.setdefault(self._loop, {})
        for name, value in values.items():
            curves.setdefault(name, []).append(value)


class BarProgress(QuietProgress):
    """Records, and draws a bar with the rate and the time left.

    Args:
        stream: where to draw, usually ``sys.stderr``; stdout stays free for data.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._bars = Bars(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            RateColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[latest]}"),
            console=Console(file=stream),
        )
        self._bar: TaskID | None = None

    def track(self, loop: str, total: int) -> Iterator[int]:
        """Yield 0 .. total - 1 under a bar."""
        with self._bars:
            self._bar = self._bars.add_task(loop, total=total, latest="")
            for step in super().track(loop, total):
                yield step
                self._bars.advance(self._bar)
        self._bar = None

    def log(self, **values: float) -> None:
        """Record quantities and show them beside the bar."""
        super().log(**values)
        if self._bar is not None:
            latest = "  ".join(f"{name} {value:.4g}" for name, value in values.items())
            self._bars.update(self._bar, latest=latest)


@contextmanager
def byte_bar(name: str, stream: TextIO | None) -> Generator[Callable[[int, int | None], None]]:
    """Draw a download: what it yields takes the bytes done and the bytes in all, if known.

    Args:
        name: what is downloaded.
        stream: where to draw; None draws nothing.
    """
    bars = Bars(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=Console(file=stream),
        disable=stream is None,
    )
    bar = bars.add_task(name, total=None)

    def follow(done: int, total: int | None) -> None:
        bars.start()  # with the first byte: a refusal before it leaves no bar behind
        bars.update(bar, completed=done, total=total)

    try:
        yield follow
    finally:
        if bars.live.is_started:  # stopping prints a line, even of nothing
            bars.stop()
