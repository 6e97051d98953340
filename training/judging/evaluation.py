"""Judge rankings by held-out pairs.

Codes are ranked by the `Recommender` that serves them. Float teachers are ranked by their scores
under the same rules: every item is a candidate, training items are left out, the lower row wins a
tie.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import compress

import numpy as np
from numpy.typing import NDArray

from hashrec.index.arrays.codes import BinaryCodes
from hashrec.index.arrays.rows import NO_ROWS
from hashrec.index.arrays.seen import RowLists, SeenItems, contained
from hashrec.index.backends import EXACT_INDEX
from hashrec.index.model.recent import recent_items
from hashrec.index.model.subsets import Subset
from hashrec.index.ranking.bulk import BATCH, rank_histories, rank_popular, rank_users
from hashrec.index.ranking.nearest import nearest
from hashrec.index.ranking.recommender import Recommender
from hashrec.training.data.interactions import Interactions
from hashrec.training.judging.metrics import user_metrics
from hashrec.training.numerics.scorer import Csr, FoldInScorer, Scorer
from hashrec.training.numerics.top_items import NO_ITEM, top_of


@dataclass(frozen=True, slots=True)
class Metrics:
    """Means over the users with held-out items.

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


@dataclass(frozen=True, eq=False)
class Judgement:
    """Figures of each user and counts of each item, from one pass over the lists.

    Attributes:
        k: length of the lists.
        users: int64, shape (n,), the rows of the users judged.
        figures: float64, shape (n, 3), Recall, MAP and NDCG of each of them.
        recommended: int64, shape (n_items,), number of lists with each item.
        found: int64, shape (n_items,), number of those lists in which it is a hit.
    """

    k: int
    users: NDArray[np.int64]
    figures: NDArray[np.float64]
    recommended: NDArray[np.int64]
    found: NDArray[np.int64]

    def metrics(self) -> Metrics:
        """Return the means; 0 if no user is judged."""
        means = self.figures.mean(axis=0).tolist() if len(self.users) else (0.0,) * 3
        recall, mean_precision, ndcg = means
        coverage = float((self.recommended > 0).mean())
        return Metrics(self.k, len(self.users), recall, mean_precision, ndcg, coverage)


def evaluate_codes(
    recommender: Recommender, relevant: SeenItems, k: int, *, exclude_seen: bool = True
) -> Metrics:
    """Return the means of `judge_codes`."""
    return judge_codes(recommender, relevant, k, exclude_seen=exclude_seen).metrics()


def judge_codes(
    recommender: Recommender,
    relevant: SeenItems,
    k: int,
    *,
    exclude_seen: bool = True,
    rerank: bool = True,
) -> Judgement:
    """Judge the lists that the service would give.

    Args:
        recommender: over the artifact to judge.
        relevant: the held-out items of each user row.
        k: length of the lists.
        exclude_seen: leave out the items that a user has seen, by the artifact.
        rerank: re-rank as the service does if the model can; False judges the codes alone.
    """
    users = _judged(relevant)
    found = rank_users(recommender.artifact, users, k, exclude_seen=exclude_seen, rerank=rerank)
    rankings = (ranking.rows for ranking in found)
    return _judge(users, rankings, relevant, k, recommender.n_items)


def evaluate_hash_codes(
    users: BinaryCodes,
    items: BinaryCodes,
    train: Interactions,
    held_out: Interactions,
    k: int,
) -> Metrics:
    """Judge codes without an artifact, ranked as `Recommender` ranks them.

    Args:
        users: of the user rows of `train`.
        items: of its item rows, which are in descending popularity.
        train: pairs left out of the lists.
        held_out: pairs of the same rows.
        k: length of the lists.
    """
    seen, relevant = train.seen(), held_out.seen()
    judged, everything = _judged(relevant), Subset(EXACT_INDEX.build(items), None)
    rankings = (
        ranking.rows
        for start in range(0, len(judged), BATCH)
        for batch in (judged[start : start + BATCH],)
        for ranking in nearest(everything, users[batch], [seen[int(row)] for row in batch], k)
    )
    return _mean(judged, rankings, relevant, k, train.n_items)


