"""Work for another process, without the libraries that take seconds to load."""

from __future__ import annotations

import errno
import os
import signal

from hashrec.index.errors import EmptyDataError


def add(a: int, b: int) -> int:
    """Answer."""
    return a + b


def refuse() -> None:
    """Fail as hashrec does."""
    raise EmptyDataError("somewhere", "nothing there")


def fill_the_disk() -> None:
    """Fail as a disk does."""
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "factors.npz")


def die() -> None:
    """Fail as for want of memory."""
    os.kill(os.getpid(), signal.SIGKILL)
