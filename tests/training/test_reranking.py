"""Vectors made from factors, and the choice of them on a validation part."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hashrec.index.arrays.codes import BinaryCodes
from hashrec.index.arrays.seen import SeenItems
from hashrec.index.artifacts.artifact import Artifact
from hashrec.index.artifacts.store import Store
from hashrec.index.ranking.recommender import Recommender
from hashrec.training.data.synthetic import synthetic_catalogue
from hashrec.training.jobs.config import DataConfig, JobConfig
from hashrec.training.jobs.outputs import load_held_out
from hashrec.training.jobs.report import read_report
from hashrec.training.jobs.reranking import (
    INDIFFERENCE,
    LEAST_USERS,
    MAX_BYTES_PER_ITEM,
    RerankChoice,
    choose_reranker,
    distance_deviation,
    principal,
    quantised,
)
from hashrec.training.jobs.retraining import retrain
from hashrec.training.jobs.training import train
from hashrec.training.judging.artifacts import examine
from hashrec.training.judging.metrics import user_metrics
from hashrec.training.models import HashCodes
from hashrec.training.models.parts.encoding import fit_encoder
from hashrec.training.numerics.embeddings import Embeddings
from hashrec.training.progress import QuietProgress
from tests.training.pairs import random_interactions
from tests.training.small_jobs import write_csv

N_USERS, N_ITEMS, K = 150, 260, 20


def low_rank(rng: np.random.Generator, dim: int = 24) -> Embeddings:
    return Embeddings(
        rng.standard_normal((N_USERS, dim)).astype(np.float32),
        (rng.standard_normal((N_ITEMS, dim)) + 1).astype(np.float32),
    )


def codes_of(users: np.ndarray, items: np.ndarray) -> HashCodes:
    packed = BinaryCodes.from_signs(users), BinaryCodes.from_signs(items)
    train = random_interactions(len(users), len(items), 0.05, seed=0)
    return HashCodes(*packed, fit_encoder(train, *packed))


def random_codes(rng: np.random.Generator, n_bits: int = 32) -> HashCodes:
    users, items = (rng.standard_normal((n, n_bits)) for n in (N_USERS, N_ITEMS))
    return codes_of(users, items)


def judged_by(factors: Embeddings, rng: np.random.Generator) -> tuple[SeenItems, SeenItems]:
    """Return for each user five of the ten best items by the factors, and as many seen ones."""
    best = np.argsort(-factors.scores(np.arange(N_USERS)), axis=1)[:, :10]
    best = rng.permuted(best, axis=1)
    owners = np.repeat(np.arange(N_USERS), 5)
    return (
        SeenItems.build(owners, best[:, :5].ravel(), N_USERS),
        SeenItems.build(owners, best[:, 5:].ravel(), N_USERS),
    )


def test_principal_factors_have_the_standardised_scores_and_the_best_columns_first(
    rng: np.random.Generator,
) -> None:
    factors = low_rank(rng)
    scores = factors.scores(np.arange(N_USERS)).astype(np.float64)
    standard = scores - scores.mean(axis=1, keepdims=True)
    standard /= standard.std(axis=1, keepdims=True)
    found = principal(factors)
    np.testing.assert_allclose(found.scores(np.arange(N_USERS)), standard, atol=1e-4)
    left, singular, right = np.linalg.svd(standard, full_matrices=False)
    best_of_four = (left[:, :4] * singular[:4]) @ right[:4]
    np.testing.assert_allclose(found.users[:, :4] @ found.items[:, :4].T, best_of_four, atol=1e-4)


def test_rounded_vectors_have_the_scores_up_to_a_scale_of_each_user(
    rng: np.random.Generator,
) -> None:
    factors = principal(low_rank(rng))
    reranker = quantised(random_codes(rng), factors, dim=24, depth=9, weight=0)
    products = reranker.users.astype(np.float64) @ reranker.items.T.astype(np.float64)
    scores = factors.scores(np.arange(N_USERS))
    for product, score in zip(products, scores, strict=True):
        assert np.corrcoef(product, score)[0, 1] > 0.999
    assert np.abs(reranker.users).max(axis=1).tolist() == [127] * N_USERS
    assert np.abs(reranker.items).max(axis=0).tolist() == [127] * 24
    assert not reranker.weights.any()


def test_the_weight_is_in_standard_deviations_of_scores_and_distances(
    rng: np.random.Generator,
) -> None:
    codes, factors = random_codes(rng), principal(low_rank(rng))
    distances = codes.users.hamming(codes.items)
    deviation = np.sqrt(distances.var(axis=1).mean())
    assert distance_deviation(codes) == pytest.approx(deviation)
    reranker = quantised(codes, factors, dim=24, depth=9, weight=0.5)
    products = reranker.users.astype(np.float64) @ reranker.items.T.astype(np.float64)
    np.testing.assert_allclose(reranker.weights * deviation / products.std(axis=1), 0.5, rtol=0.01)


def test_a_user_without_scores_keeps_the_order_by_distance(rng: np.random.Generator) -> None:
    factors = low_rank(rng)
    factors.users[3] = 0
    reranker = quantised(random_codes(rng), principal(factors), dim=8, depth=50, weight=0)
    rows = rng.permutation(N_ITEMS)[:50]
    assert reranker.order(3, rows, np.arange(50)).tolist() == list(range(50))


def test_vectors_that_know_more_than_the_codes_are_chosen_and_help(
    rng: np.random.Generator,
) -> None:
    factors, codes = low_rank(rng), random_codes(rng)
    relevant, seen = judged_by(factors, rng)
    said: list[str] = []
    choice = choose_reranker(codes, factors, relevant, seen, K, say=said.append)
    assert choice is not None
    assert choice.reranked > 2 * choice.codes
    assert choice.dim + 32 // 8 <= MAX_BYTES_PER_ITEM
    assert [line.endswith(": on") for line in said] == [True]
    distances = codes.users.hamming(codes.items)
    by_hand = []
    for user in range(N_USERS):
        distances[user, seen[user]] = 99
        ranked = np.argsort(distances[user], kind="stable")[: N_ITEMS - 5]
        by_hand.append(user_metrics(ranked, relevant[user], K).ndcg)
    assert choice.codes == pytest.approx(np.mean(by_hand))


def test_vectors_of_noise_are_not_chosen(rng: np.random.Generator) -> None:
    factors = low_rank(rng, dim=64)
    relevant, seen = judged_by(factors, rng)
    good = codes_of(*(side[:, :64] for side in (factors.users, factors.items)))
    said: list[str] = []
    assert choose_reranker(good, low_rank(rng), relevant, seen, K, say=said.append) is None
    assert "off" in said[0]


def test_a_few_users_are_not_enough_to_choose_by(rng: np.random.Generator) -> None:
    factors = low_rank(rng)
    relevant, seen = judged_by(factors, rng)
    rows = np.repeat(np.arange(N_USERS), relevant.counts())
    items = np.concatenate([relevant[user] for user in range(N_USERS)])
    few = SeenItems.build(rows[rows < LEAST_USERS - 1], items[rows < LEAST_USERS - 1], N_USERS)
    said: list[str] = []
    assert choose_reranker(random_codes(rng), factors, few, seen, K, say=said.append) is None
    assert "too few" in said[0]


def test_a_code_that_fills_the_budget_leaves_no_room(rng: np.random.Generator) -> None:
    factors = low_rank(rng)
    relevant, seen = judged_by(factors, rng)
    wide = random_codes(rng, n_bits=8 * MAX_BYTES_PER_ITEM)
    assert choose_reranker(wide, factors, relevant, seen, K) is None


def test_a_gain_pays_when_it_is_large_and_more_than_chance() -> None:
    def choice(reranked: float, error: float) -> RerankChoice:
        return RerankChoice(16, 200, 0.0, K, codes=0.2, reranked=reranked, error=error)

    assert choice(0.21, 0.001).pays
    assert not choice(0.201, 0.0001).pays, "half a percent"
    assert not choice(0.21, 0.006).pays, "less than two standard errors"
    assert INDIFFERENCE < 0.01, "a smaller vector may not cost what makes it worth having one"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Wide teacher, narrow codes: re-ranking pays."""
    folder = tmp_path_factory.mktemp("job")
    clicks = synthetic_catalogue(n_users=400, n_items=150, n_interactions=16_000, seed=3)
    data = write_csv(folder / "clicks.csv", clicks.interactions)
    settings = JobConfig(
        data=DataConfig(source=str(data)), model=NARROW, k=10, rerank="auto", device="cpu"
    )
    train(settings, folder / "run", QuietProgress(), lambda _: None)
    return folder / "run"


