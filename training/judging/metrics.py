"""Ranking metrics of one user's list. Relevance is binary: an item is held out or not.

With k the length of the list, hits the held-out items in it and n the number of held-out items:

    Recall@k = hits / n
    MAP@k    = sum over hits of (hits up to that rank / rank) / min(k, n)
    NDCG@k   = sum over hits of 1 / log2(rank + 1), over that sum for min(k, n) hits at the top

MAP's denominator differs between papers; with min(k, n) a perfect list scores 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hashrec.index.arrays.seen import contained


@dataclass(frozen=True, slots=True)
class UserMetrics:
    """Figures of one user, each from 0 to 1."""

    recall: float
    map: float
    ndcg: float


def user_metrics(ranked: NDArray[np.integer], relevant: NDArray[np.integer], k: int) -> UserMetrics:
    """Judge one list.

    Args:
        ranked: item rows, best first, none twice; may be shorter or longer than k.
        relevant: held-out item rows, ascending and distinct, at least one.
        k: how much of the list counts.
    """
    ranks = np.flatnonzero(contained(ranked[:k], relevant)) + 1
    n_best = min(k, len(relevant))
    gain = float((1 / np.log2(ranks + 1)).sum())
    best_gain = float((1 / np.log2(np.arange(2, n_best + 2))).sum())
    precision_at_hits = np.arange(1, len(ranks) + 1) / ranks
    return UserMetrics(
        recall=len(ranks) / len(relevant),
        map=float(precision_at_hits.sum()) / n_best,
        ndcg=gain / best_gain,
    )
