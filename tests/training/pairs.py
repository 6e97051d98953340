"""Interactions written out as pairs of rows."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from hashrec.index.arrays.ids import IdMap
from hashrec.training.data.interactions import Interactions


def interactions_of(pairs: Iterable[tuple[int, int]], n_users: int, n_items: int) -> Interactions:
    """Return interactions of users u0, u1, ... with items i0, i1, ..."""
    rows = np.array(sorted(pairs), dtype=np.int32).reshape(-1, 2)
    return Interactions(
        user_rows=rows[:, 0],
        item_rows=rows[:, 1],
        users=IdMap.build(f"u{row}" for row in range(n_users)),
        items=IdMap.build(f"i{row}" for row in range(n_items)),
    )


def random_interactions(n_users: int, n_items: int, density: float, seed: int) -> Interactions:
    """Return interactions in which every pair is there with one chance, every user with an item."""
    rng = np.random.default_rng(seed)
    there = rng.random((n_users, n_items)) < density
    there[np.arange(n_users), np.arange(n_users) % n_items] = True
    users, items = np.nonzero(there)
    return interactions_of(zip(users.tolist(), items.tolist(), strict=True), n_users, n_items)
