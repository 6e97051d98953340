"""Writes that survive a crash at any moment: temporary file, fsync, rename, fsync the folder."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path


def fsync(path: Path) -> None:
    """Flush a file, or the entries of a folder, to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def replacing(path: Path) -> Generator[Path]:
    """Replace a file so that a reader sees the old or the new content, never a part of it.

    Yields:
        A path in the same folder for the new content. Files that killed processes left under such
        paths are removed, and so is the new one if the caller fails.
    """
    for leftover in path.parent.glob(f".{path.name}.*.tmp"):
        pid = leftover.name.removesuffix(".tmp").rpartition(".")[2]
        if pid.isdecimal() and not is_running(int(pid)):
            leftover.unlink(missing_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        fsync(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    fsync(path.parent)


def is_running(pid: int) -> bool:
    """Tell whether a process exists."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # of another user
        return True
    return True


def write_bytes(path: Path, content: bytes) -> None:
    """Replace the content of a file; see `replacing`."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def rename_folder(source: Path, target: Path) -> None:
    """Flush the files of a complete folder, then give it its final name."""
    for file in source.iterdir():
        fsync(file)
    fsync(source)
    source.rename(target)
    fsync(target.parent)
