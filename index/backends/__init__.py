"""Hamming indexes: the nearest codes of a query, exact or approximate, behind one protocol.

A new backend is a file here and a line in `INDEX_TYPES`. Its name in that dictionary is what
`hashrec train --index` takes, what a manifest records and what the search metric is labelled with.
Only `EXACT_INDEX` is used without being chosen: for small indexes that must miss nothing.

Public: `HammingIndex`, `Neighbors`, `INDEX_TYPES`, `DEFAULT_INDEX`, `EXACT_INDEX`, `index_named`.
"""

from hashrec.index.backends.faiss_flat import FaissFlat
from hashrec.index.backends.faiss_ivf import FaissIvf
from hashrec.index.backends.hamming_index import NO_DISTANCE, NO_ROW, HammingIndex, Neighbors
from hashrec.index.backends.numpy_exact import NumpyExact
from hashrec.index.errors import ConfigError

INDEX_TYPES: dict[str, type[HammingIndex]] = {
    "flat": FaissFlat,
    "ivf": FaissIvf,
    "numpy": NumpyExact,
}
DEFAULT_INDEX = "flat"
# Searches a part of the catalogue for a filtered list, and codes that a training job still judges.
EXACT_INDEX: type[HammingIndex] = FaissFlat


def index_named(name: str) -> type[HammingIndex]:
    """Return the backend of a name.

    Raises:
        ConfigError: no backend has the name.
    """
    if name not in INDEX_TYPES:
        raise ConfigError(f"no index {name!r}; there are {', '.join(INDEX_TYPES)}")
    return INDEX_TYPES[name]


__all__ = [
    "DEFAULT_INDEX",
    "EXACT_INDEX",
    "INDEX_TYPES",
    "NO_DISTANCE",
    "NO_ROW",
    "HammingIndex",
    "Neighbors",
    "index_named",
]
