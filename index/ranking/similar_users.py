"""Users whose codes are near to one another."""

from __future__ import annotations

import numpy as np

from hashrec.index.arrays.codes import BinaryCodes
from hashrec.index.model.model import Model
from hashrec.index.ranking.recommendation import SimilarUser


def nearest_users(
    model: Model, code: BinaryCodes, user_row: int | None, k: int
) -> list[SimilarUser]:
    """Return the k users whose codes are nearest to one code; ties by row.

    All codes are read, a million of 192 bits in a few milliseconds: an index over them would hold
    as much memory as that of the items, for a question that is asked rarely.

    Args:
        model: whose users they are.
        code: one.
        user_row: whose it is, who is left out; None for someone the model does not know.
        k: how many.
    """
    n_bits, distances = code.n_bits, model.user_codes.distances(code)
    if user_row is not None:
        distances[user_row] = n_bits + 1
    n = min(k, len(distances) - (user_row is not None))
    if not n:
        return []
    last = np.partition(distances, n - 1)[n - 1]
    near = np.flatnonzero(distances <= last)
    rows = near[np.argsort(distances[near], kind="stable")][:n]
    found = zip(model.users.ids(rows), distances[rows].tolist(), strict=True)
    return [
        SimilarUser(other, rank, 1 - hamming / n_bits, hamming)
        for rank, (other, hamming) in enumerate(found, 1)
    ]
