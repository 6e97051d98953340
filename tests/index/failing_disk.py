"""A disk that fails at a chosen call: the calls that change it are counted, and one is failed.

The real calls run until then. What is wrapped is Python's own (`os`, `open`, file writes), which is
all that a publication uses.
"""

from __future__ import annotations

import io
import os
import shutil
import signal
from collections import Counter
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

CALLS = ("mkdir", "open", "write", "fsync", "rename", "replace", "copy")


@dataclass
class Fault:
    """What happens at one call, counted from 0.

    Attributes:
        at: the call.
        code: the errno it fails with; without one, the process kills itself.
        lasting: whether the calls after it fail too.
        calls: calls so far.
        seen: calls so far by kind.
    """

    at: int
    code: int | None = None
    lasting: bool = False
    calls: int = 0
    seen: Counter[str] = field(default_factory=Counter)

    def strike(self, kind: str) -> None:
        self.seen[kind] += 1
        number = self.calls
        self.calls += 1
        if number == self.at or (self.lasting and number > self.at):
            if self.code is None:
                os.kill(os.getpid(), signal.SIGKILL)
            raise OSError(self.code, os.strerror(self.code or 0))


class _File(io.FileIO):
    """A file whose writes are counted; a failing one writes half of its bytes first."""

    fault: Fault

    def write(self, content: Any, /) -> int:
        view = memoryview(content).cast("B")
        super().write(view[: len(view) // 2])
        self.fault.strike("write")
        return len(view) // 2 + super().write(view[len(view) // 2 :])


@contextmanager
def failing_disk(fault: Fault) -> Generator[None]:
    """Wrap the calls that change a disk."""
    real_open, real_copy, real_mkdir = io.open, shutil.copyfile, os.mkdir

    def before(kind: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*arguments: Any, **options: Any) -> Any:
            fault.strike(kind)
            return call(*arguments, **options)

        return wrapped

    def made(path: Any, *arguments: Any, **options: Any) -> None:
        if not Path(path).is_dir():  # a call that changes nothing has nothing to lose
            fault.strike("mkdir")
        real_mkdir(path, *arguments, **options)

    def opened(path: Any, mode: str = "r", buffering: int = -1, *rest: Any, **options: Any) -> Any:
        if not set(mode) & set("wax+"):
            return real_open(path, mode, buffering, *rest, **options)
        fault.strike("open")
        raw = _File(path, mode.replace("b", "").replace("t", ""))
        raw.fault = fault
        if buffering == 0:
            return raw
        binary = io.BufferedRandom(raw) if "+" in mode else io.BufferedWriter(raw)
        return binary if "b" in mode else io.TextIOWrapper(binary, *rest, **options)

    def copied(source: Any, target: Any, **options: Any) -> Any:
        with real_open(target, "wb"):  # as far as a copy gets when it is cut off at once
            pass
        fault.strike("copy")
        return real_copy(source, target, **options)

    with (
        mock.patch("io.open", opened),
        mock.patch("builtins.open", opened),
        mock.patch("os.mkdir", made),
        mock.patch("os.fsync", before("fsync", os.fstat)),  # a real one only takes time here
        mock.patch("os.rename", before("rename", os.rename)),
        mock.patch("os.replace", before("replace", os.replace)),
        mock.patch("shutil.copyfile", copied),
    ):
        yield
