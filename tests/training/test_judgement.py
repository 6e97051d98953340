from __future__ import annotations

import numpy as np
import pytest

from hashrec.index.arrays.seen import SeenItems
from hashrec.index.ranking.recommender import Recommender
from hashrec.training.judging.evaluation import (
    evaluate_codes,
    evaluate_hash_codes,
    evaluate_popularity,
    evaluate_scores,
)
from hashrec.training.judging.judgement import judge_lists, self_information
from hashrec.training.numerics.embeddings import Embeddings
from tests.index.small_models import in_memory, model_of
from tests.training.pairs import random_interactions

NAMES = ("recall", "map", "ndcg", "coverage", "precision", "hit_rate", "mrr", "novelty")


def lists_of(*lists: list[int]) -> SeenItems:
    owners = np.repeat(np.arange(len(lists)), [len(rows) for rows in lists])
    return SeenItems.build(owners, np.array([row for rows in lists for row in rows]), len(lists))


def test_information_is_in_bits_and_an_item_of_nobody_counts_as_one_of_a_single_user():
    """Of four users all have i0, two i1, one i2 and nobody i3."""
    seen = lists_of([0, 1, 2], [0, 1], [0], [0])
    assert self_information(seen, 4).tolist() == [0, 1, 2, 2]


def test_lists_are_judged_by_hand_at_every_length_in_one_pass():
    """u0 has a hit at rank 2, u2 at ranks 1 and 3; nothing is held out of u1."""
    rankings = [np.array([3, 1, 0]), np.array([1, 2, 0])]
    relevant = lists_of([1], [], [0, 1])
    information = np.array([0.0, 1, 2, 3])
    judged = judge_lists(
        np.array([0, 2]), rankings, relevant, 1, lengths=(3, 2, 1), information=information
    )
    at_1 = judged.metrics()
    at_2, at_3 = at_1.at
    assert [metrics.k for metrics in (at_1, at_2, at_3)] == [1, 2, 3]
    assert {metrics.n_users for metrics in (at_1, at_2, at_3)} == {2}
    assert (at_1.recall, at_2.recall, at_3.recall) == (0.25, 0.75, 1)
    assert (at_1.precision, at_2.precision, at_3.precision) == (0.5, 0.5, 0.5)
    assert (at_1.hit_rate, at_2.hit_rate, at_3.hit_rate) == (0.5, 1, 1)
    assert (at_1.mrr, at_2.mrr, at_3.mrr) == (0.5, 0.75, 0.75)
    assert (at_1.map, at_2.map, at_3.map) == (0.5, 0.5, pytest.approx((1 / 2 + 5 / 6) / 2))
    assert (at_1.coverage, at_2.coverage, at_3.coverage) == (2 / 4, 3 / 4, 1)
    assert (at_1.novelty, at_2.novelty, at_3.novelty) == (2, 7 / 4, 7 / 6)


def test_a_report_has_the_figures_at_k_by_name_and_at_each_length_by_name_and_length():
    information = np.array([0.0, 1, 2, 3])
    judged = judge_lists(
        np.array([0]), [np.array([3, 1])], lists_of([1]), 2, lengths=(1,), information=information
    )
    figures = judged.metrics().figures()
    at_2 = {name: figures[name] for name in NAMES}
    assert list(figures) == [
        "k", "n_users", *NAMES, *(f"{name}@1" for name in NAMES), *(f"{name}@2" for name in NAMES),
    ]  # fmt: skip
    assert (figures["k"], figures["n_users"]) == (2, 1)
    assert (figures["mrr"], figures["novelty"], figures["precision"]) == (0.5, 2, 0.5)
    assert {name: figures[f"{name}@2"] for name in NAMES} == at_2
    assert (figures["mrr@1"], figures["novelty@1"], figures["coverage@1"]) == (0, 3, 1 / 4)


def test_of_no_user_every_figure_is_zero():
    found = judge_lists(
        np.array([], int), [], lists_of([]), 5, lengths=(2,), information=np.zeros(3)
    )
    figures = found.metrics().figures()
    assert figures.pop("k") == 5
    assert set(figures.values()) == {0}


def test_lists_judged_at_many_lengths_have_the_figures_of_each_length_alone():
    model, lengths = model_of(40, 30, 16, seed=1), (3, 10, 50)
    recommender = Recommender(in_memory(model))
    train = random_interactions(40, 30, 0.3, seed=2)
    held_out = random_interactions(40, 30, 0.2, seed=3)
    relevant = held_out.seen()
    scorer = Embeddings(
        np.random.default_rng(4).normal(size=(40, 8)).astype(np.float32),
        np.random.default_rng(5).normal(size=(30, 8)).astype(np.float32),
    )

    def of_codes(k: int, **options):
        return evaluate_codes(recommender, relevant, k, **options)

    def of_popularity(k: int, **options):
        return evaluate_popularity(recommender, relevant, k, **options)

    def of_hash_codes(k: int, **options):
        codes = (model.user_codes, model.item_codes)
        return evaluate_hash_codes(*codes, train, held_out, k, **options)

    def of_scores(k: int, **options):
        return evaluate_scores(scorer, train, relevant, k, **options)

    for evaluate in (of_codes, of_popularity, of_hash_codes, of_scores):
        figures = evaluate(5, lengths=lengths).figures()
        for k in (5, *lengths):
            alone = evaluate(k)
            assert not alone.at
            for name in NAMES:
                assert figures[f"{name}@{k}"] == pytest.approx(getattr(alone, name)), name
