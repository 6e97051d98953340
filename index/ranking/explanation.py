"""Which of a user's own items are nearest to an item."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hashrec.index.arrays.codes import BinaryCodes

MOST_OWN = 3
_PIECE = 4096  # own items compared at once


def nearest_own(
    item_codes: BinaryCodes, rows: NDArray[np.integer], own: NDArray[np.integer]
) -> list[list[tuple[int, int]]]:
    """Find, for each item, the three of the user's own that its code agrees with most.

    Args:
        item_codes: of the catalogue.
        rows: integer, shape (n,), the items.
        own: integer, ascending, rows of the user's own; an item is never its own reason.

    Returns:
        For each item pairs of a row and the bits that agree, most first, ties by row.
    """
    items = item_codes[rows].to_signs().astype(np.float32)
    kept: NDArray[np.int64] = np.empty((len(rows), 0), dtype=np.int64)
    bits = item_codes.n_bits
    for start in range(0, len(own), _PIECE):
        piece = own[start : start + _PIECE].astype(np.int64)
        signs = item_codes[piece].to_signs().astype(np.float32)
        distances = (bits - (items @ signs.T).astype(np.int64)) // 2
        # One number that sorts as (distance, row) does; an item itself goes to the end.
        distances[piece[None, :] == np.asarray(rows)[:, None]] = bits + 1
        pairs = np.concatenate([kept, (distances << 32) + piece], axis=1)
        kept = np.sort(pairs, axis=1)[:, :MOST_OWN]
    return [
        [(pair & 0xFFFFFFFF, bits - (pair >> 32)) for pair in pairs if pair >> 32 <= bits]
        for pairs in kept.tolist()
    ]
