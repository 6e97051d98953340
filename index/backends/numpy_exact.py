"""The reference: exact search in numpy. Tests compare every index with it."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Self

import numpy as np

from hashrec.index.arrays.codes import BinaryCodes
from hashrec.index.arrays.npy import map_array
from hashrec.index.backends.hamming_index import NO_DISTANCE, NO_ROW, Neighbors
from hashrec.index.errors import ArtifactCorruptError, CodeWidthError, ConfigError


class NumpyExact:
    """Computes all distances, then sorts them stably."""

    exact: ClassVar[bool] = True

    def __init__(self, codes: BinaryCodes) -> None:
        self._codes = codes

    @classmethod
    def build(cls, codes: BinaryCodes, *, seed: int = 0) -> Self:
        """See `HammingIndex.build`."""
        del seed
        return cls(codes)

    @classmethod
    def load(cls, path: Path, n_bits: int) -> Self:
        """See `HammingIndex.load`."""
        try:
            codes = BinaryCodes(map_array(path))
        except (OSError, ValueError, ConfigError) as error:
            raise ArtifactCorruptError(path, f"not a code array: {error}") from error
        if codes.n_bits != n_bits:
            raise ArtifactCorruptError(path, f"{codes.n_bits} bits where {n_bits} are expected")
        return cls(codes)

    def save(self, path: Path) -> None:
        """See `HammingIndex.save`."""
        with path.open("wb") as file:
            np.save(file, self._codes.packed, allow_pickle=False)

    def search(self, queries: BinaryCodes, k: int) -> Neighbors:
        """See `HammingIndex.search`."""
        if queries.n_bits != self.n_bits:
            raise CodeWidthError(self.n_bits, queries.n_bits)
        distances = queries.hamming(self._codes)
        order = np.argsort(distances, axis=1, kind="stable")[:, :k]
        rows = np.full((len(queries), k), NO_ROW, dtype=np.int64)
        nearest = np.full((len(queries), k), NO_DISTANCE, dtype=np.int32)
        rows[:, : order.shape[1]] = order
        nearest[:, : order.shape[1]] = np.take_along_axis(distances, order, axis=1)
        return Neighbors(rows, nearest)

    def __len__(self) -> int:
        return len(self._codes)

    @property
    def n_bits(self) -> int:
        """See `HammingIndex.n_bits`."""
        return self._codes.n_bits

    @property
    def n_bytes(self) -> int:
        """See `HammingIndex.n_bytes`."""
        return self._codes.packed.nbytes
