"""The middle steps of a job: fit the teacher and the hash model, choose how to re-rank."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from hashrec.index.errors import ConfigError
from hashrec.training.data.interactions import Interactions
from hashrec.training.data.splits import by_popularity, validation_part
from hashrec.training.jobs.job import Job
from hashrec.training.jobs.recipe import RERANK_NEEDS_TEACHER, Recipe
from hashrec.training.jobs.reranking import DIMS, RerankChoice, choose_reranker
from hashrec.training.models import HashCodes
from hashrec.training.numerics.embeddings import Embeddings
from hashrec.training.numerics.factorization import factors_of
from hashrec.training.numerics.scorer import Scorer


@dataclass(frozen=True, eq=False)
class Fitted:
    """The result of a fit.

    Attributes:
        recipe: the model and the teacher that were fitted.
        train: the interactions that they were fitted to, with their strengths.
        codes: of all users and items of `train`.
        teacher: the fitted teacher, which may hold gigabytes; None if the recipe has none.
    """

    recipe: Recipe
    train: Interactions
    codes: HashCodes
    teacher: Scorer | None


def fit(job: Job, recipe: Recipe, train: Interactions) -> Fitted:
    """Fit the teacher, if the recipe has one, then the hash model, by the recipe's strengths."""
    train = train.with_strengths(recipe.strength)
    if (ignoring := recipe.ignoring_strength) and train.strengths is not None:
        job.say(f"{' and '.join(ignoring)}: cannot learn from strengths; all count alike")
    job.say(
        f"learning {recipe.model.n_bits}-bit codes ({recipe.model_name}) from {len(train):,} "
        f"interactions of {train.n_users:,} users with {train.n_items:,} items on {job.device}"
    )
    teacher = None
    if recipe.teacher is not None:
        with job.stage("teacher"):
            teacher = recipe.teacher.fit(train, **job.fit_options)
    with job.stage("model"):
        codes = recipe.model.fit(train, teacher, **job.fit_options)
    return Fitted(recipe, train, codes, teacher)


def choose_by_validation(job: Job, recipe: Recipe, train: Interactions) -> RerankChoice | None:
    """Fit without a tenth of the training part, and choose by that tenth how to re-rank.

    Returns:
        None if the job does not ask for re-ranking, or if it does not pay.
    """
    if job.config.rerank != "auto":
        return None

    def choose() -> dict[str, Any] | None:
        # Teacher and perplexity were chosen by the same pairs. Those may flatter what was chosen,
        # but it is under both rankings that are compared here.
        part, held_out = by_popularity(*validation_part(train, seed=job.seed))
        choice = choose_reranking(job, fit(job, recipe, part), held_out)
        return None if choice is None else asdict(choice)

    kept = job.progress.once("re-ranking", choose)
    return None if kept is None else RerankChoice(**kept)


def choose_reranking(job: Job, fitted: Fitted, held_out: Interactions) -> RerankChoice | None:
    """Choose how to re-rank by pairs that the fit has not seen; None if it does not pay."""
    with job.stage("rerank"):
        return choose_reranker(
            fitted.codes,
            rerank_factors(job, fitted),
            held_out.seen(),
            fitted.train.seen(),
            job.k,
            say=job.say,
        )


def rerank_factors(job: Job, fitted: Fitted) -> Embeddings:
    """Return the teacher's factors, or as many factors of its scores as the widest vectors use."""
    if fitted.teacher is None:
        raise ConfigError(RERANK_NEEDS_TEACHER)
    return factors_of(fitted.teacher, max(DIMS), **job.fit_options)
