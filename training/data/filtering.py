"""Drop rare users and items."""

from __future__ import annotations

import numpy as np

from hashrec.index.errors import EmptyDataError
from hashrec.training.data.interactions import Interactions


def k_core(interactions: Interactions, k: int) -> Interactions:
    """Drop users and items with fewer than `k` interactions, repeatedly until none is left.

    The remaining rows keep their order. With k = 0 nothing is dropped, not even a user or an item
    without interactions.

    Raises:
        EmptyDataError: no user and item have `k` interactions.
    """
    if k <= 0:
        return interactions
    keep = np.ones(len(interactions), dtype=bool)
    while True:
        user_counts = np.bincount(interactions.user_rows[keep], minlength=interactions.n_users)
        item_counts = np.bincount(interactions.item_rows[keep], minlength=interactions.n_items)
        users, items = user_counts >= k, item_counts >= k
        still = keep & users[interactions.user_rows] & items[interactions.item_rows]
        if still.sum() == keep.sum():
            break
        keep = still
    if not keep.any():
        raise EmptyDataError(
            "interactions", f"no user and item have {k} interactions each; lower --k-core"
        )
    return interactions.renumbered(np.flatnonzero(users), np.flatnonzero(items))
