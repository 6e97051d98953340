"""Choose by held-out interactions whether strengths and age count.

Both decisions compare fits of one teacher, user by user. The alternative is taken if it is better
by more than two standard errors of the mean difference; strengths that usually help, of counts and
of event logs, are taken unless they are worse by more than that.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from numpy.typing import NDArray

from hashrec.index.arrays.ids import spread
from hashrec.index.strength import SECONDS_A_DAY, Strength
from hashrec.training.data.interactions import Interactions
from hashrec.training.data.splits import VALIDATION_SHARE, by_popularity
from hashrec.training.data.strengths import Derived
from hashrec.training.jobs.trials import Conditions, RowsOf, Trial
from hashrec.training.judging.evaluation import judge_scores
from hashrec.training.judging.metrics import UserMetrics
from hashrec.training.numerics.scorer import Scorer
from hashrec.training.teachers import Teacher

# Half-lives that are tried, as shares of the time between the first and the last interaction. The
# shorter one is tried only if the longer one is better than none.
HALF_LIVES = (1 / 4, 1 / 16)
JUDGED_USERS = 5_000
_LEAST_SPAN_DAYS = 2.0
# Splits whose held-out part is later than the rest, and `none`, whose model serves the future.
JUDGED_BY_TIME = ("time", "temporal", "none")


@dataclass(frozen=True)
class StrengthChoice:
    """What counts, and the figures that decided it.

    Attributes:
        policy: the chosen one; even if strengths do not help.
        trials: what was compared, with NDCG on held-out interactions.
    """

    policy: Strength
    trials: tuple[Trial, ...] = field(default=())


def is_open(train: Interactions, said: Derived, *, by_time: bool) -> bool:
    """Tell whether there are strengths to choose by, or times where the job is judged by time."""
    return not said.policy.is_even or (by_time and train.timestamps is not None)


def choose_strengths(
    conditions: Conditions, teacher: Teacher, said: Derived, plain: Callable[[], Scorer]
) -> StrengthChoice:
    """Compare a teacher with and without strengths on the validation part.

    Args:
        conditions: without strengths.
        teacher: the one that was chosen.
        said: the policy to try.
        plain: returns the teacher fitted without strengths.
    """
    weighted = conditions.with_strengths(said.policy)
    if weighted.train.strengths is None or not teacher.uses_strengths:
        return StrengthChoice(said.policy.even())
    judged = _Judged.of(conditions)
    job, name = conditions.job, "strengths"
    figures = job.progress.once(
        name,
        lambda: [judged.ndcg(fit()).tolist() for fit in (plain, partial(weighted.fitted, teacher))],
    )
    without, with_ = map(np.array, figures)
    gain, margin = _difference(with_, without)
    taken = gain > (-margin if said.expected else margin)
    job.say(
        f"{'using' if taken else 'not using'} strengths ({said.policy.describe()}): "
        f"ndcg@{job.k} {with_.mean():.4f} with them, {without.mean():.4f} without, "
        f"+-{margin:.4f}, on held-out items"
    )
    trials = (Trial("all alike", float(without.mean())), Trial("strengths", float(with_.mean())))
    return StrengthChoice(said.policy if taken else said.policy.even(), trials)


def choose_half_life(
    conditions: Conditions, train: Interactions, teacher: Teacher, policy: Strength
) -> StrengthChoice:
    """Compare half-lives on the last tenth of the training part by time.

    A random validation part would hide drift: it has the same age as the rest. For the same reason
    a job that is judged by a random part does not ask: a half-life that helps to predict the future
    costs accuracy on the past.

    Args:
        conditions: of the selection; only its job is used.
        train: the whole training part, with times.
        teacher: the one that was chosen.
        policy: the strengths that were chosen.

    Returns:
        The policy, with a half-life if one is better than none.
    """
    job, latest = conditions.job, latest_part(train)
    if latest is None or policy.half_life_days is not None or not teacher.uses_strengths:
        return StrengthChoice(policy)
    assert train.timestamps is not None
    span = float(train.timestamps.max() - train.timestamps.min()) / SECONDS_A_DAY
    if span < _LEAST_SPAN_DAYS:
        return StrengthChoice(policy)
    later = Conditions(job, *by_popularity(*latest))
    judged = _Judged.of(later)

    def ndcg(tried: Strength) -> NDArray[np.float64]:
        name = f"half-life {tried.half_life_days or 0:g}"
        fitted = later.with_strengths(tried)
        return np.array(
            job.progress.once(name, lambda: judged.ndcg(fitted.fitted(teacher)).tolist())
        )

    best, figures = policy, ndcg(policy)
    trials = [Trial("no half-life, on the latest interactions", float(figures.mean()))]
    margin = 0.0
    for share in HALF_LIVES:
        tried = policy.model_copy(update={"half_life_days": float(f"{span * share:.3g}")})
        found = ndcg(tried)
        trials.append(Trial(f"half-life {tried.half_life_days:g} days", float(found.mean())))
        gain, margin = _difference(found, figures)
        if gain <= margin:
            break
        best, figures = tried, found
    said = "; ".join(f"{trial.what} {trial.ndcg:.4f}" for trial in trials)
    chosen = "no half-life" if best is policy else f"half-life {best.half_life_days:g} days"
    job.say(f"chose {chosen}: ndcg@{job.k} of {said}, +-{margin:.4f}")
    return StrengthChoice(best, tuple(trials))


def latest_part(
    train: Interactions, share: float = VALIDATION_SHARE
) -> tuple[Interactions, Interactions] | None:
    """Hold out the latest interactions of all users, those of users with an earlier one.

    Returns:
        The earlier interactions and the latest; None without times, or if nothing can be held out.
    """
    times = train.timestamps
    if times is None or not len(times):
        return None
    is_late = times > np.quantile(times, 1 - share, method="lower")
    has_earlier = np.bincount(train.user_rows[~is_late], minlength=train.n_users) > 0
    part, held_out = train.where(~is_late), train.where(is_late & has_earlier[train.user_rows])
    return (part, held_out) if len(held_out) else None


@dataclass(frozen=True, eq=False)
class _Judged:
    """The users that fits are judged by."""

    conditions: Conditions
    rows: NDArray[np.int64]

    @classmethod
    def of(cls, conditions: Conditions) -> _Judged:
        held_out = np.unique(conditions.held_out.user_rows).astype(np.int64)
        rows = held_out[np.array(spread(len(held_out), JUDGED_USERS), dtype=np.int64)]
        return cls(conditions.of_users(rows), rows)

    def ndcg(self, scorer: Scorer) -> NDArray[np.float64]:
        """Return NDCG of each judged user."""
        few = self.conditions
        judged = judge_scores(RowsOf(scorer, self.rows), few.train, few.held_out.seen(), few.job.k)
        return judged.figures[:, UserMetrics._fields.index("ndcg")]


def _difference(one: NDArray[np.float64], other: NDArray[np.float64]) -> tuple[float, float]:
    """Return the mean difference of paired figures, and two of its standard errors."""
    differences = one - other
    if len(differences) < 2:
        return 0.0, math.inf
    error = float(differences.std(ddof=1)) / math.sqrt(len(differences))
    return float(differences.mean()), 2 * error
