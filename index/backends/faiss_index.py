"""The common part of the FAISS indexes: code width, memory mapping, tie order."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar, Self

import faiss
import numpy as np

from hashrec.index.arrays.codes import BinaryCodes
from hashrec.index.backends.hamming_index import Neighbors
from hashrec.index.errors import ArtifactCorruptError, CodeWidthError

# FAISS has unrolled Hamming kernels for these code sizes only; any other width runs a byte loop,
# two to three times slower. Zero bytes at the end change no distance, so codes are padded.
FAST_CODE_BYTES = (4, 8, 16, 20, 32, 64)


def padded_bytes(n_bits: int) -> int:
    """Return the bytes of a code inside an index."""
    n_bytes = n_bits // 8
    return next((size for size in FAST_CODE_BYTES if size >= n_bytes), n_bytes)


class FaissIndex(ABC):
    """A FAISS binary index over padded codes."""

    exact: ClassVar[bool]

    def __init__(self, index: Any, n_bits: int) -> None:
        self._index = index
        self._n_bits = n_bits

    @classmethod
    @abstractmethod
    def build(cls, codes: BinaryCodes, *, seed: int = 0) -> Self:
        """See `HammingIndex.build`."""

    @classmethod
    def load(cls, path: Path, n_bits: int) -> Self:
        """See `HammingIndex.load`."""
        try:
            cls._check_file(path, padded_bytes(n_bits))
            # MMAP_IFC maps the codes of a flat index too, which plain MMAP silently does not.
            index = faiss.read_index_binary(str(path), faiss.IO_FLAG_MMAP_IFC)
        except (ValueError, OSError, RuntimeError) as error:
            reason = str(error).strip().splitlines()[-1]
            raise ArtifactCorruptError(path, f"not the expected index: {reason}") from error
        return cls(index, n_bits)

    @classmethod
    @abstractmethod
    def _check_file(cls, path: Path, code_size: int) -> None:
        """Raise ValueError for a file that FAISS must not read."""

    def save(self, path: Path) -> None:
        """See `HammingIndex.save`."""
        # FAISS's own writer does not report a full disk when it closes the file.
        path.write_bytes(faiss.serialize_index_binary(self._index).data)

    def search(self, queries: BinaryCodes, k: int) -> Neighbors:
        """See `HammingIndex.search`."""
        if queries.n_bits != self._n_bits:  # inside FAISS this is an assert, off in release builds
            raise CodeWidthError(self._n_bits, queries.n_bits)
        distances, rows = self._index.search(queries.padded(self._index.code_size), k)
        return Neighbors(rows, distances)

    def __len__(self) -> int:
        return int(self._index.ntotal)

    @property
    def n_bits(self) -> int:
        """See `HammingIndex.n_bits`."""
        return self._n_bits

    @property
    @abstractmethod
    def n_bytes(self) -> int:
        """See `HammingIndex.n_bytes`."""


def by_distance_then_row(found: Neighbors) -> Neighbors:
    """Sort each row of results by distance, ties by row."""
    # One number that sorts as the pair does; + 1 because a missing row is -1.
    pairs = (found.distances.astype(np.int64) << 32) + (found.rows + 1)
    pairs.sort(axis=1)
    return Neighbors((pairs & 0xFFFFFFFF) - 1, (pairs >> 32).astype(np.int32))
