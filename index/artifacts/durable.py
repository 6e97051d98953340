"""Writes that survive a crash at any instant: temporary file, fsync, rename, fsync the folder."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path


def fsync(path: Path) -> None:
    """Flush a file or a folder's entries to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def replacing(path: Path) -> Generator[Path]:
    """Replace a file so that a reader sees the old one or the new one, never a part of it.

    Yields:
        A name in the same folder to write the new one under. What a process that was killed has
        left there is removed; where the caller fails, so is what it wrote.
    """
    for leftover in path.parent.glob(f".{path.name}.*.tmp"):
        pid = leftover.name.removesuffix(".tmp").rpartition(".")[2]
        if pid.isdecimal() and not _is_running(int(pid)):
            leftover.unlink(missing_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        fsync(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    fsync(path.parent)


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # another user's
        return True
    return True


def write_bytes(path: Path, content: bytes) -> None:
    """Replace a file so that a reader sees the old bytes or the new ones, never a mixture."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    fsync(path.parent)


def rename_folder(source: Path, target: Path) -> None:
    """Give a complete folder its final name, its files flushed before."""
    for file in source.iterdir():
        fsync(file)
    fsync(source)
    source.rename(target)
    fsync(target.parent)
