from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashrec.training.judging.metrics import user_metrics


def rows(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.int64)


def test_a_list_judged_by_hand() -> None:
    judged = user_metrics(rows(4, 7, 1, 9), rows(1, 4, 5), k=4)
    assert judged.recall == pytest.approx(2 / 3)
    assert judged.map == pytest.approx((1 / 1 + 2 / 3) / 3)
    best = 1 + 1 / math.log2(3) + 1 / math.log2(4)
    assert judged.ndcg == pytest.approx((1 + 1 / math.log2(4)) / best)


def test_a_perfect_list_scores_one_although_more_was_held_out_than_fits() -> None:
    judged = user_metrics(rows(0, 1), rows(0, 1, 2, 3), k=2)
    assert judged.map == judged.ndcg == 1
    assert judged.recall == 0.5


def test_only_the_first_k_places_count() -> None:
    assert user_metrics(rows(8, 9, 3), rows(3), k=2).recall == 0


def test_an_empty_list_scores_zero() -> None:
    judged = user_metrics(rows(), rows(3), k=10)
    assert (judged.recall, judged.map, judged.ndcg) == (0, 0, 0)


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
    for name in ("recall", "map", "ndcg"):
        assert 0 <= getattr(before, name) <= getattr(after, name) + 1e-12 <= 1 + 1e-9


def test_figures_agree_with_ranx(monkeypatch: pytest.MonkeyPatch) -> None:
    # ranx compiles with numba, which takes a minute; the same functions also run uncompiled.
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")
    from ranx import Qrels, Run, evaluate

    k, n_items = 20, 200
    random = np.random.default_rng(5)
    qrels: dict[str, dict[str, int]] = {}
    run: dict[str, dict[str, float]] = {}
    ours = []
    for user in range(40):
        relevant = np.sort(random.choice(n_items, random.integers(1, 60), replace=False))
        ranked = random.permutation(n_items)[:k]
        qrels[f"u{user}"] = {f"i{row}": 1 for row in relevant}
        run[f"u{user}"] = {f"i{row}": float(k - place) for place, row in enumerate(ranked)}
        judged = user_metrics(ranked, relevant, k)
        # ranx divides by the number of held-out items, we by min(k, that number)
        map_as_ranx = judged.map * min(k, len(relevant)) / len(relevant)
        ours.append((judged.recall, map_as_ranx, judged.ndcg))
    theirs = evaluate(Qrels(qrels), Run(run), [f"recall@{k}", f"map@{k}", f"ndcg@{k}"])
    expected = [theirs[f"{name}@{k}"] for name in ("recall", "map", "ndcg")]
    assert np.mean(ours, axis=0) == pytest.approx(expected)
