"""Map `.npy` files without trusting them.

`np.load` may unpickle, unzip or evaluate the content of a file. Here the header must be the one
that NumPy writes for a plain C-ordered array, and the size of the file must match the header.
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_MAGIC = b"\x93NUMPY\x01\x00"
_DTYPES = {
    "|u1": np.uint8,
    "|i1": np.int8,
    "<u2": np.uint16,
    "<i4": np.int32,
    "<i8": np.int64,
    "<u8": np.uint64,
    "<f2": np.float16,
    "<f8": np.float64,
}
_HEADER = re.compile(
    r"\{'descr': '(?P<dtype>[|<>][a-zA-Z]\d+)', 'fortran_order': False, "
    r"'shape': \((?P<shape>\d{1,15},|\d{1,15}, \d{1,15})\), \} *\n",
    re.ASCII,
)


def map_array(path: Path) -> NDArray[Any]:
    """Map an array of one or two dimensions into memory, read-only.

    Returns a plain ndarray, not an `np.memmap`: slicing a memmap costs several times more.

    Raises:
        ValueError: the file is not such an array, or its size does not match its header.
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        start = file.read(len(_MAGIC) + 2)
        header = file.read(int.from_bytes(start[len(_MAGIC) :], "little")).decode("latin-1")
        offset, n_bytes = file.tell(), path.stat().st_size
    parsed = _HEADER.fullmatch(header)
    if not start.startswith(_MAGIC) or parsed is None:
        raise ValueError(f"{path.name} is not a plain NumPy array file")
    dtype = _DTYPES.get(parsed["dtype"])
    if dtype is None:
        raise ValueError(f"{path.name} holds {parsed['dtype']}, which no array of an artifact has")
    shape = tuple(int(length) for length in parsed["shape"].split(",") if length)
    if offset + math.prod(shape) * np.dtype(dtype).itemsize != n_bytes:
        raise ValueError(f"{path.name} has {n_bytes} bytes, which do not fit its shape {shape}")
    return np.memmap(path, dtype, "r", offset, shape).view(np.ndarray)
