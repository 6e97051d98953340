"""The two versions, each driven by its `hashrec` command from a folder that holds no code."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeVar
from urllib.error import HTTPError
from urllib.request import urlopen

from tests.ports import free_port

# Names of variables that would lead a version to other code, or give it other settings.
LEFT_OUT = ("PYTHON", "HASHREC_", "VIRTUAL_ENV", "PROMETHEUS_", "OTEL_", "COVERAGE")
ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "POLARS_MAX_THREADS"), "1"
)
# A set of texts has another order in each process, and what is made of it, too.
ONE_ORDER = {"PYTHONHASHSEED": "0"}
COMMAND_S, START_S, END_S = 600, 120, 60

T = TypeVar("T")


class Done(NamedTuple):
    """What a command did."""

    status: int
    stdout: bytes
    stderr: str


@dataclass(frozen=True)
class Side:
    """One version.

    Attributes:
        name: `before` or `after`.
        command: its `hashrec`.
        folder: where it works. Paths are given relative to it, so that both print the same ones.
    """

    name: str
    command: Path
    folder: Path

    def run(self, *arguments: str) -> Done:
        """Run a command to its end."""
        done = subprocess.run(
            [self.command, *arguments],
            cwd=self.folder,
            env=_environment(),
            capture_output=True,
            timeout=COMMAND_S,
            check=False,
        )
        return Done(done.returncode, done.stdout, done.stderr.decode(errors="replace"))

    @contextmanager
    def serving(self, store: str, **settings: str) -> Generator[Server]:
        """Serve a store until the block ends.

        Raises:
            ChildProcessError: the server did not come up.
        """
        port = free_port()
        with (self.folder / f"serve-{store}.log").open("ab") as log:
            process = subprocess.Popen(
                [self.command, "serve", "--store", store, "--port", str(port)],
                cwd=self.folder,
                env=_environment() | {"HASHREC_DRAIN_S": "0", **settings},
                stdout=log,
                stderr=log,
            )
        server = Server(process, port)
        try:
            server.wait_until_it_answers()
            yield server
        finally:
            server.end()


class Server:
    """A running `hashrec serve`.

    Attributes:
        port: on 127.0.0.1.
        status: how it ended, once it has.
    """

    def __init__(self, process: subprocess.Popen[bytes], port: int) -> None:
        self.port = port
        self.status: int | None = None
        self._process = process

    def wait_until_it_answers(self) -> None:
        """Ask whether the service is ready until it says yes or no."""
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                with urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=10):
                    return
            except HTTPError:  # an answer, from a service without a model
                return
            except OSError:
                time.sleep(0.1)
        raise ChildProcessError(f"{self._process.args} did not come up")

    def end(self) -> None:
        """End it as an operator would, and wait."""
        self._process.terminate()
        try:
            self.status = self._process.wait(END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self.status = self._process.wait()


Sides = tuple[Side, Side]


def both(sides: Sides, work: Callable[[Side], T]) -> tuple[T, T]:
    """Do something with both versions at the same time."""
    with ThreadPoolExecutor(2) as pool:
        before, after = pool.map(work, sides)
    return before, after


def run_both(sides: Sides, arguments: Sequence[str]) -> tuple[Done, Done]:
    """Run a command with both versions at the same time."""
    return both(sides, lambda side: side.run(*arguments))


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(LEFT_OUT)}
    return kept | ONE_THREAD | ONE_ORDER
