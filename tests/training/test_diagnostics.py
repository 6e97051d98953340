"""What codes do, counted by hand."""

from __future__ import annotations

import math
from dataclasses import asdict, replace

import numpy as np
import pytest

from hashrec.index.arrays.codes import BinaryCodes
from hashrec.index.arrays.seen import SeenItems
from hashrec.index.ranking.bulk import rank_users
from hashrec.index.ranking.recommender import Recommender
from hashrec.training.judging import bits, diagnostics
from hashrec.training.judging.bits import bit_use
from hashrec.training.judging.diagnostics import (
    by_activity,
    by_popularity,
    diagnose,
    gini,
    ties_at_k,
)
from hashrec.training.judging.evaluation import evaluate_codes, judge_codes
from hashrec.training.judging.judgement import Judgement
from tests.index.small_models import in_memory, model_of


def codes_of(*columns: list[int]) -> BinaryCodes:
    """Make 8-bit codes whose first bits are the columns; the others are +1 everywhere."""
    signs = np.ones((len(columns[0]), 8), dtype=np.int8)
    signs[:, : len(columns)] = np.array(columns).T
    return BinaryCodes.from_signs(signs)


def seen_of(lists: list[list[int]]) -> SeenItems:
    pairs = [(user, item) for user, items in enumerate(lists) for item in items]
    owners, items = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    return SeenItems.build(owners, items, len(lists))


def test_imbalance_is_the_distance_of_a_bits_mean_from_zero():
    use = bit_use(codes_of([1, 1, -1, -1], [1, -1, -1, -1]))  # means 0 and -1/2, then six of 1
    assert use.mean_imbalance == (0 + 0.5 + 6 * 1) / 8
    assert (use.worst_bit, use.worst_imbalance, use.constant_bits) == (2, 1, 6)


def test_correlation_is_taken_over_pairs_of_bits_that_vary():
    # Bits 0 and 1 are opposites; bit 2 agrees with bit 0 on half of the codes.
    use = bit_use(codes_of([1, 1, -1, -1], [-1, -1, 1, 1], [1, -1, 1, -1]))
    assert use.max_correlation == pytest.approx(1)
    assert use.mean_correlation == pytest.approx(1 / 3)


def test_effective_rank_counts_independent_bits():
    independent = ([1, 1, -1, -1], [1, -1, 1, -1])
    assert bit_use(codes_of(*independent)).effective_rank == pytest.approx(2)
    # Three copies of one bit and one that is independent: eigenvalues 3 and 1, shares 3/4 and 1/4.
    use = bit_use(codes_of(*[independent[0]] * 3, independent[1]))
    entropy = -(3 / 4 * math.log(3 / 4) + 1 / 4 * math.log(1 / 4))
    assert use.effective_rank == pytest.approx(math.exp(entropy))


def test_codes_that_are_all_the_same_span_nothing():
    use = bit_use(codes_of([1, 1, 1]))
    assert (use.n_codes, use.n_distinct, use.constant_bits) == (3, 1, 8)
    assert (use.effective_rank, use.mean_correlation, use.max_correlation) == (0, 0, 0)


def test_a_code_counts_once_however_many_have_it():
    assert bit_use(codes_of([1, 1, -1, -1, 1], [1, 1, 1, 1, -1])).n_distinct == 3


def test_blocks_change_no_figure(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch):
    codes = BinaryCodes(rng.integers(0, 256, (301, 3), dtype=np.uint8))
    items = BinaryCodes(rng.integers(0, 256, (40, 3), dtype=np.uint8))
    seen, users = seen_of([[user % 40] for user in range(301)]), np.arange(301)
    whole = bit_use(codes), ties_at_k(codes, items, seen, users, 5)
    for module in (bits, diagnostics):
        monkeypatch.setattr(module, "_BLOCK", 24 * 7)
    assert (bit_use(codes), ties_at_k(codes, items, seen, users, 5)) == whole


def test_statistics_agree_with_numpy(rng: np.random.Generator):
    codes = BinaryCodes(rng.integers(0, 256, (50, 2), dtype=np.uint8))
    use, signs = bit_use(codes), codes.to_signs().astype(float)
    correlation = np.abs(np.corrcoef(signs.T))[np.triu_indices(16, 1)]
    assert use.mean_correlation == pytest.approx(correlation.mean())
    assert use.max_correlation == pytest.approx(correlation.max())
    assert use.mean_imbalance == pytest.approx(np.abs(signs.mean(axis=0)).mean())


# A user of all +1 and items at distances 0, 1, 1, 1, 2 from it.
USER = codes_of([1])
ITEMS = codes_of([1, -1, 1, 1, -1], [1, 1, -1, 1, -1], [1, 1, 1, -1, 1])


