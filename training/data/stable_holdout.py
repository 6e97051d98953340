"""Hold out the same pairs on every day, by a hash of their ids: the split of `hashrec retrain`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hashrec.training.data.interactions import Interactions
from hashrec.training.data.splits import VALIDATION_SHARE, require_share


def stable_holdout(
    interactions: Interactions, share: float = VALIDATION_SHARE
) -> tuple[Interactions, Interactions]:
    """Hold out pairs by a hash of their two ids, so that every later day holds out the same pairs.

    Models of different days are then judged by pairs that none of them has seen. A user or an item
    without any pair left in training gets back the one with the largest hash.

    Returns:
        The rest for training, and the part held out.
    """
    require_share(share)
    users, items = interactions.user_rows, interactions.item_rows
    hashes = _pair_hashes(interactions)
    held_out = hashes < np.uint64(int(share * 2**64))
    for owners, n_owners in ((users, interactions.n_users), (items, interactions.n_items)):
        in_train = np.bincount(owners[~held_out], minlength=n_owners)
        stranded = np.flatnonzero(held_out & (in_train[owners] == 0))
        # the last of each owner in ascending order of hashes
        stranded = stranded[np.lexsort((hashes[stranded], owners[stranded]))]
        last = np.append(np.diff(owners[stranded]) != 0, True)[: len(stranded)]
        held_out[stranded[last]] = False
    return interactions.where(~held_out), interactions.where(held_out)


def _pair_hashes(interactions: Interactions) -> NDArray[np.uint64]:
    """Mix the two ids of each pair into 64 bits that do not depend on the rows."""
    by_row = []
    for ids in (interactions.users, interactions.items):
        hashes = np.empty(len(ids), dtype=np.uint64)
        hashes[ids.rows] = ids.hashes
        by_row.append(hashes)
    users, items = by_row
    # Products wrap around on purpose; an odd factor keeps (user, item) apart from (item, user).
    mixed = (
        users[interactions.user_rows] * np.uint64(0x9E3779B97F4A7C15)
        + items[interactions.item_rows]
    )
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    return mixed ^ (mixed >> np.uint64(31))
