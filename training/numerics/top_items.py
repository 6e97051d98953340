"""Top items of each user by score, for evaluation and for learning."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from numpy.typing import NDArray

from hashrec.index.arrays.seen import SeenItems
from hashrec.training.data.interactions import Interactions
from hashrec.training.numerics.scorer import Scorer

_BLOCK = 1 << 22  # scores in a thread's memory at once: 16 MiB

NO_ITEM = -1

TopItems = tuple[NDArray[np.int32], NDArray[np.float32]]


def top_items(scorer: Scorer, train: Interactions, n: int) -> TopItems:
    """Return every user's n best items outside training, best first; ties go to the lower row.

    Args:
        scorer: a fitted teacher.
        train: interactions of the same rows.
        n: length of the lists.

    Returns:
        Item rows, int32, and their scores, float32, both of shape (n_users, n). The list of a user
        who has fewer items left ends in `NO_ITEM` with a score of minus infinity.
    """
    return top_of(scorer.scores, train.seen(), np.arange(train.n_users), train.n_items, n)


def top_of(
    scores_of: Callable[[NDArray[np.int64]], NDArray[np.float32]],
    left_out: SeenItems,
    rows: NDArray[np.int64],
    n_items: int,
    n: int,
) -> TopItems:
    """Rank some rows of a score matrix in blocks, one block per thread; see `top_items`.

    Args:
        scores_of: gives the scores of a block of rows, float32, shape (b, n_items).
        left_out: items that are not ranked, by row.
        rows: which rows to rank, int64, shape (m,).
        n_items: columns of the matrix.
        n: length of the lists.
    """
    items = np.full((len(rows), n), NO_ITEM, dtype=np.int32)
    scores = np.full((len(rows), n), -np.inf, dtype=np.float32)
    length = min(n, n_items)
    if not length:
        return items, scores
    step = max(1, _BLOCK // n_items)

    def rank(start: int) -> None:
        block = rows[start : start + step]
        block_scores = scores_of(block)
        for row, owner in zip(block_scores, block, strict=True):
            row[left_out[int(owner)]] = -np.inf
        into = slice(start, start + len(block))
        items[into, :length], scores[into, :length] = _first(block_scores, length)

    with ThreadPoolExecutor(torch.get_num_threads()) as threads:
        for _ in threads.map(rank, range(0, len(rows), step)):
            pass  # re-raises an error of a thread
    return items, scores


def _first(scores: NDArray[np.float32], n: int) -> TopItems:
    """Return the first n columns of each row by score, then by column."""
    wanted = min(n + 1, scores.shape[1])  # one more shows whether a tie extends beyond the list
    values, columns = (
        found.numpy() for found in torch.topk(torch.from_numpy(scores), wanted, sorted=True)
    )
    least = values[:, n - 1]
    columns = columns[:, :n].astype(np.int32)
    if wanted > n:
        for row in np.flatnonzero((values[:, n] == least) & (least > -np.inf)):
            above = np.flatnonzero(scores[row] > least[row])
            tied = np.flatnonzero(scores[row] == least[row])
            columns[row] = np.concatenate([above, tied[: n - len(above)]])
    columns.sort(axis=1)  # so that a stable sort by score keeps ties by column
    values = np.take_along_axis(scores, columns, axis=1)
    order = np.argsort(-values, axis=1, kind="stable")
    columns = np.take_along_axis(columns, order, axis=1)
    values = np.take_along_axis(values, order, axis=1)
    columns[values == -np.inf] = NO_ITEM
    return columns, values
