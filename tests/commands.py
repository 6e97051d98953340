"""`hashrec` commands in processes of their own that have nothing left to import.

A new interpreter spends seconds of a processor on torch, polars and the web stack. Here one process
imports them once, and every command is forked from it, with its own arguments, environment, folder,
output and signals. What an interpreter does from its start is tested where that is the point, in
`test_command_line.py`, and where the transcripts of the README are typed in a shell.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from hashrec.command_line import main

_PROCESSES = multiprocessing.get_context("forkserver")
_IMPORTED = (
    __name__,
    "hashrec.service.doctor.report",
    "hashrec.service.server",
    "hashrec.training.jobs.retraining",
    "polars",
    "torch._dynamo",
)


class Command:
    """A running command; used like `subprocess.Popen`.

    Args:
        arguments: after `hashrec`.
        folder: to run in.
        stdout: file for what it prints.
        stderr: file for what it tells.
        environment: variables besides those there are.
    """

    def __init__(
        self,
        *arguments: object,
        folder: Path | None = None,
        stdout: Path = Path(os.devnull),
        stderr: Path = Path(os.devnull),
        **environment: str,
    ) -> None:
        _PROCESSES.set_forkserver_preload(list(_IMPORTED))
        self.arguments = tuple(map(str, arguments))
        self._process = _PROCESSES.Process(
            target=_run,
            args=(
                self.arguments,
                folder or Path.cwd(),
                (stdout, stderr),
                os.environ | environment,
            ),
        )
        self._process.start()
        assert self._process.pid is not None
        self.pid = self._process.pid

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, seconds: float) -> int:
        self._process.join(seconds)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired(self.arguments, seconds)
        return self._process.exitcode

    def send_signal(self, number: signal.Signals) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def hashrec(
    *arguments: object, folder: Path | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    with tempfile.TemporaryDirectory() as outputs:
        stdout, stderr = Path(outputs) / "stdout", Path(outputs) / "stderr"
        command = Command(*arguments, folder=folder, stdout=stdout, stderr=stderr, **environment)
        try:
            code = command.wait(300)
        finally:
            command.kill()
        return subprocess.CompletedProcess(
            command.arguments, code, stdout.read_text(), stderr.read_text()
        )


def _run(
    arguments: tuple[str, ...],
    folder: Path,
    outputs: tuple[Path, Path],
    environment: dict[str, str],
) -> None:
    for number, path in enumerate((Path(os.devnull), *outputs)):
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, number)
        os.close(file)
    sys.stdin = os.fdopen(0)  # what multiprocessing left there has another number
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.argv = ["hashrec", *arguments]
    # `multiprocessing` ends it with `os._exit`, without the exit functions of what was imported
    # before the fork: they belong to that process, and polars 2.0.0 has one that waits for a
    # thread which a forked process has not got.
    main()
