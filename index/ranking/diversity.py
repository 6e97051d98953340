"""A list whose items differ more: how far they are from each other, beside how far from the user.

With h the distance of an item from the user and d that between two items, both in bits, a list L of
k items has

    far(L) = mean of h over L,    apart(L) = mean of d over the pairs of L.

For each setting s of 0, 1/10, ..., 1 a list is built greedily: the first of the candidates, and
then always the one with the largest

    s (mean of d to those chosen) - (1 - s) h,

the earlier one where several have it (maximal marginal relevance). The dial t takes, of these
eleven lists, the one with the largest

    t apart(L) - (1 - t) far(L).

So a dial of 0 leaves the order as it was, and apart(L) never falls as the dial rises: if a lower
dial preferred a list that is more apart, that list would have to be farther from the user than what
the higher dial preferred, which cares less about it.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from hashrec.index.arrays.codes import BinaryCodes

STEPS = 10  # of the settings: s = setting / STEPS
_LEAST_CANDIDATES, _MOST_CANDIDATES = 100, 1000
_CANDIDATES_PER_PLACE = 4

Positions = NDArray[np.int64]


def n_candidates(k: int) -> int:
    """Return how many of the best items a list of k is chosen from."""
    return min(max(_CANDIDATES_PER_PLACE * k, _LEAST_CANDIDATES), _MOST_CANDIDATES)


def diversified(
    codes: BinaryCodes, hamming: NDArray[np.integer], k: int, dial: float
) -> tuple[Positions, int]:
    """Choose k candidates.

    Args:
        codes: of the candidates, best first.
        hamming: integer, shape (n,), their distances from the user.
        k: at most n.
        dial: t, 0 to 1.

    Returns:
        int64, shape (k,), positions of the chosen in their order; and the setting that chose them.
    """
    apart = distances_between(codes)
    # Where a better order than that of the distances is known, a place counts as far as it would
    # be in that of the distances.
    far = np.sort(hamming).astype(np.int64)
    settings = np.arange(STEPS + 1)
    lists = _greedy(apart, far, settings, np.zeros(len(codes), dtype=bool), k)
    t = Fraction(dial)
    n_pairs = max(1, k * (k - 1))

    def worth(setting: int) -> Fraction:
        chosen = lists[setting]
        between = int(apart[np.ix_(chosen, chosen)].sum())
        return t * Fraction(between, n_pairs) - (1 - t) * Fraction(int(far[chosen].sum()), k)

    setting = max(settings.tolist(), key=worth)
    return lists[setting], setting


def continued(
    codes: BinaryCodes,
    hamming: NDArray[np.integer],
    shown: NDArray[np.bool_],
    k: int,
    setting: int,
) -> Positions:
    """Choose up to k more of the same candidates, as a longer list by one setting would.

    Args:
        codes: of the candidates, best first.
        hamming: integer, shape (n,), their distances from the user.
        shown: bool, shape (n,), those chosen before.
        k: how many.
        setting: that chose those.
    """
    k = min(k, int((~shown).sum()))
    far = np.sort(hamming).astype(np.int64)
    return _greedy(distances_between(codes), far, np.array([setting]), shown, k)[0]


def distances_between(codes: BinaryCodes) -> NDArray[np.int64]:
    """Return the distances between all pairs, int64, shape (n, n)."""
    signs = codes.to_signs().astype(np.float32)  # sums of at most 4096 ones: exact
    return (codes.n_bits - (signs @ signs.T).astype(np.int64)) // 2


def _greedy(
    apart: NDArray[np.int64],
    far: NDArray[np.int64],
    settings: NDArray[np.int64],
    chosen: NDArray[np.bool_],
    k: int,
) -> Positions:
    """Choose k more for each setting side by side, in whole numbers: the same on every machine.

    Returns:
        int64, shape (len(settings), k).
    """
    s, least = settings[:, None], np.iinfo(np.int64).min
    n_chosen = int(chosen.sum())
    to_chosen = np.tile(apart[chosen].sum(axis=0), (len(settings), 1))
    taken = np.tile(chosen, (len(settings), 1))
    lists = np.empty((len(settings), k), dtype=np.int64)
    every = np.arange(len(settings))
    for place in range(k):
        worth = s * to_chosen - (STEPS - s) * max(1, n_chosen + place) * far
        if not n_chosen + place:
            worth[:] = -far
        worth[taken] = least
        picked = worth.argmax(axis=1)
        lists[:, place] = picked
        taken[every, picked] = True
        to_chosen += apart[picked]
    return lists
