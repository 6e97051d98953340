"""The protocol of an index: nearest codes by Hamming distance."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from hashrec.index.arrays.codes import BinaryCodes

NO_ROW = -1
NO_DISTANCE = 2**31 - 1


@dataclass(frozen=True, eq=False)
class Neighbors:
    """The nearest item rows of each query, nearest first.

    Order is (distance, row): rows stand in descending popularity, so a tie goes to the more popular
    item. If fewer than k were found, row is -1 and distance 2^31 - 1.

    Attributes:
        rows: int64, shape (n_queries, k).
        distances: int32, shape (n_queries, k), in bits.
    """

    rows: NDArray[np.int64]
    distances: NDArray[np.int32]


class HammingIndex(Protocol):
    """An index over a fixed set of codes. Immutable; several threads may search at once.

    A search with a larger k begins with the result of one with a smaller k.

    Attributes:
        exact: whether a search always finds the nearest codes.
    """

    exact: ClassVar[bool]

    @classmethod
    def build(cls, codes: BinaryCodes, *, seed: int = 0) -> Self:
        """Index codes; the row of a code is its position."""
        ...

    @classmethod
    def load(cls, path: Path, n_bits: int) -> Self:
        """Map a saved index into memory, shared with every process that maps the same file.

        Raises:
            ArtifactCorruptError: the file is not an index of this type and width.
        """
        ...

    def save(self, path: Path) -> None:
        """Write the index to a file."""
        ...

    def search(self, queries: BinaryCodes, k: int) -> Neighbors:
        """Return the k nearest codes of each query.

        Raises:
            CodeWidthError: the queries have another width.
        """
        ...

    def __len__(self) -> int:
        """Return the number of codes."""
        ...

    @property
    def n_bits(self) -> int:
        """Dimensions of the indexed codes."""
        ...

    @property
    def n_bytes(self) -> int:
        """Bytes that the index takes for its codes and lists."""
        ...
