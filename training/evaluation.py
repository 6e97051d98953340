"""Judge rankings by what was held out.

Codes are ranked by the `Recommender` that serves them. Float teachers are ranked here by their
scores under the same rules: every item is a candidate, training items are left out, ties go to the
lower row.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from index.recommender import Recommender
from index.seen import SeenItems
from training.data.interactions import Interactions
from training.embeddings import Embeddings
from training.metrics import user_metrics

_BLOCK = 256  # users scored at once by a float model


@dataclass(frozen=True, slots=True)
class Metrics:
    """Means over the users who have something held out.

    Attributes:
        k: length of the lists.
        n_users: users judged.
        coverage: share of the catalogue that is in at least one list.
    """

    k: int
    n_users: int
    recall: float
    map: float
    ndcg: float
    coverage: float


def evaluate_codes(
    recommender: Recommender, relevant: SeenItems, k: int, *, exclude_seen: bool = True
) -> Metrics:
    """Judge the lists that the service would give.

    Args:
        recommender: over the artifact to judge.
        relevant: the held-out items of each user row.
        k: length of the lists.
        exclude_seen: leave out what the artifact says a user has seen.
    """
    users = _judged(relevant)
    rankings = (
        ranking.rows for ranking in recommender.rank_users(users, k, exclude_seen=exclude_seen)
    )
    return _mean(users, rankings, relevant, k, recommender.n_items)


def evaluate_popularity(recommender: Recommender, relevant: SeenItems, k: int) -> Metrics:
    """Judge the list of popular items, less each user's own."""
    users = _judged(relevant)
    return _mean(users, recommender.rank_popular(users, k), relevant, k, recommender.n_items)


def evaluate_embeddings(
    embeddings: Embeddings, train: Interactions, relevant: SeenItems, k: int
) -> Metrics:
    """Judge a float model by its scores."""
    users = _judged(relevant)
    rankings = _by_score(embeddings, train.seen(), users, k)
    return _mean(users, rankings, relevant, k, train.n_items)


def _judged(relevant: SeenItems) -> NDArray[np.int64]:
    return np.flatnonzero(relevant.counts())


def _mean(
    users: NDArray[np.int64],
    rankings: Iterable[NDArray[np.integer]],
    relevant: SeenItems,
    k: int,
    n_items: int,
) -> Metrics:
    recommended = np.zeros(n_items, dtype=bool)
    figures = np.zeros((len(users), 3))
    for position, (user, ranked) in enumerate(zip(users, rankings, strict=True)):
        recommended[ranked[:k]] = True
        judged = user_metrics(ranked, relevant[int(user)], k)
        figures[position] = judged.recall, judged.map, judged.ndcg
    recall, mean_precision, ndcg = figures.mean(axis=0).tolist() if len(users) else (0.0,) * 3
    return Metrics(k, len(users), recall, mean_precision, ndcg, float(recommended.mean()))


def _by_score(
    embeddings: Embeddings, seen: SeenItems, users: NDArray[np.int64], k: int
) -> Iterator[NDArray[np.integer]]:
    for start in range(0, len(users), _BLOCK):
        block = users[start : start + _BLOCK]
        scores = embeddings.scores(block)
        for row, user in zip(scores, block, strict=True):
            row[seen[int(user)]] = -np.inf
            n = min(k, len(row) - len(seen[int(user)]))
            least = np.partition(row, len(row) - n)[len(row) - n] if n else np.inf
            in_list = np.flatnonzero(
                row >= least
            )  # by row, so that a stable sort keeps ties by row
            yield in_list[np.argsort(-row[in_list], kind="stable")][:n]
