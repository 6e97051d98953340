"""Ranking metrics of one user's list. Relevance is binary: an item is held out or not.

With k the length of the list, hits the held-out items in it and n the number of held-out items:

    Recall@k    = hits / n
    Precision@k = hits / k
    Hit rate@k  = 1 if there is a hit, else 0
    MAP@k       = sum over hits of (hits up to that rank / rank) / min(k, n)
    MRR@k       = 1 / rank of the first hit, 0 without one
    NDCG@k      = sum over hits of 1 / log2(rank + 1), over that sum for min(k, n) hits at the top

MAP's denominator differs between papers; with min(k, n) a perfect list scores 1. Precision divides
by k even where a list is shorter.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hashrec.index.arrays.seen import contained


class UserMetrics(NamedTuple):
    """Figures of one user, each from 0 to 1."""

    recall: float
    map: float
    ndcg: float
    precision: float
    hit_rate: float
    mrr: float


def user_metrics(ranked: NDArray[np.integer], relevant: NDArray[np.integer], k: int) -> UserMetrics:
    """Judge one list.

    Args:
        ranked: item rows, best first, none twice; may be shorter or longer than k.
        relevant: held-out item rows, ascending and distinct, at least one.
        k: how much of the list counts.
    """
    return metrics_of_hits(np.flatnonzero(contained(ranked[:k], relevant)) + 1, len(relevant), k)


def metrics_of_hits(ranks: NDArray[np.integer], n_relevant: int, k: int) -> UserMetrics:
    """Judge one list by the places of its hits.

    Args:
        ranks: of the hits, counted from 1, ascending; those beyond k do not count.
        n_relevant: number of held-out items, at least 1.
        k: how much of the list counts.
    """
    ranks = ranks[: ranks.searchsorted(k, side="right")]
    hits, n_best = len(ranks), min(k, n_relevant)
    gain = float((1 / np.log2(ranks + 1)).sum())
    best_gain = float((1 / np.log2(np.arange(2, n_best + 2))).sum())
    precision_at_hits = np.arange(1, hits + 1) / ranks
    return UserMetrics(
        recall=hits / n_relevant,
        map=float(precision_at_hits.sum()) / n_best,
        ndcg=gain / best_gain,
        precision=hits / k,
        hit_rate=float(hits > 0),
        mrr=1 / int(ranks[0]) if hits else 0.0,
    )
