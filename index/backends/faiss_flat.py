"""Exact search by one scan over all codes: the default up to about a million items."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Self

import faiss

from hashrec.index.arrays.codes import BinaryCodes
from hashrec.index.backends.faiss_file import check_flat_file
from hashrec.index.backends.faiss_index import FaissIndex, padded_bytes


class FaissFlat(FaissIndex):
    """`faiss.IndexBinaryFlat`.

    Results are in (distance, row) order with the pinned version. FAISS does not promise that, so a
    property test compares it with the reference.
    """

    exact: ClassVar[bool] = True

    @classmethod
    def build(cls, codes: BinaryCodes, *, seed: int = 0) -> Self:
        """See `HammingIndex.build`; `seed` has no effect."""
        del seed
        size = padded_bytes(codes.n_bits)
        index = faiss.IndexBinaryFlat(8 * size)
        index.add(codes.padded(size))
        return cls(index, codes.n_bits)

    @classmethod
    def _check_file(cls, path: Path, code_size: int) -> None:
        check_flat_file(path, code_size)

    @property
    def n_bytes(self) -> int:
        """See `HammingIndex.n_bytes`."""
        return len(self) * int(self._index.code_size)
