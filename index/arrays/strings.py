"""A memory-mapped array of byte strings: one blob and the offsets into it.

A million ids as Python objects cost about 100 MB in every process; these cost their bytes once,
shared by all.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

PIECE = 1 << 18  # values checked at a time: the process hardly returns the memory of a check


def ascending(values: NDArray[np.integer[Any]], *, descending: bool = False) -> bool:
    """Tell whether no value is below the one before it (or none above it)."""
    for first in range(0, len(values) - 1, PIECE):
        piece = values[first : first + PIECE + 1]
        lower, upper = (piece[1:], piece[:-1]) if descending else (piece[:-1], piece[1:])
        if not (lower <= upper).all():
            return False
    return True


@dataclass(frozen=True, eq=False)
class StringArray:
    """Byte strings by position.

    Attributes:
        blob: uint8, all strings one after the other.
        offsets: int64, shape (n + 1,); string i is ``blob[offsets[i]:offsets[i + 1]]``.
    """

    blob: NDArray[np.uint8]
    offsets: NDArray[np.int64]

    @classmethod
    def build(cls, strings: Iterable[bytes]) -> StringArray:
        """Pack strings in the order given."""
        parts = list(strings)
        offsets = np.zeros(len(parts) + 1, dtype=np.int64)
        np.cumsum(np.fromiter(map(len, parts), dtype=np.int64, count=len(parts)), out=offsets[1:])
        return cls(np.frombuffer(b"".join(parts), dtype=np.uint8), offsets)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, position: int) -> bytes:
        return self.blob[self.offsets[position] : self.offsets[position + 1]].tobytes()

    def check(self, name: str) -> None:
        """Check that the offsets fit the bytes.

        Raises:
            ValueError: the offsets do not fit.
        """
        offsets = self.offsets
        if not (
            len(offsets)
            and offsets[0] == 0
            and offsets[-1] == len(self.blob)
            and ascending(offsets)
        ):
            raise ValueError(f"{name}: offsets do not fit the bytes")

    def check_text(self, name: str) -> None:
        """Check that every string is UTF-8; check the offsets first.

        Raises:
            ValueError: a string is not.
        """
        blob, starts = self.blob, self.offsets[: self.offsets.searchsorted(len(self.blob))]
        # Valid text that is cut only between characters is valid in each part.
        for first in range(0, len(starts), PIECE):
            if ((blob[starts[first : first + PIECE]] & 0xC0) == 0x80).any():
                raise ValueError(f"{name}: a string is not UTF-8")
        decoder = codecs.getincrementaldecoder("utf-8")()
        try:
            for start in range(0, len(blob), PIECE):
                decoder.decode(blob[start : start + PIECE].data, final=start + PIECE >= len(blob))
        except UnicodeDecodeError as error:
            raise ValueError(f"{name}: a string is not UTF-8") from error
