"""`ValidationCurve`: follow the ranking quality of a model while it learns."""

from __future__ import annotations

import numpy as np

from hashrec.index.arrays.ids import spread
from hashrec.training.data.interactions import Interactions
from hashrec.training.data.splits import validation_part
from hashrec.training.judging.evaluation import evaluate_scores
from hashrec.training.numerics.scorer import Scorer
from hashrec.training.progress import Progress

K = 20  # length of the lists judged
_MOST_USERS = 5_000  # judged, evenly spread over all rows


class ValidationCurve:
    """Logs Recall@20 and NDCG@20 on a tenth of the training pairs, every few epochs.

    Args:
        train: the training interactions.
        every: epochs between two points of the curve; 0 holds nothing out and logs nothing.
        seed: of the pairs held out.

    Attributes:
        train: the pairs to learn from; all pairs if none are held out.
    """

    def __init__(self, train: Interactions, every: int, seed: int) -> None:
        self._every = every
        self.train, self._relevant = train, None
        if every:
            self.train, held_out = validation_part(train, seed=seed)
            rows = np.array(spread(train.n_users, _MOST_USERS), dtype=np.int64)
            judged = np.isin(held_out.user_rows, rows)
            self._relevant = held_out.where(judged).seen()

    def is_due(self, epoch: int) -> bool:
        """Tell whether the curve has a point after an epoch, counted from 0."""
        return self._relevant is not None and (epoch + 1) % self._every == 0

    def log(self, scorer: Scorer, progress: Progress) -> None:
        """Judge, and record `recall@20` and `ndcg@20`."""
        assert self._relevant is not None
        found = evaluate_scores(scorer, self.train, self._relevant, K)
        progress.log(**{f"recall@{K}": found.recall, f"ndcg@{K}": found.ndcg})
