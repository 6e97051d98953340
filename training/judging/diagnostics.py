"""Diagnose the codes of a model: use of bits, ties in lists, quality by activity and popularity.

Every figure is defined in docs/diagnostics.md. Memory is bounded: distances are computed in blocks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hashrec.index.arrays.codes import BinaryCodes
from hashrec.index.arrays.ids import spread
from hashrec.index.arrays.seen import SeenItems
from hashrec.index.ranking.recommender import Recommender
from hashrec.training.judging.bits import BitUse, bit_use
from hashrec.training.judging.judgement import Judgement
from hashrec.training.judging.metrics import UserMetrics

GROUPS = 10
TIED_USERS = 1_000  # whose distances to the whole catalogue are counted
_BLOCK = 1 << 22  # distances at once
_RECALL, _NDCG = map(UserMetrics._fields.index, ("recall", "ndcg"))  # columns of figures


@dataclass(frozen=True, slots=True)
class Ties:
    """Ties at the distance of the last item in a list of k, among the items a user has not seen.

    Attributes:
        n_users: users counted; a user who has seen every item is not.
        mean_distance: mean distance in bits of the last item in the list.
        mean_size: mean number of items at that distance, in the list or not.
        cut_share: share of users with an item at that distance that is not in the list.
    """

    n_users: int
    mean_distance: float
    mean_size: float
    cut_share: float


@dataclass(frozen=True, slots=True)
class ActivityGroup:
    """A tenth of the judged users, by the number of items they have in training.

    Attributes:
        least: fewest items in training of one of them.
        most: most items in training of one of them.
    """

    n_users: int
    least: int
    most: int
    recall: float
    ndcg: float


@dataclass(frozen=True, slots=True)
class PopularityGroup:
    """A tenth of the items, by the number of users they have in training.

    Attributes:
        least: fewest users in training of one of them.
        most: most users in training of one of them.
        n_held_out: held-out pairs with one of them.
        recall: share of those pairs that are in the user's list; None where there is no pair.
        share_of_lists: share of all places in the lists that they take.
    """

    n_items: int
    least: int
    most: int
    n_held_out: int
    recall: float | None
    share_of_lists: float


@dataclass(frozen=True, slots=True)
class Diagnostics:
    """All diagnostics of one model and its lists of k.

    Attributes:
        by_activity: from the least active tenth of the users to the most active.
        by_popularity: from the least popular tenth of the items to the most popular.
        coverage: share of the catalogue that is in at least one list.
        gini: of how often items are in lists: 0 if all equally often, near 1 if few take all.
    """

    k: int
    users: BitUse
    items: BitUse
    ties: Ties
    by_activity: tuple[ActivityGroup, ...]
    by_popularity: tuple[PopularityGroup, ...]
    coverage: float
    gini: float


def diagnose(recommender: Recommender, relevant: SeenItems, judged: Judgement) -> Diagnostics:
    """Diagnose the codes of a model.

    Args:
        recommender: over the model.
        relevant: the held-out items of each user row.
        judged: result of `judge_codes` with these two; the lists are not ranked again.
    """
    model, users = recommender.artifact.model, judged.users
    sample = users[spread(len(users), TIED_USERS)]
    held_out = np.bincount(relevant.items, minlength=recommender.n_items)
    return Diagnostics(
        k=judged.k,
        users=bit_use(model.user_codes),
        items=bit_use(model.item_codes),
        ties=ties_at_k(model.user_codes, model.item_codes, model.seen, sample, judged.k),
        by_activity=by_activity(model.seen.counts()[users], judged.figures),
        by_popularity=by_popularity(model.popularity, held_out, judged),
        coverage=judged.metrics().coverage,
        gini=gini(judged.recommended),
    )


def ties_at_k(
    user_codes: BinaryCodes,
    item_codes: BinaryCodes,
    seen: SeenItems,
    users: NDArray[np.integer],
    k: int,
) -> Ties:
    """Count how many items share the distance at which a list of k ends.

    Args:
        user_codes: of all users.
        item_codes: of the whole catalogue.
        seen: item rows of each user, which are left out of the user's list.
        users: rows of the users to count; the cost is their number times that of the items.
        k: length of the lists; a user with fewer items left has a list of all of them.
    """
    n_items, outside = len(item_codes), user_codes.n_bits + 1
    found = np.zeros((len(users), 3))
    size = max(1, _BLOCK // max(1, n_items))
    for start in range(0, len(users), size):
        block = users[start : start + size]
        distances = user_codes[block].hamming(item_codes)
        for row, user in zip(distances, block, strict=True):
            row[seen[int(user)]] = outside
        position = np.arange(len(block))
        cells = distances + position[:, None] * (outside + 1)
        counts = np.bincount(cells.ravel(), minlength=len(block) * (outside + 1))
        counts = counts.reshape(len(block), -1)[:, :outside]
        within = counts.cumsum(axis=1)
        length = np.minimum(k, within[:, -1])
        last = (within >= length[:, None]).argmax(axis=1)
        cut = within[position, last] > length
        found[start : start + size] = np.column_stack([last, counts[position, last], cut])
    found = found[found[:, 1] > 0]  # the others have seen every item
    distance, tied, cut_share = found.mean(axis=0).tolist() if len(found) else (0.0,) * 3
    return Ties(len(found), distance, tied, cut_share)


def by_activity(
    activity: NDArray[np.integer], figures: NDArray[np.float64]
) -> tuple[ActivityGroup, ...]:
    """Average users' figures over tenths of them, the least active first.

    Args:
        activity: integer, shape (n_users,), items of each in training; the row breaks ties.
        figures: float64, shape (n_users, 6), the `UserMetrics` of each.
    """
    return tuple(
        ActivityGroup(
            n_users=len(group),
            least=int(activity[group[0]]),
            most=int(activity[group[-1]]),
            recall=float(figures[group, _RECALL].mean()),
            ndcg=float(figures[group, _NDCG].mean()),
        )
        for group in _tenths(activity)
    )


def by_popularity(
    popularity: NDArray[np.integer], held_out: NDArray[np.integer], judged: Judgement
) -> tuple[PopularityGroup, ...]:
    """Count the places in lists of tenths of the items, the least popular first.

    Args:
        popularity: integer, shape (n_items,), users of each item in training.
        held_out: integer, shape (n_items,), held-out pairs with each item.
        judged: number of lists and of hits of each item.
    """
    places = max(1, int(judged.recommended.sum()))
    groups: list[PopularityGroup] = []
    for group in _tenths(popularity):
        pairs = int(held_out[group].sum())
        groups.append(
            PopularityGroup(
                n_items=len(group),
                least=int(popularity[group[0]]),
                most=int(popularity[group[-1]]),
                n_held_out=pairs,
                recall=int(judged.found[group].sum()) / pairs if pairs else None,
                share_of_lists=int(judged.recommended[group].sum()) / places,
            )
        )
    return tuple(groups)


def gini(counts: NDArray[np.integer]) -> float:
    """Return the Gini coefficient of counts, from 0 (all equal) to 1 - 1/n (one has all)."""
    n, total = len(counts), int(counts.sum())
    if not total:
        return 0.0
    ranked = np.sort(counts).astype(np.float64)
    return float(2 * (np.arange(1, n + 1) @ ranked) / (n * total) - (n + 1) / n)


def _tenths(values: NDArray[np.integer]) -> Sequence[NDArray[np.int64]]:
    """Return the positions of ten equal groups by ascending value; empty groups are left out."""
    order = np.argsort(values, kind="stable")
    return [group for group in np.array_split(order, GROUPS) if len(group)]
