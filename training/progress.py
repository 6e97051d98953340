"""Progress of a training job: bars on a terminal, lines in a log, history for the report."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol, TextIO, TypeVar

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

from hashrec.index.commands.progress import RateColumn, draws_bars

if TYPE_CHECKING:
    from torch import Tensor

History = dict[str, dict[str, list[float]]]
Plain = TypeVar("Plain")  # numbers, strings, None, and lists and dictionaries of these
Say = Callable[[str], None]  # takes a one-line message

LINE_EVERY_S = 30.0  # of a loop in a log


class Stateful(Protocol):
    """An object that can be saved and restored, such as a PyTorch module or optimiser."""

    def state_dict(self) -> dict[str, Any]:
        """Return the state: tensors and plain data."""
        ...

    def load_state_dict(self, state_dict: dict[str, Any]) -> Any:
        """Restore a state that `state_dict` returned, of an object with the same settings."""
        ...


State = Sequence["Tensor | Stateful"]


class Progress(Protocol):
    """Follows the stages and the loops of a job.

    Attributes:
        history: the loss curves: loop -> quantity -> one value a step, as logged.
    """

    history: History

    def track(self, loop: str, total: int, state: State = (), *, first: int = 0) -> Iterator[int]:
        """Yield first .. total - 1 and show the step; loops do not nest.

        Args:
            loop: name in words.
            total: number of steps.
            state: everything that the steps change, tensors in place. A loop with a state can be
                resumed where a killed job left it (`ResumableProgress`): its later steps must not
                depend on anything else that earlier steps did. What those logged is in `history`.
            first: the first step.
        """
        ...

    def once(self, what: str, make: Callable[[], Plain]) -> Plain:
        """Return the result of `make`, which may have been made before the job was killed.

        Args:
            what: name in words, unique in its part of the job.
            make: a part of the job; the same job gives the same result again.
        """
        ...

    def log(self, **values: float) -> None:
        """Record quantities of the current step of the current loop, such as ``loss=0.31``."""
        ...

    def end_stage(self, stage: str, seconds: float) -> None:
        """Show that a stage of the job is done.

        Args:
            stage: name as in the report.
            seconds: that the job has spent in this stage so far.
        """
        ...


class QuietProgress:
    """Records the history and shows nothing."""

    def __init__(self) -> None:
        self.history: History = {}
        self._loop = ""

    def track(
        self,
        loop: str,
        total: int,
        state: State = (),  # noqa: ARG002
        *,
        first: int = 0,
    ) -> Iterator[int]:
        """Yield first .. total - 1."""
        self._loop = loop
        yield from range(first, total)

    def once(self, what: str, make: Callable[[], Plain]) -> Plain:  # noqa: ARG002
        """Return the result of `make`."""
        return make()

    def log(self, **values: float) -> None:
        """Record quantities under the current loop."""
        curves = self.history.setdefault(self._loop, {})
        for name, value in values.items():
            curves.setdefault(name, []).append(value)

    def end_stage(self, stage: str, seconds: float) -> None:
        """Show nothing."""


def shown_on(stream: TextIO) -> Progress:
    """Return a progress that suits a stream, usually ``sys.stderr``: stdout is for data."""
    return BarProgress(stream) if draws_bars(stream) else LineProgress(stream)


class LineProgress(QuietProgress):
    """Records the history and writes plain lines: one a stage, and some in a long loop.

    Args:
        stream: where to write.
        every: seconds between two lines of a loop; a shorter loop has none.
    """

    def __init__(self, stream: TextIO, every: float = LINE_EVERY_S) -> None:
        super().__init__()
        self._stream, self._every = stream, every

    def track(self, loop: str, total: int, state: State = (), *, first: int = 0) -> Iterator[int]:
        """Yield first .. total - 1 and write a line from time to time."""
        start = last = time.monotonic()
        for step in super().track(loop, total, state, first=first):
            yield step
            now = time.monotonic()
            if now - last >= self._every:
                self._write(f"{loop} ({step + 1} of {total}): {now - start:.0f} s")
                last = now

    def end_stage(self, stage: str, seconds: float) -> None:
        """Write the name of the stage and its seconds."""
        self._write(f"{stage}: {seconds:.1f} s")

    def _write(self, line: str) -> None:
        print(line, file=self._stream, flush=True)


class BarProgress(QuietProgress):
    """Records the history and draws a bar with the rate and the time left.

    Args:
        stream: a terminal.
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

    def track(self, loop: str, total: int, state: State = (), *, first: int = 0) -> Iterator[int]:
        """Yield first .. total - 1 under a bar."""
        with self._bars:
            self._bar = self._bars.add_task(loop, total=total, completed=first, latest="")
            for step in super().track(loop, total, state, first=first):
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
    """Show a download: a bar on a terminal, elsewhere one line at the end.

    Args:
        name: of the download.
        stream: where to write; None writes nothing.

    Yields:
        A function that takes the bytes done and the bytes in all, None if that is not known.
    """
    if stream is not None and not draws_bars(stream):
        with _byte_line(name, stream) as follow_line:
            yield follow_line
        return
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


@contextmanager
def _byte_line(name: str, stream: TextIO) -> Generator[Callable[[int, int | None], None]]:
    start, n_bytes = time.monotonic(), 0

    def follow(done: int, _total: int | None) -> None:
        nonlocal n_bytes
        n_bytes = done

    yield follow
    if n_bytes:  # nothing was sent where the file is here already
        print(
            f"{name} ({n_bytes / 1e6:,.1f} MB): {time.monotonic() - start:.1f} s",
            file=stream,
            flush=True,
        )
