"""Judge an artifact as it is served: rank held-out items by its codes and by popularity."""

from __future__ import annotations

from pathlib import Path

from hashrec.index.arrays.seen import SeenItems
from hashrec.index.artifacts.artifact import Artifact
from hashrec.index.ranking.recommender import Recommender
from hashrec.training.judging.diagnostics import Diagnostics, diagnose
from hashrec.training.judging.evaluation import evaluate_codes, evaluate_popularity, judge_codes
from hashrec.training.judging.judgement import REPORTED_LENGTHS, Judgement

Figures = dict[str, dict[str, float]]  # `codes`, `reranked`, `popularity`, ... -> figure -> value

RECENT_DAYS = (7, 30)  # before the cut, or before the newest interaction that was learned from


def judge(artifact: Path, relevant: SeenItems, k: int) -> Figures:
    """Judge the lists that the service would give, and the popular items; see `Metrics.figures`."""
    return _figures(Recommender(Artifact.open(artifact)), relevant, k)[0]


def examine(artifact: Path, relevant: SeenItems, k: int) -> tuple[Figures, Diagnostics]:
    """Judge an artifact and diagnose its codes; each user is ranked once."""
    recommender = Recommender(Artifact.open(artifact))
    figures, judged = _figures(recommender, relevant, k)
    return figures, diagnose(recommender, relevant, judged)


def headline(part: str, figures: Figures) -> dict[str, float]:
    """Return the figures of the served lists by their names in a manifest (`test/ndcg@100`)."""
    best = as_served(figures)
    return {f"{part}/{name}@{best['k']}": best[name] for name in ("recall", "map", "ndcg")}


def as_served(figures: Figures) -> dict[str, float]:
    """Return the figures of the lists that the service gives: re-ranked, or of the codes alone."""
    return figures.get("reranked", figures["codes"])


def _figures(recommender: Recommender, relevant: SeenItems, k: int) -> tuple[Figures, Judgement]:
    judged = judge_codes(recommender, relevant, k, lengths=REPORTED_LENGTHS, rerank=False)
    found = {"codes": judged.metrics()}
    if recommender.reranks:
        found["reranked"] = evaluate_codes(recommender, relevant, k, lengths=REPORTED_LENGTHS)
    found["popularity"] = evaluate_popularity(recommender, relevant, k, lengths=REPORTED_LENGTHS)
    for days in RECENT_DAYS if recommender.artifact.model.recent is not None else ():
        found[f"popularity_{days}d"] = evaluate_popularity(
            recommender, relevant, k, lengths=REPORTED_LENGTHS, days=days
        )
    return {what: metrics.figures() for what, metrics in found.items()}, judged
