"""Work in a process of its own, so that its peak memory is its own."""

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
    """Stands for an error, which might not survive the way between processes."""

    reason: str


def in_own_process(work: Callable[..., Answer], *arguments: Any) -> Answer:
    """Do some work in a process of its own, which ends when this one does, even if that is killed.

    Args:
        work: a function of a module; what it takes and returns can be pickled.
        arguments: of it.

    Raises:
        DataError: hashrec refuses the work, or the disk does, with the reason.
        ChildProcessError: it failed in another way, such as for want of memory.
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
        raise ChildProcessError(f"its process ended with {process.exitcode}") from None
    finally:
        receiver.close()
        process.kill()  # if it still works, nobody waits for its answer any longer
        process.join()
    if isinstance(answer, _Refusal):
        raise DataError(answer.reason)
    return answer


def _answer(sender: Connection, work: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears it too, and ends this process
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
