from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashrec.training.judging.metrics import metrics_of_hits, user_metrics


def rows(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.int64)


def test_a_list_judged_by_hand() -> None:
    judged = user_metrics(rows(4, 7, 1, 9), rows(1, 4, 5), k=4)
    assert judged.recall == pytest.approx(2 / 3)
    assert judged.map == pytest.approx((1 / 1 + 2 / 3) / 3)
    best = 1 + 1 / math.log2(3) + 1 / math.log2(4)
    assert judged.ndcg == pytest.approx((1 + 1 / math.log2(4)) / best)
    assert judged.precision == 2 / 4
    assert judged.hit_rate == 1
    assert judged.mrr == 1, "the first is a hit"


def test_the_reciprocal_rank_is_that_of_the_first_hit_within_the_list() -> None:
    ranked, relevant = rows(9, 8, 4, 1), rows(1, 4)
    assert user_metrics(ranked, relevant, k=4).mrr == 1 / 3
    assert user_metrics(ranked, relevant, k=3).hit_rate == 1
    judged = user_metrics(ranked, relevant, k=2)
    assert (judged.mrr, judged.hit_rate, judged.precision) == (0, 0, 0)


def test_precision_is_of_k_places_even_where_a_list_has_fewer() -> None:
    assert user_metrics(rows(4, 1), rows(1, 4, 5), k=10).precision == 2 / 10


def test_figures_by_the_places_of_the_hits_are_those_of_the_list() -> None:
    ranked, relevant = rows(6, 4, 7, 1, 9, 5), rows(1, 4, 5)
    for k in (1, 2, 3, 4, 6, 10):
        assert metrics_of_hits(rows(2, 4, 6), 3, k) == user_metrics(ranked, relevant, k)


def test_a_perfect_list_scores_one_although_more_was_held_out_than_fits() -> None:
    judged = user_metrics(rows(0, 1), rows(0, 1, 2, 3), k=2)
    assert judged.map == judged.ndcg == 1
    assert judged.recall == 0.5


def test_only_the_first_k_places_count() -> None:
    assert user_metrics(rows(8, 9, 3), rows(3), k=2).recall == 0


def test_an_empty_list_scores_zero() -> None:
    judged = user_metrics(rows(), rows(3), k=10)
    assert tuple(judged) == (0, 0, 0, 0, 0, 0)


@given(
    ranked=st.lists(st.integers(0, 60), unique=True, min_size=1, max_size=50),
    relevant=st.sets(st.integers(0, 60), min_size=1),
    k=st.integers(1, 60),
)
def test_a_hit_moved_up_never_lowers_a_figure(
    ranked: list[int], relevant: set[int], k: int
) -> None:
    held_out = rows(*sorted(relevant))
    before = user_metrics(rows(*ranked), held_out, k)
    hits_first = sorted(ranked, key=lambda row: row not in relevant)
    after = user_metrics(rows(*hits_first), held_out, k)
    for name in before._fields:
        assert 0 <= getattr(before, name) <= getattr(after, name) + 1e-12 <= 1 + 1e-9


def test_figures_agree_with_ranx(monkeypatch: pytest.MonkeyPatch) -> None:
    # ranx compiles with numba, which takes a minute; the same functions also run uncompiled.
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")
    from ranx import Qrels, Run, evaluate

    n_items, lengths = 200, (10, 20, 100)
    random = np.random.default_rng(5)
    qrels: dict[str, dict[str, int]] = {}
    run: dict[str, dict[str, float]] = {}
    ours: dict[str, list[float]] = {}
    for user in range(40):
        relevant = np.sort(random.choice(n_items, random.integers(1, 60), replace=False))
        ranked = random.permutation(n_items)[: max(lengths)]
        qrels[f"u{user}"] = {f"i{row}": 1 for row in relevant}
        run[f"u{user}"] = {f"i{row}": float(n_items - place) for place, row in enumerate(ranked)}
        for k in lengths:
            judged = user_metrics(ranked, relevant, k)._asdict()
            # ranx divides by the number of held-out items, we by min(k, that number)
            judged["map"] *= min(k, len(relevant)) / len(relevant)
            for name, figure in judged.items():
                ours.setdefault(f"{name}@{k}", []).append(figure)
    assert len(ours) == 6 * len(lengths)
    theirs = evaluate(Qrels(qrels), Run(run), list(ours))
    assert theirs == pytest.approx({name: np.mean(figures) for name, figures in ours.items()})