NARROW = {"name": "least-squares", "n_bits": 8, "iterations": 5, "hinge_iterations": 1}


def test_a_job_writes_what_it_chose_and_reports_both_figures(run: Path) -> None:
    report, artifact = read_report(run), Artifact.open(run / "artifact")
    chosen, figures = report["rerank"], report["metrics"]["test"]
    assert chosen is not None
    assert artifact.model.reranker is not None
    assert (artifact.model.reranker.dim, artifact.model.reranker.depth) == (
        chosen["dim"],
        chosen["depth"],
    )
    assert report["bytes_per_item"] == {
        "code": 1, "vector": chosen["dim"], "total": 1 + chosen["dim"]
    }  # fmt: skip
    assert list(figures) == ["codes", "reranked", "popularity", "teacher"]
    assert artifact.manifest.metrics["test/ndcg@10"] == figures["reranked"]["ndcg"]


def test_evaluation_ranks_as_the_service_does_and_by_codes_alone_beside_it(run: Path) -> None:
    artifact = Artifact.open(run / "artifact")
    relevant = load_held_out(run, len(artifact.model.users))
    figures, _ = examine(run / "artifact", relevant, 10)
    recommender, by_hand = Recommender(artifact), []
    for user in np.flatnonzero(relevant.counts()).tolist():
        answer = recommender.recommend(artifact.model.users.id(user), 10)
        rows = [artifact.model.items.row(item.item_id) for item in answer.items]
        by_hand.append(user_metrics(np.array(rows), relevant[user], 10).ndcg)
    assert figures["reranked"]["ndcg"] == pytest.approx(np.mean(by_hand))
    assert figures["codes"] == read_report(run)["metrics"]["test"]["codes"]
    assert figures["codes"]["ndcg"] != figures["reranked"]["ndcg"]


def test_retraining_chooses_by_its_candidate_and_publishes_the_vectors(
    run: Path, tmp_path: Path
) -> None:
    settings = JobConfig(
        data=DataConfig(source=str(run.parent / "clicks.csv")),
        model=NARROW,
        k=10,
        rerank="auto",
        device="cpu",
    )
    report = retrain(settings, tmp_path / "store", 0.1, QuietProgress(), lambda _: None)
    published, figures = Store(tmp_path / "store").open(), report.metrics["validation"]
    assert published.manifest.rerank is not None
    assert report.rerank is not None
    assert published.manifest.rerank.dim == report.rerank["dim"]
    assert report.rerank["reranked"] == pytest.approx(figures["reranked"]["ndcg"])
    assert published.manifest.metrics["validation/ndcg@10"] == figures["reranked"]["ndcg"]
