"""Hamming indexes behind one protocol. A new one is a file here and a line in `INDEX_TYPES`."""

from hashrec.index.backends.faiss_flat import FaissFlat
from hashrec.index.backends.faiss_ivf import FaissIvf
from hashrec.index.backends.hamming_index import NO_DISTANCE, NO_ROW, HammingIndex, Neighbors
from hashrec.index.backends.numpy_exact import NumpyExact

INDEX_TYPES: dict[str, type[HammingIndex]] = {
    "flat": FaissFlat,
    "ivf": FaissIvf,
    "numpy": NumpyExact,
}

__all__ = [
    "INDEX_TYPES",
    "NO_DISTANCE",
    "NO_ROW",
    "FaissFlat",
    "FaissIvf",
    "HammingIndex",
    "Neighbors",
    "NumpyExact",
]
