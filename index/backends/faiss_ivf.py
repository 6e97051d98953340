"""Approximate search in the nearest of many lists: for more than about a million items."""

from __future__ import annotations

import math
from pathlib import Path
from typing import ClassVar, Self

import faiss
import numpy as np

from hashrec.index.arrays.codes import BinaryCodes
from hashrec.index.backends.faiss_file import check_ivf_file
from hashrec.index.backends.faiss_index import FaissIndex, by_distance_then_row, padded_bytes
from hashrec.index.backends.hamming_index import NO_DISTANCE, NO_ROW, Neighbors

PROBES = 16  # lists searched per query; recall about .99 at a million items
TRAINING_CODES_PER_LIST = 64  # k-means gains nothing visible from more
_LEAST_SPARE = 16  # fetched beyond k, to see whether items with the k-th distance follow


class FaissIvf(FaissIndex):
    """`faiss.IndexBinaryIVF`: k-means lists by Hamming distance, 16 of them searched.

    A neighbour in a list that is not searched is missed. The result is the first k items of the
    searched lists in (distance, row) order.
    """

    exact: ClassVar[bool] = False

    @classmethod
    def build(cls, codes: BinaryCodes, *, seed: int = 0) -> Self:
        """See `HammingIndex.build`; `seed` selects the codes that k-means learns from."""
        size = padded_bytes(codes.n_bits)
        vectors = codes.padded(size)
        n_lists = max(1, min(len(codes) // 39, round(math.sqrt(len(codes)))))
        index = faiss.IndexBinaryIVF(faiss.IndexBinaryFlat(8 * size), 8 * size, n_lists)
        index.cp.seed = seed + 1  # FAISS reads 0 as "no seed"
        # no warning on stderr for a small catalogue
        index.cp.min_points_per_centroid = 1
        n_training = min(len(codes), TRAINING_CODES_PER_LIST * n_lists)
        sample = np.random.default_rng(seed).choice(len(codes), n_training, replace=False)
        index.train(vectors[np.sort(sample)])
        index.add(vectors)
        return cls(index, codes.n_bits)._probing()

    @classmethod
    def load(cls, path: Path, n_bits: int) -> Self:
        """See `HammingIndex.load`."""
        return super().load(path, n_bits)._probing()

    @classmethod
    def _check_file(cls, path: Path, code_size: int) -> None:
        check_ivf_file(path, code_size)

    def _probing(self) -> Self:
        self._index.nprobe = min(PROBES, int(self._index.nlist))
        return self

    def search(self, queries: BinaryCodes, k: int) -> Neighbors:
        """See `HammingIndex.search`."""
        # Of items tied at its last distance FAISS returns any: fetch beyond the k-th, then cut.
        fetch = min(len(self), k + max(_LEAST_SPARE, k // 4))
        while True:
            found = super().search(queries, fetch)
            last, kth = found.distances[:, -1], found.distances[:, min(k, fetch) - 1]
            if fetch == len(self) or ((last > kth) | (last == NO_DISTANCE)).all():
                break
            fetch = min(len(self), 2 * fetch)
        found = by_distance_then_row(found)
        rows, distances = found.rows[:, :k], found.distances[:, :k]
        if fetch < k:
            missing = ((0, 0), (0, k - fetch))
            rows = np.pad(rows, missing, constant_values=NO_ROW)
            distances = np.pad(distances, missing, constant_values=NO_DISTANCE)
        return Neighbors(rows, distances)

    @property
    def n_bytes(self) -> int:
        """See `HammingIndex.n_bytes`; each listed code carries its 8-byte row."""
        return len(self) * (int(self._index.code_size) + 8)
