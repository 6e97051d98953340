"""Trials of a selection: what they are fitted to and judged by, and their figures."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hashrec.index.strength import Strength
from hashrec.training.data.interactions import Interactions
from hashrec.training.jobs.job import Job
from hashrec.training.numerics.scorer import Scorer
from hashrec.training.teachers import Teacher


@dataclass(frozen=True, slots=True)
class Trial:
    """A teacher or a perplexity that was tried.

    Attributes:
        what: its name and settings in words.
        ndcg: NDCG@k on the validation part.
    """

    what: str
    ndcg: float


@dataclass(frozen=True, eq=False)
class Conditions:
    """The data and the job that all trials of a selection share.

    Attributes:
        job: the job that selects.
        train: the interactions that teachers and codes are fitted to.
        held_out: the interactions that they are judged by.
    """

    job: Job
    train: Interactions
    held_out: Interactions

    def fitted(self, teacher: Teacher) -> Scorer:
        """Fit a teacher to the training part."""
        return teacher.fit(self.train, **self.job.fit_options)

    def with_strengths(self, policy: Strength) -> Conditions:
        """Return the same interactions with their strengths by a policy."""
        return replace(self, train=self.train.with_strengths(policy))

    def of_users(self, rows: NDArray[np.int64]) -> Conditions:
        """Keep some users; items keep their rows."""
        items = np.arange(self.train.n_items)
        return replace(
            self,
            train=self.train.renumbered(rows, items),
            held_out=self.held_out.renumbered(rows, items),
        )


@dataclass(frozen=True, eq=False)
class RowsOf:
    """Scores of some users of another scorer, under new row numbers.

    Attributes:
        scorer: scores all users.
        rows: the users kept, by their rows in `scorer`.
    """

    scorer: Scorer
    rows: NDArray[np.int64]

    @property
    def n_users(self) -> int:
        """Number of users kept."""
        return len(self.rows)

    @property
    def n_items(self) -> int:
        """Number of items, the same as in `scorer`."""
        return self.scorer.n_items

    def scores(self, user_rows: NDArray[np.integer]) -> NDArray[np.float32]:
        """Score every item for some users; see `Scorer.scores`."""
        return self.scorer.scores(self.rows[user_rows])
