"""A number in a file that every process of the machine sees change, and a lock beside it."""

from __future__ import annotations

import fcntl
import mmap
import os
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

_N_BYTES = 8
_LOOK_S = 0.001


class SharedPosition:
    """The position of a journal's last entry, mapped into memory.

    Asking SQLite takes 3 us and gives up the interpreter's lock, which an event loop may get back
    milliseconds later; reading memory takes 0.1 us and gives up nothing.

    Raises:
        OSError: the file cannot be made or opened.
    """

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            if os.fstat(self._descriptor).st_size < _N_BYTES:
                # Written, not only extended: a full disk must show here and not as SIGBUS later.
                os.pwrite(self._descriptor, bytes(_N_BYTES), 0)
            self._map = mmap.mmap(self._descriptor, _N_BYTES)
        except BaseException:
            os.close(self._descriptor)
            raise
        self._view = memoryview(self._map).cast("q")

    def get(self) -> int:
        """Return the number."""
        return self._view[0]

    def set(self, position: int) -> None:
        """Replace the number; only inside `locked`."""
        self._view[0] = position

    @contextmanager
    def locked(self, timeout_s: float) -> Generator[None]:
        """Hold the lock, which one `SharedPosition` of all processes has at a time.

        The kernel takes it from a process that ends.

        Raises:
            TimeoutError: someone else held it for all of the time.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise TimeoutError("another process is writing and does not end") from None
                time.sleep(_LOOK_S)
        try:
            yield
        finally:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def close(self) -> None:
        """Unmap and close the file."""
        self._view.release()
        self._map.close()
        os.close(self._descriptor)
