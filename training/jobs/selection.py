"""Choose the teacher and the perplexity by interactions held out of the training part.

The test part is not used. Teachers are judged by their float scores, perplexities by
short fits to some of the users. Limits are numbers of users, not seconds: the same data and seed
give the same choice on a busy machine.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hashrec.index.arrays.ids import spread
from hashrec.index.errors import ConfigError
from hashrec.index.strength import ALIKE, Strength
from hashrec.training.data.interactions import Interactions
from hashrec.training.data.splits import by_popularity, validation_part
from hashrec.training.data.strengths import EVEN, Derived
from hashrec.training.jobs.job import Job
from hashrec.training.jobs.shared_fits import SharedFits
from hashrec.training.jobs.strength_choice import choose_half_life, choose_strengths
from hashrec.training.jobs.trials import Conditions, RowsOf, Trial
from hashrec.training.judging.evaluation import evaluate_hash_codes, evaluate_scores
from hashrec.training.models.listwise import Listwise
from hashrec.training.numerics.scorer import Scorer
from hashrec.training.teachers import TEACHERS, Teacher

PERPLEXITIES = (25.0, 75.0, 200.0)
MOST_ITEMS_TO_INVERT = 20_000  # beyond, a trial of EASE would hold more than 3.2 GB at a time
_JUDGED_USERS = 5_000  # by whom a teacher is judged
_TRIAL_USERS = 10_000  # of a short fit
# Half as long as a fit: after a much shorter one, narrow targets look better than they are.
_TRIAL_SETTINGS = {"epochs": 20, "descent_rounds": 1}

# Tried in this order; of equals the first is taken. What differs from a teacher's defaults did best
# on a validation part of some data: fewer directions on small data, other exponents on sparse data.
TEACHERS_OF_FEW_ITEMS: tuple[tuple[str, Mapping[str, Any]], ...] = (
    ("blend", {}),
    ("blend", {"settings": {"denoised-ease": {"rank": 24}}}),
    ("denoised-ease", {}),
    ("ials", {}),
    ("graph-filter", {}),
)
TEACHERS_OF_MANY_ITEMS: tuple[tuple[str, Mapping[str, Any]], ...] = (
    ("graph-filter", {}),
    ("graph-filter", {"history_exponent": 0.6, "target_exponent": 0.3, "low_pass_weight": 0.15}),
    ("graph-filter", {"target_exponent": 0.5, "low_pass_weight": 0.15}),
    ("graph-filter", {"target_exponent": 0.6, "low_pass_weight": 0.15}),
    ("ials", {}),
)


@dataclass(frozen=True, eq=False)
class Selection:
    """The choice, and the trials that it was made by.

    Attributes:
        teacher_name: key of `TEACHERS`.
        teacher: not fitted.
        model: with the perplexity chosen.
        k: of NDCG@k.
        trials: everything tried, in order.
        strength: what interactions count.
    """

    teacher_name: str
    teacher: Teacher
    model: Listwise
    k: int
    trials: tuple[Trial, ...]
    strength: Strength = ALIKE

    def report(self) -> dict[str, Any]:
        """Return NDCG@k of each trial on the validation part, as plain data."""
        return {"k": self.k, "ndcg": {trial.what: trial.ndcg for trial in self.trials}}


def select(
    job: Job,
    train: Interactions,
    model: Listwise,
    teacher: tuple[str, Teacher] | None,
    *,
    perplexities: tuple[float, ...] = PERPLEXITIES,
    said: Derived = EVEN,
    chooses_strength: bool = False,
    by_time: bool = False,
) -> Selection | None:
    """Choose teacher and perplexity by a tenth of each user's items, held out of `train`.

    Args:
        job: the job that selects; its seed draws the validation part too.
        train: the training part, all of which the final fit learns from.
        model: the model with its other settings.
        teacher: name and settings of a given teacher; None to choose one.
        perplexities: to choose from; a single one is kept.
        said: what interactions are worth.
        chooses_strength: whether to choose if that counts; False: it does.
        by_time: whether the job is judged by later interactions; then the age may count too.

    Returns:
        None if there is too little data to hold anything out.
    """
    part, held_out = by_popularity(*validation_part(train, seed=job.seed))
    if not len(held_out) or not len(part):
        return None
    policy = said.policy.even() if chooses_strength else said.policy
    conditions = Conditions(job, part, held_out).with_strengths(policy)
    trials: list[Trial] = []
    if teacher is None:
        name, chosen, fitted = _best_teacher(conditions, trials)
    else:
        name, chosen = teacher
        fitted = partial(conditions.fitted, chosen)
    if chooses_strength:
        fitted = cache(fitted)
        strengths = choose_strengths(conditions, chosen, said, fitted)
        trials += strengths.trials
        settled = strengths.policy
        if by_time:
            ages = choose_half_life(conditions, train, chosen, settled)
            trials += ages.trials
            settled = ages.policy
        if settled != policy:
            policy = settled
            conditions = conditions.with_strengths(policy)
            fitted = partial(conditions.fitted, chosen)
    perplexity, *others = _different(perplexities, part.n_items)
    if others:
        candidates = (perplexity, *others)
        perplexity = _best_perplexity(conditions, cache(fitted), model, candidates, trials)
    model = _with(model, perplexity=perplexity)
    return Selection(name, chosen, model, job.k, tuple(trials), policy)


def _best_teacher(
    conditions: Conditions, trials: list[Trial]
) -> tuple[str, Teacher, Callable[[], Scorer]]:
    """Return the teacher that ranks held-out items best, and what returns it fitted.

    Raises:
        ConfigError: every teacher refused the data.
    """
    job, few = conditions.job, conditions.train.n_items <= MOST_ITEMS_TO_INVERT
    rows = _some(conditions.train.n_users, _JUDGED_USERS)
    judged = conditions.of_users(rows)
    relevant = judged.held_out.seen()
    candidates = TEACHERS_OF_FEW_ITEMS if few else TEACHERS_OF_MANY_ITEMS
    teachers = [TEACHERS[name](**settings) for name, settings in candidates]
    fits = SharedFits(conditions.train, teachers=teachers, **job.fit_options)

    def judge(what: str, teacher: Teacher) -> tuple[float, Scorer | None]:
        scorer: Scorer | None = None  # stays None if an interrupted job has kept the figure

        def ndcg() -> float:
            nonlocal scorer
            scorer = fits.fit(teacher)
            return evaluate_scores(RowsOf(scorer, rows), judged.train, relevant, job.k).ndcg

        return job.progress.once(what, ndcg), scorer

    best: tuple[float, str, Teacher, Scorer | None] | None = None
    refusal: ConfigError | None = None
    for i, ((name, settings), teacher) in enumerate(zip(candidates, teachers, strict=True)):
        fits.release(teachers[i:])
        given = _in_words(settings)
        what = f"teacher {name}" + (f" ({given})" if given else "")
        try:
            ndcg, scorer = judge(what, teacher)
        except ConfigError as error:  # it does not suit these data; others may
            job.say(f"left out teacher {name}: {error}")
            refusal = error
            continue
        trials.append(Trial(what, ndcg))
        if best is None or ndcg > best[0]:
            best = ndcg, name, teacher, scorer
        del scorer  # else a rejected teacher stays in memory while the next one is fitted
    if best is None:
        raise refusal or ConfigError("no teacher to choose from")
    ndcg, name, teacher, scorer = best
    job.say(f"chose teacher {name}: ndcg@{job.k} {ndcg:.4f} on held-out items")
    fits.release(())
    return name, teacher, lambda: fits.fit(teacher) if scorer is None else scorer


def _best_perplexity(
    conditions: Conditions,
    fitted: Callable[[], Scorer],
    model: Listwise,
    perplexities: tuple[float, ...],
    trials: list[Trial],
) -> float:
    """Return the perplexity whose codes, after a short fit, rank held-out items best."""
    rows = _some(conditions.train.n_users, _TRIAL_USERS)
    job, few = conditions.job, conditions.of_users(rows)
    figures: list[float] = []

    def ndcg(trial: Listwise) -> float:
        codes = trial.fit(few.train, RowsOf(fitted(), rows), **job.fit_options)
        return evaluate_hash_codes(codes.users, codes.items, few.train, few.held_out, job.k).ndcg

    for perplexity in perplexities:
        what = f"codes of perplexity {perplexity:g}, a short fit"
        trial = _with(model, perplexity=perplexity, **_TRIAL_SETTINGS)
        figures.append(job.progress.once(what, partial(ndcg, trial)))
        trials.append(Trial(what, figures[-1]))
    best = int(np.argmax(figures))
    job.say(
        f"chose perplexity {perplexities[best]:g}: ndcg@{job.k} {figures[best]:.4f} "
        "after a short fit"
    )
    return perplexities[best]


def _different(perplexities: tuple[float, ...], n_items: int) -> list[float]:
    """Return the perplexities to try, ascending; a single one is kept however large it is."""
    if len(perplexities) == 1:
        return list(perplexities)
    widest = max(1.0, n_items / 8)  # a wider target would be nearly even
    return sorted({min(perplexity, widest) for perplexity in perplexities})


def _in_words(settings: Mapping[str, Any]) -> str:
    """Return settings as in `low_pass_weight 0.15`, nested settings without braces."""
    return ", ".join(
        _in_words(value) if isinstance(value, Mapping) else f"{name} {value}"
        for name, value in settings.items()
    )


def _with(model: Listwise, **settings: Any) -> Listwise:
    return type(model)(**(model.model_dump() | settings))


def _some(n: int, most: int) -> NDArray[np.int64]:
    return np.array(spread(n, most), dtype=np.int64)
