"""What a training loop tells the person waiting for it, and the report afterwards."""

from __future__ import annotations

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

from hashrec.index.commands.progress import RateColumn

if TYPE_CHECKING:
    from torch import Tensor

History = dict[str, dict[str, list[float]]]
Plain = TypeVar("Plain")  # numbers, strings, None, and lists and dictionaries of these


class Stateful(Protocol):
    """What can be saved and put back, as PyTorch's modules, optimisers and schedules can."""

    def state_dict(self) -> dict[str, Any]:
        """Return the state: tensors and plain data."""
        ...

    def load_state_dict(self, state_dict: dict[str, Any]) -> Any:
        """Take on a state that `state_dict` returned, of an object made alike."""
        ...


State = Sequence["Tensor | Stateful"]


class Progress(Protocol):
    """Follows the loops of a job.

    Attributes:
        history: what was logged, by loop and by quantity, one value a step: the loss curves.
    """

    history: History

    def track(self, loop: str, total: int, state: State = (), *, first: int = 0) -> Iterator[int]:
        """Yield first .. total - 1 and show how far the loop is; loops do not nest.

        Args:
            loop: in words.
            total: number of steps.
            state: all that the steps change, tensors in place. A loop that tells it may be entered
                where a killed job left it (`ResumableProgress`): its later steps must depend on
                nothing else that earlier ones did, and what was logged of these is in `history`.
            first: step to begin with.
        """
        ...

    def once(self, what: str, make: Callable[[], Plain]) -> Plain:
        """Return what `make` returns, or returned before the job was killed.

        Args:
            what: in words, unlike others in the same part of the job.
            make: a part of the job; the same job gives the same outcome again.
        """
        ...

    def log(self, **values: float) -> None:
        """Record quantities of the current step of the current loop, such as ``loss=0.31``."""
        ...


class QuietProgress:
    """Records, shows nothing."""

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
        """Return what `make` returns."""
        return make()

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
