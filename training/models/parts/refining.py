"""Refiner of new users' codes: a teacher's item weights, truncated to the size of serving."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from hashrec.index.arrays.codes import BinaryCodes
from hashrec.index.backends import EXACT_INDEX
from hashrec.index.model.encoder import UserEncoder
from hashrec.index.model.refiner import MAX_LIST, UserRefiner
from hashrec.training.data.interactions import Interactions
from hashrec.training.data.splits import hold_out_users
from hashrec.training.judging.evaluation import evaluate_hash_codes
from hashrec.training.numerics.ranked_lists import list_length, rank_weights
from hashrec.training.numerics.scorer import LinearScorer
from hashrec.training.progress import Progress

# Entries of W kept per row, 6 bytes each. Fewer cost accuracy, most on dense data.
_MOST_IN_A_ROW = 800
_LEAST_IN_A_ROW = 100
_IN_ALL = 20_000_000
_BLOCK = 1 << 24  # weights in memory at once: 64 MiB
_PLACES_SUM = 2**20
_LARGEST = 2.0**15  # of float16, whose smallest normal number is 2^-14

# Of the target over a new user's list. The best one differs from the model's own: narrower on
# sparse data, wider on dense data.
REFINER_PERPLEXITIES = (25.0, 40.0, 60.0, 75.0, 110.0)
_JUDGED_USERS = 500
_JUDGED_K = 50


def fit_refiner(
    teacher: LinearScorer,
    train: Interactions,
    encoder: UserEncoder,
    items: BinaryCodes,
    *,
    scale: float,
    seed: int,
    progress: Progress,
) -> UserRefiner:
    """Truncate a teacher's item weights, and choose the perplexity of the target over their lists.

    Some users are treated as new: coded and refined by a random half of their items, and judged by
    NDCG over the other half. The codes were trained on that half, so the figure compares targets
    but does not estimate the accuracy for new users.

    Args:
        teacher: of the codes.
        train: the training interactions of the codes.
        encoder: gives the initial codes.
        items: codes of the items.
        scale: c of the codes' softmax.
        seed: of the users and of their halves.
        progress: records the figures of each perplexity.
    """
    refiner = UserRefiner(*cut_weights(teacher), places_of(REFINER_PERPLEXITIES[0]), scale)
    if train.n_users < 2 or np.bincount(train.user_rows).max() < 2:
        return refiner  # no user has two items to split
    split = hold_out_users(train, min(_JUDGED_USERS, train.n_users - 1), seed)
    histories, index = split.history.seen(), EXACT_INDEX.build(items)
    weights = split.history.seen_weights()
    encoded = encoder.encode(histories, None, weights)
    best = 0.0
    for step in progress.track("Targets of new users", len(REFINER_PERPLEXITIES)):
        tried = replace(refiner, places=places_of(REFINER_PERPLEXITIES[step]))
        users = tried.refine(encoded, histories, None, weights, item_codes=items, index=index)
        ndcg = evaluate_hash_codes(users, items, split.history, split.relevant, _JUDGED_K).ndcg
        progress.log(perplexity=REFINER_PERPLEXITIES[step], ndcg=ndcg)
        if ndcg > best:
            best, refiner = ndcg, tried
    return refiner


def places_of(perplexity: float) -> NDArray[np.int32]:
    """Return `UserRefiner.places` of a perplexity, over a list of its length."""
    places = rank_weights(min(list_length(perplexity), MAX_LIST), perplexity).astype(np.float64)
    return np.rint(places * (_PLACES_SUM / places.sum())).astype(np.int32)


def cut_weights(
    teacher: LinearScorer,
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float16]]:
    """Keep the largest entries of each row of item weights, by absolute value.

    Returns:
        `indptr`, `items` and `weights` of a `UserRefiner`.
    """
    n_items = teacher.n_items
    n_kept = min(n_items, _MOST_IN_A_ROW, max(_LEAST_IN_A_ROW, _IN_ALL // n_items))
    columns = np.empty((n_items, n_kept), dtype=np.int32)
    values = np.empty((n_items, n_kept), dtype=np.float32)
    step = max(1, _BLOCK // n_items)
    for start in range(0, n_items, step):
        rows = np.arange(start, min(start + step, n_items))
        W = torch.from_numpy(teacher.item_weights(rows))
        largest = W.abs().topk(n_kept, dim=1, sorted=False).indices.sort(dim=1).values
        columns[rows], values[rows] = largest.numpy(), W.gather(1, largest).numpy()
    most = float(np.abs(values).max())
    weights = (values * (_LARGEST / most if most else 1)).astype(np.float16)
    kept = weights != 0
    indptr = np.concatenate([[0], np.cumsum(kept.sum(1))]).astype(np.int64)
    return indptr, columns[kept], weights[kept]