@pytest.mark.parametrize(
    ("seen", "k", "distance", "size", "cut"),
    [
        ([], 1, 0, 1, 0),
        ([], 2, 1, 3, 1),
        ([], 4, 1, 3, 0),  # all three are in the list: nothing is cut
        ([], 9, 2, 1, 0),  # the list is the whole catalogue
        ([1], 2, 1, 2, 1),  # what the user has seen is not there to be tied
        ([0, 4], 3, 1, 3, 0),
    ],
)
def test_a_list_ends_among_the_items_at_its_last_distance(
    seen: list[int], k: int, distance: int, size: int, cut: int
):
    found = ties_at_k(USER, ITEMS, seen_of([seen]), np.array([0]), k)
    assert asdict(found) == {
        "n_users": 1, "mean_distance": distance, "mean_size": size, "cut_share": cut,
    }  # fmt: skip


def test_ties_are_averaged_over_users_with_something_left_to_show():
    users = codes_of([1, 1, 1])
    seen = seen_of([[], [1], [0, 1, 2, 3, 4]])
    found = ties_at_k(users, ITEMS, seen, np.array([0, 1, 2]), 2)
    assert (found.n_users, found.mean_distance, found.mean_size) == (2, 1, 2.5)
    assert ties_at_k(users, ITEMS, seen, np.array([2]), 2).n_users == 0


def test_users_fall_into_tenths_by_activity():
    activity = np.arange(20)[::-1]
    figures = np.column_stack([activity / 100, np.zeros(20), activity / 10])
    groups = by_activity(activity, figures)
    assert len(groups) == 10
    assert (groups[0].n_users, groups[0].least, groups[0].most) == (2, 0, 1)
    assert groups[0].recall == pytest.approx(0.005)
    assert groups[9].ndcg == pytest.approx(1.85)
    assert [group.n_users for group in by_activity(np.array([4, 2, 9]), figures[:3])] == [1, 1, 1]


def test_recall_of_items_is_the_share_of_their_held_out_pairs_that_are_listed():
    judged = Judgement(
        k=3,
        users=np.arange(4),
        figures=np.zeros((4, 3)),
        recommended=np.array([4, 4, 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
        found=np.array([3, 1, 1] + [0] * 17),
        information=np.zeros(20),
    )
    held_out = np.array([3, 2, 1, 1] + [0] * 16)
    groups = by_popularity(np.arange(40, 20, -1), held_out, judged)
    top, second, third = groups[9], groups[8], groups[7]
    assert (top.n_items, top.least, top.most, top.n_held_out) == (2, 39, 40, 5)
    assert (top.recall, top.share_of_lists) == (4 / 5, 8 / 12)
    assert (second.recall, second.share_of_lists) == (1 / 2, 3 / 12)
    assert (third.n_held_out, third.recall, third.share_of_lists) == (0, None, 1 / 12)
    assert sum(group.share_of_lists for group in groups) == pytest.approx(1)


@pytest.mark.parametrize(
    ("counts", "expected"),
    [([5, 5, 5, 5], 0), ([0, 0, 0, 4], 3 / 4), ([1, 3], 1 / 4), ([0, 0], 0), ([3, 2, 1], 2 / 9)],
)
def test_gini_says_how_unequal_counts_are(counts: list[int], expected: float):
    assert gini(np.array(counts)) == pytest.approx(expected)


def test_one_pass_over_the_lists_serves_metrics_and_diagnostics():
    model = model_of(n_users=60, n_items=45, n_bits=16, seed=2)
    recommender = Recommender(in_memory(model))
    relevant = seen_of([[user % 45, (user + 9) % 45] if user % 3 else [] for user in range(60)])
    judged = judge_codes(recommender, relevant, 10)
    found = diagnose(recommender, relevant, judged)
    metrics = evaluate_codes(recommender, relevant, 10)
    assert judged.metrics() == metrics
    assert judged.recommended.sum() == 40 * 10
    assert found.coverage == metrics.coverage
    for name in ("recall", "ndcg"):  # forty users are ten groups of four
        means = [getattr(group, name) for group in found.by_activity]
        assert np.mean(means) == pytest.approx(getattr(metrics, name))
    assert sum(group.n_held_out for group in found.by_popularity) == len(relevant.items)
    hits = sum((group.recall or 0) * group.n_held_out for group in found.by_popularity)
    # each user has two items held out, so that the users' mean is the pairs' share
    assert hits / len(relevant.items) == pytest.approx(metrics.recall)
    assert (found.users.n_codes, found.items.n_codes, found.ties.n_users) == (60, 45, 40)


def test_ties_are_those_of_the_lists_that_are_served():
    model = model_of(n_users=30, n_items=50, n_bits=8, seed=4)
    recommender = Recommender(
        in_memory(replace(model, seen=seen_of([[user] for user in range(30)])))
    )
    users = np.arange(30)
    whole = list(rank_users(recommender.artifact, users, 50))
    last = [ranking.hamming[9] for ranking in whole]
    found = ties_at_k(
        model.user_codes, model.item_codes, recommender.artifact.model.seen, users, 10
    )
    assert found.mean_distance == pytest.approx(np.mean(last))
    assert found.mean_size == pytest.approx(
        np.mean([(ranking.hamming == at).sum() for ranking, at in zip(whole, last, strict=True)])
    )
    assert found.cut_share == pytest.approx(
        np.mean([ranking.hamming[10] == at for ranking, at in zip(whole, last, strict=True)])
    )
