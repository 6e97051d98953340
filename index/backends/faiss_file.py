"""Checks of a FAISS file before FAISS reads it.

FAISS trusts its files: because of one wrong count it reads past the end, allocates terabytes or
returns rows that do not exist. So every count is checked here first, to the byte.
"""

from __future__ import annotations

import mmap
import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

_HEADER = struct.Struct("<4siiqBi")  # kind, bits, bytes a code, codes, is trained, metric
_NO_DIRECT_MAP = bytes(9)


def check_flat_file(path: Path, code_size: int) -> None:
    """Check that a file is a complete `IndexBinaryFlat` with codes of `code_size` bytes.

    Raises:
        ValueError: it is not.
        OSError: the file cannot be read.
    """
    reader = _Reader(path)
    _read_flat(reader, code_size)
    reader.require_end()


def check_ivf_file(path: Path, code_size: int) -> None:
    """Check that a file is a complete `IndexBinaryIVF` that lists each row once.

    Raises:
        ValueError: it is not.
        OSError: the file cannot be read.
    """
    reader = _Reader(path)
    n_codes = _read_header(reader, b"IBwF", code_size)
    n_lists, _probes = reader.numbers(2).tolist()
    if _read_flat(reader, code_size) != n_lists:
        raise ValueError("its lists and their centres differ in number")
    reader.expect(_NO_DIRECT_MAP)
    reader.expect(b"ilar")
    if reader.numbers(2).tolist() != [n_lists, code_size]:
        raise ValueError("its lists do not fit its header")
    sizes = _read_list_sizes(reader)
    if (sizes > n_codes).any() or len(sizes) > n_lists or int(sizes.sum()) != n_codes:
        raise ValueError("its lists do not hold the number of codes it names")
    reader.require_left(n_codes * (code_size + 8))
    listed = np.zeros(n_codes, dtype=bool)
    for size in sizes.tolist():
        reader.take(size * code_size)
        rows = reader.numbers(size)
        if (rows >= n_codes).any():
            raise ValueError("it lists a row that it does not have")
        listed[rows] = True
    if not listed.all():
        raise ValueError("it lists a row twice")
    reader.require_end()


def _read_header(reader: _Reader, kind: bytes, code_size: int) -> int:
    """Return the number of codes."""
    found = _HEADER.unpack(reader.take(_HEADER.size))
    n_codes = int(found[3])
    if found != (kind, 8 * code_size, code_size, n_codes, 1, 1) or n_codes < 0:
        raise ValueError(f"its header is not that of an index over {8 * code_size} bits")
    return n_codes


def _read_flat(reader: _Reader, code_size: int) -> int:
    """Skip the codes and return their number."""
    n_codes = _read_header(reader, b"IBxF", code_size)
    if reader.number() != n_codes * code_size:
        raise ValueError("its codes do not fit its header")
    reader.take(n_codes * code_size)
    return n_codes


def _read_list_sizes(reader: _Reader) -> NDArray[np.uint64]:
    """Return the sizes of the stored lists, which may leave out empty ones."""
    kind = bytes(reader.take(4))
    sizes = reader.numbers(reader.number())
    if kind == b"sprs":  # pairs of (list, size) where most lists are empty
        lists, sizes = sizes[0::2], sizes[1::2]
        if len(lists) != len(sizes) or (lists[1:] <= lists[:-1]).any():
            raise ValueError("its list sizes are damaged")
        return sizes
    if kind != b"full":
        raise ValueError("its list sizes are of an unknown kind")
    return sizes


class _Reader:
    """Reads a file from its start and raises ValueError at its end."""

    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            self._content = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        self._position = 0

    def take(self, n_bytes: int) -> memoryview:
        if n_bytes > len(self._content) - self._position:
            raise ValueError("it ends too early")
        self._position += n_bytes
        return self._content[self._position - n_bytes : self._position]

    def numbers(self, count: int) -> NDArray[np.uint64]:
        return np.frombuffer(self.take(8 * count), dtype="<u8")

    def number(self) -> int:
        return int(self.numbers(1)[0])

    def expect(self, expected: bytes) -> None:
        if bytes(self.take(len(expected))) != expected:
            raise ValueError("its parts are not those of the expected index")

    def require_left(self, n_bytes: int) -> None:
        if len(self._content) - self._position != n_bytes:
            raise ValueError("its size does not fit its counts")

    def require_end(self) -> None:
        self.require_left(0)
