"""Judge rankings by held-out pairs.

Codes are ranked by the `Recommender` that serves them. Float teachers are ranked by their scores
under the same rules: every item is a candidate, training items are left out, the lower row wins a
tie. Everyone is ranked once, to the longest of the lengths judged. Novelty is by the users of the
training part.
"""

from __future__ import annotations

from collections.abc import Collection
from itertools import compress

import numpy as np
from numpy.typing import NDArray

from hashrec.index.arrays.codes import BinaryCodes
from hashrec.index.arrays.rows import NO_ROWS
from hashrec.index.arrays.seen import RowLists, SeenItems
from hashrec.index.backends import EXACT_INDEX
from hashrec.index.model.recent import recent_items
from hashrec.index.model.subsets import Subset
from hashrec.index.ranking.bulk import BATCH, rank_histories, rank_popular, rank_users
from hashrec.index.ranking.nearest import nearest
from hashrec.index.ranking.recommender import Recommender
from hashrec.training.data.interactions import Interactions
from hashrec.training.judging.judgement import (
    Judgement,
    Metrics,
    judge_lists,
    self_information,
)
from hashrec.training.numerics.scorer import Csr, FoldInScorer, Scorer
from hashrec.training.numerics.top_items import NO_ITEM, top_of


def evaluate_codes(
    recommender: Recommender,
    relevant: SeenItems,
    k: int,
    *,
    lengths: Collection[int] = (),
    exclude_seen: bool = True,
) -> Metrics:
    """Return the means of `judge_codes`."""
    judged = judge_codes(recommender, relevant, k, lengths=lengths, exclude_seen=exclude_seen)
    return judged.metrics()


def judge_codes(
    recommender: Recommender,
    relevant: SeenItems,
    k: int,
    *,
    lengths: Collection[int] = (),
    exclude_seen: bool = True,
    rerank: bool = True,
) -> Judgement:
    """Judge the lists that the service would give.

    Args:
        recommender: over the artifact to judge.
        relevant: the held-out items of each user row.
        k: length of the lists.
        lengths: other lengths to judge them at.
        exclude_seen: leave out the items that a user has seen, by the artifact.
        rerank: re-rank as the service does if the model can; False judges the codes alone.
    """
    users, n = _judged(relevant), max((k, *lengths))
    found = rank_users(recommender.artifact, users, n, exclude_seen=exclude_seen, rerank=rerank)
    rankings = (ranking.rows for ranking in found)
    return judge_lists(
        users, rankings, relevant, k, lengths=lengths, information=_information(recommender)
    )


def evaluate_hash_codes(
    users: BinaryCodes,
    items: BinaryCodes,
    train: Interactions,
    held_out: Interactions,
    k: int,
    *,
    lengths: Collection[int] = (),
) -> Metrics:
    """Judge codes without an artifact, ranked as `Recommender` ranks them.

    Args:
        users: of the user rows of `train`.
        items: of its item rows, which are in descending popularity.
        train: pairs left out of the lists.
        held_out: pairs of the same rows.
        k: length of the lists.
        lengths: other lengths to judge them at.
    """
    seen, relevant, n = train.seen(), held_out.seen(), max((k, *lengths))
    judged, everything = _judged(relevant), Subset(EXACT_INDEX.build(items), None)
    rankings = (
        ranking.rows
        for start in range(0, len(judged), BATCH)
        for batch in (judged[start : start + BATCH],)
        for ranking in nearest(everything, users[batch], [seen[int(row)] for row in batch], n)
    )
    information = self_information(seen, train.n_items)
    return judge_lists(
        judged, rankings, relevant, k, lengths=lengths, information=information
    ).metrics()


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
    return judge_lists(
        users, rankings, relevant, k, information=_information(recommender)
    ).metrics()


def evaluate_popularity(
    recommender: Recommender,
    relevant: SeenItems,
    k: int,
    *,
    lengths: Collection[int] = (),
    days: int | None = None,
) -> Metrics:
    """Judge the list of popular items without the items that each user has seen.

    Args:
        recommender: over the artifact to judge.
        relevant: the held-out items of each user row.
        k: length of the lists.
        lengths: other lengths to judge them at.
        days: only interactions of the last days before the artifact's newest one, or before the
            cut, count; items without any follow by popularity. None counts all.
    """
    users, first = _judged(relevant), NO_ROWS
    if days is not None:
        recent = recommender.artifact.model.recent
        first = recent_items(recent, days, recommender.n_items).rows
    rankings = rank_popular(recommender.artifact, users, max((k, *lengths)), first=first)
    return judge_lists(
        users, rankings, relevant, k, lengths=lengths, information=_information(recommender)
    ).metrics()


def evaluate_scores(
    scorer: Scorer,
    train: Interactions,
    relevant: SeenItems,
    k: int,
    *,
    lengths: Collection[int] = (),
) -> Metrics:
    """Return the means of `judge_scores`."""
    return judge_scores(scorer, train, relevant, k, lengths=lengths).metrics()


def judge_scores(
    scorer: Scorer,
    train: Interactions,
    relevant: SeenItems,
    k: int,
    *,
    lengths: Collection[int] = (),
) -> Judgement:
    """Judge a float model by its scores.

    Args:
        scorer: a fitted teacher.
        train: the pairs that it was fitted to; they are left out of the lists.
        relevant: the held-out items of each user row.
        k: length of the lists.
        lengths: other lengths to judge them at.
    """
    users, seen, n = _judged(relevant), train.seen(), min(max((k, *lengths)), train.n_items)
    lists, _ = top_of(scorer.scores, seen, users, train.n_items, n)
    rankings, information = map(_without_padding, lists), self_information(seen, train.n_items)
    return judge_lists(users, rankings, relevant, k, lengths=lengths, information=information)


def evaluate_fold_in(
    scorer: FoldInScorer, histories: Csr, relevant: SeenItems, k: int, *, train: SeenItems
) -> Metrics:
    """Judge a float model by its scores of users that it was not fitted to.

    Args:
        scorer: a fitted teacher.
        histories: binary float32 CSR, shape (n_new_users, n_items); left out of the lists.
        relevant: the held-out items of each row of `histories`.
        k: length of the lists.
        train: the items of the users that the model was fitted to.
    """
    users, n_items = _judged(relevant), histories.shape[1]
    histories = histories.sorted_indices()
    seen = SeenItems(histories.indptr.astype(np.int64), histories.indices.astype(np.int32))
    lists, _ = top_of(
        lambda rows: scorer.fold_in(histories[rows]), seen, users, n_items, min(k, n_items)
    )
    rankings, information = map(_without_padding, lists), self_information(train, n_items)
    return judge_lists(users, rankings, relevant, k, information=information).metrics()


def _judged(relevant: SeenItems) -> NDArray[np.int64]:
    return np.flatnonzero(relevant.counts())


def _information(recommender: Recommender) -> NDArray[np.float64]:
    return self_information(recommender.artifact.model.seen, recommender.n_items)


def _without_padding(rows: NDArray[np.int32]) -> NDArray[np.int32]:
    return rows[rows != NO_ITEM]
