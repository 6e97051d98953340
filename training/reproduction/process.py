"""Run work in a separate process, to measure its peak memory alone."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, TypeVar

from hashrec.index.errors import DataError, HashrecError

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class _Refusal:
    """The message of an error; the error itself may not be picklable."""

    reason: str


def in_own_process(work: Callable[..., Answer], *arguments: Any) -> Answer:
    """Run work in a separate process, which ends when this one ends, even by a kill.

    Args:
        work: a module-level function with picklable arguments and result.
        arguments: of `work`.

    Raises:
        DataError: hashrec or the operating system reported an error, with its reason.
        ChildProcessError: the process ended in another way, for example out of memory.
    """
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_answer, args=(sender, work, arguments), daemon=True)
    process.start()
    sender.close()
    try:
        answer = receiver.recv()
        process.join()
    except EOFError:
        process.join()
        raise ChildProcessError(f"the process ended with {process.exitcode}") from None
    finally:
        receiver.close()
        process.kill()  # after an exception here nobody waits for its answer
        process.join()
    if isinstance(answer, _Refusal):
        raise DataError(answer.reason)
    return answer


def _answer(sender: Connection, work: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # the parent receives it too, and ends this process
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        answer = work(*arguments)
    except (HashrecError, OSError) as error:
        answer = _Refusal(str(error))
    sender.send(answer)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
