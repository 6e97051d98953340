"""What refines codes of new users: a teacher's item weights, cut to what serving can hold."""

from __future__ import annotations

import numpy as np
import torch

from index.refiner import MAX_LIST, UserRefiner
from training.ranked_lists import rank_weights
from training.scorer import LinearScorer

# Entries of W kept in a row. Fewer cost accuracy, the more the denser the data; each takes 6 bytes.
_MOST_IN_A_ROW = 800
_LEAST_IN_A_ROW = 100
_IN_ALL = 20_000_000
# A list that item weights alone give is less certain than those that codes are learned from.
_FLATTER = 1.5
_BLOCK = 1 << 24  # weights that exist at the same time: 64 MiB
_PLACES_SUM = 2**20
_LARGEST = 2.0**15  # of float16, whose smallest normal number is 2^-14


def fit_refiner(
    teacher: LinearScorer, *, length: int, perplexity: float, scale: float
) -> UserRefiner:
    """Cut each row of a teacher's item weights to its largest entries, by absolute value.

    Args:
        teacher: what the codes were learned from.
        length: of the lists that they were learned from.
        perplexity: of the target over such a list; new users' is one and a half times as wide.
        scale: c of the codes' softmax.
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
    places = rank_weights(min(length, MAX_LIST), _FLATTER * perplexity).astype(np.float64)
    return UserRefiner(
        indptr=np.concatenate([[0], np.cumsum(kept.sum(1))]).astype(np.int64),
        items=columns[kept],
        weights=weights[kept],
        places=np.rint(places * (_PLACES_SUM / places.sum())).astype(np.int32),
        scale=scale,
    )