def evaluate_histories(
    recommender: Recommender, histories: RowLists, relevant: SeenItems, k: int
) -> Metrics:
    """Judge the lists that the service would give for histories of unknown users.

    Args:
        recommender: over an artifact with an encoder.
        histories: item rows of each new user; they are left out of the lists.
        relevant: the held-out items of each of them.
        k: length of the lists.

    Raises:
        NoEncoderError: the artifact is too old to have an encoder.
    """
    users, wanted = _judged(relevant), relevant.counts() > 0
    rankings = compress(rank_histories(recommender.artifact, histories, None, k), wanted)
    return _mean(users, rankings, relevant, k, recommender.n_items)


def evaluate_popularity(
    recommender: Recommender, relevant: SeenItems, k: int, *, days: int | None = None
) -> Metrics:
    """Judge the list of popular items without the items that each user has seen.

    Args:
        recommender: over the artifact to judge.
        relevant: the held-out items of each user row.
        k: length of the lists.
        days: only interactions of the last days before the artifact's newest one, or before the
            cut, count; items without any follow by popularity. None counts all.
    """
    users, first = _judged(relevant), NO_ROWS
    if days is not None:
        recent = recommender.artifact.model.recent
        first = recent_items(recent, days, recommender.n_items).rows
    rankings = rank_popular(recommender.artifact, users, k, first=first)
    return _mean(users, rankings, relevant, k, recommender.n_items)


def evaluate_scores(scorer: Scorer, train: Interactions, relevant: SeenItems, k: int) -> Metrics:
    """Judge a float model by its scores.

    Args:
        scorer: a fitted teacher.
        train: the pairs that it was fitted to; they are left out of the lists.
        relevant: the held-out items of each user row.
        k: length of the lists.
    """
    users = _judged(relevant)
    lists, _ = top_of(scorer.scores, train.seen(), users, train.n_items, min(k, train.n_items))
    return _mean(users, map(_without_padding, lists), relevant, k, train.n_items)


def evaluate_fold_in(scorer: FoldInScorer, histories: Csr, relevant: SeenItems, k: int) -> Metrics:
    """Judge a float model by its scores of users that it was not fitted to.

    Args:
        scorer: a fitted teacher.
        histories: binary float32 CSR, shape (n_new_users, n_items); left out of the lists.
        relevant: the held-out items of each row of `histories`.
        k: length of the lists.
    """
    users, n_items = _judged(relevant), histories.shape[1]
    histories = histories.sorted_indices()
    seen = SeenItems(histories.indptr.astype(np.int64), histories.indices.astype(np.int32))
    lists, _ = top_of(
        lambda rows: scorer.fold_in(histories[rows]), seen, users, n_items, min(k, n_items)
    )
    return _mean(users, map(_without_padding, lists), relevant, k, n_items)


def _judged(relevant: SeenItems) -> NDArray[np.int64]:
    return np.flatnonzero(relevant.counts())


def _mean(
    users: NDArray[np.int64],
    rankings: Iterable[NDArray[np.integer]],
    relevant: SeenItems,
    k: int,
    n_items: int,
) -> Metrics:
    return _judge(users, rankings, relevant, k, n_items).metrics()


def _judge(
    users: NDArray[np.int64],
    rankings: Iterable[NDArray[np.integer]],
    relevant: SeenItems,
    k: int,
    n_items: int,
) -> Judgement:
    recommended = np.zeros(n_items, dtype=np.int64)
    found = np.zeros(n_items, dtype=np.int64)
    figures = np.zeros((len(users), 3))
    for position, (user, ranked) in enumerate(zip(users, rankings, strict=True)):
        listed, held_out = ranked[:k], relevant[int(user)]
        judged = user_metrics(listed, held_out, k)
        figures[position] = judged.recall, judged.map, judged.ndcg
        recommended[listed] += 1  # a list holds no item twice
        found[listed[contained(listed, held_out)]] += 1
    return Judgement(k, users, figures, recommended, found)


def _without_padding(rows: NDArray[np.int32]) -> NDArray[np.int32]:
    return rows[rows != NO_ITEM]
