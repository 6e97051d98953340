"""What the codes of a model do: how they use their bits, where they tie, for whom they rank well.

Every figure is defined in docs/diagnostics.md. Nothing here holds more than a block of codes, or of
distances, beyond what it is given.
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
from hashrec.training.judging.evaluation import Judgement

GROUPS = 10
TIED_USERS = 1_000  # whose distances to the whole catalogue are counted
_BLOCK = 1 << 22  # signs or distances at once


@dataclass(frozen=True, slots=True)
class BitUse:
    """How a set of codes uses its bits, taken as values -1 and +1.

    Attributes:
        n_codes: users or items.
        n_distinct: different codes among them.
        mean_imbalance: mean over the bits of |mean of the bit|; 0 is half of the codes on each
            side.
        worst_bit: the most imbalanced bit, from 0.
        worst_imbalance: of that bit; 1 is a bit that says nothing.
        constant_bits: bits with one value in every code; they have no correlation.
        mean_correlation: mean |correlation| over the pairs of other bits.
        max_correlation: the largest of them; 1 is a bit that repeats another or its opposite.
        effective_rank: exp of the entropy of the covariance's eigenvalues, normalised to sum 1 (Roy
            and Vetterli 2007); as many independent bits would spread the codes as widely. 0 where
            all codes are the same.
    """

    n_codes: int
    n_distinct: int
    mean_imbalance: float
    worst_bit: int
    worst_imbalance: float
    constant_bits: int
    mean_correlation: float
    max_correlation: float
    effective_rank: float


@dataclass(frozen=True, slots=True)
class Ties:
    """How sharply the distance cuts a list of k, among the items a user may be shown.

    Attributes:
        n_users: users counted; those with nothing left to be shown are not.
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
    """Everything here about one model and its lists of k.

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
    """Say what a model's codes do.

    Args:
        recommender: over the model.
        relevant: the held-out items of each user row.
        judged: what `judge_codes` found with the two; its lists are not ranked again.
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


def bit_use(codes: BinaryCodes) -> BitUse:
    """Count how codes use their bits, in one pass over blocks of them."""
    n, n_bits = len(codes), codes.n_bits
    totals, gram = np.zeros(n_bits), np.zeros((n_bits, n_bits))
    size = max(1, _BLOCK // n_bits)
    for start in range(0, n, size):
        signs = codes[start : start + size].to_signs().astype(np.float32)
        totals += signs.sum(axis=0)  # sums of so few signs are exact in float32
        gram += signs.T @ signs
    means = totals / max(1, n)
    covariance = gram / max(1, n) - np.outer(means, means)
    imbalance = np.abs(means)
    worst = int(imbalance.argmax())
    varying = imbalance < 1  # a constant bit's mean is exactly 1 or -1
    mean_correlation, max_correlation = _correlations(covariance[np.ix_(varying, varying)])
    return BitUse(
        n_codes=n,
        n_distinct=_n_distinct(codes),
        mean_imbalance=float(imbalance.mean()),
        worst_bit=worst,
        worst_imbalance=float(imbalance[worst]),
        constant_bits=int((~varying).sum()),
        mean_correlation=mean_correlation,
        max_correlation=max_correlation,
        effective_rank=_effective_rank(covariance),
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
        seen: item rows of each user that no list of theirs holds.
        users: rows of the users to count; the cost is theirs times the catalogue.
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
    found = found[found[:, 1] > 0]  # the others have nothing left to be shown
    distance, tied, cut_share = found.mean(axis=0).tolist() if len(found) else (0.0,) * 3
    return Ties(len(found), distance, tied, cut_share)


def by_activity(
    activity: NDArray[np.integer], figures: NDArray[np.float64]
) -> tuple[ActivityGroup, ...]:
    """Average users' figures over tenths of them, the least active first.

    Args:
        activity: integer, shape (n_users,), items of each in training; of equals, the earlier user
            comes first.
        figures: float64, shape (n_users, 3), Recall, MAP and NDCG of each.
    """
    return tuple(
        ActivityGroup(
            n_users=len(group),
            least=int(activity[group[0]]),
            most=int(activity[group[-1]]),
            recall=float(figures[group, 0].mean()),
            ndcg=float(figures[group, 2].mean()),
        )
        for group in _tenths(activity)
    )


def by_popularity(
    popularity: NDArray[np.integer], held_out: NDArray[np.integer], judged: Judgement
) -> tuple[PopularityGroup, ...]:
    """Count what lists hold of tenths of the items, the least popular first.

    Args:
        popularity: integer, shape (n_items,), users of each item in training.
        held_out: integer, shape (n_items,), held-out pairs with each item.
        judged: lists that each item is in, and was found in.
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
    """Return the positions of ten equal groups by ascending value; fewer of fewer than ten."""
    order = np.argsort(values, kind="stable")
    return [group for group in np.array_split(order, GROUPS) if len(group)]


def _n_distinct(codes: BinaryCodes) -> int:
    if not len(codes):
        return 0
    width = codes.packed.shape[1]
    whole = np.ascontiguousarray(codes.packed).view(np.dtype((np.void, width)))
    return len(np.unique(whole))


def _correlations(covariance: NDArray[np.float64]) -> tuple[float, float]:
    """Return mean and largest |correlation| off the diagonal; 0 with fewer than two bits."""
    n = len(covariance)
    if n < 2:
        return 0.0, 0.0
    deviation = np.sqrt(covariance.diagonal())
    correlation = np.abs(covariance / np.outer(deviation, deviation))
    np.fill_diagonal(correlation, 0)
    return float(correlation.sum() / (n * (n - 1))), float(correlation.max())


def _effective_rank(covariance: NDArray[np.float64]) -> float:
    eigenvalues = np.maximum(np.linalg.eigvalsh(covariance), 0)
    if not eigenvalues.any():
        return 0.0
    shares = eigenvalues / eigenvalues.sum()
    shares = shares[shares > 0]
    return float(np.exp(-(shares * np.log(shares)).sum()))
