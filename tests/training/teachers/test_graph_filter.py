from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import sparse

from hashrec.index.errors import ConfigError
from hashrec.training.progress import QuietProgress
from hashrec.training.teachers.graph_filter import GraphFilter, most_entries
from tests.training.pairs import interactions_of, random_interactions

CPU = torch.device("cpu")


@pytest.fixture
def train():
    return random_interactions(30, 12, 0.3, seed=4)


def fit(model, train):
    return model.fit(train, seed=0, device=CPU, progress=QuietProgress())


def filtered_densely(model, train):
    """Return X (S + w L) by the formula of the class, in float64."""
    X = train.matrix().toarray().astype(float)
    D_u = np.diag(np.maximum(X.sum(1), 1))
    D_i = np.diag(np.maximum(X.sum(0), 1))
    a, b = model.history_exponent, model.target_exponent
    power = lambda D, e: np.diag(D.diagonal() ** e)  # noqa: E731
    S = power(D_i, -a) @ X.T @ power(D_u, -1) @ X @ power(D_i, -b)
    V = np.linalg.svd(power(D_u, -0.5) @ X @ power(D_i, -0.5))[2][: model.rank].T
    L = power(D_i, -0.5) @ V @ V.T @ power(D_i, 0.5)
    return X @ (S + model.low_pass_weight * L)


@pytest.mark.parametrize(
    "options",
    [{"rank": 3}, {"rank": 500}, {"low_pass_weight": 0}, {"history_exponent": 0.2, "rank": 5}],
)
def test_scores_are_those_of_the_formula(train, options):
    model = GraphFilter(passes=12, **options)
    scores = fit(model, train).scores(np.arange(30))
    np.testing.assert_allclose(scores, filtered_densely(model, train), atol=1e-4)


def test_walk_of_two_steps_by_hand():
    """u0 has i0 and i1, u1 has i1 and i2: from i0 one walks over u0 alone, never to i2."""
    train = interactions_of([(0, 0), (0, 1), (1, 1), (1, 2)], 2, 3)
    model = GraphFilter(history_exponent=0, target_exponent=0, low_pass_weight=0)
    folded = fit(model, train).fold_in(sparse.csr_matrix([[1, 0, 0], [0, 1, 0]], dtype=np.float32))
    assert folded.tolist() == [[0.5, 0.5, 0], [0.5, 1, 0.5]]


@pytest.mark.parametrize("rows_at_once", [256, 7])
def test_filter_is_kept_sparse_where_the_data_are_and_dense_where_that_is_smaller(
    rows_at_once, monkeypatch
):
    monkeypatch.setattr("hashrec.training.teachers.graph_filter._SAMPLE", rows_at_once)
    apart = interactions_of([(user, user) for user in range(20)], 20, 20)
    together = interactions_of([(user, item) for user in range(20) for item in range(20)], 20, 20)
    for train, is_sparse in ((apart, True), (together, False)):
        model = GraphFilter(rank=20)
        scorer = fit(model, train)
        assert sparse.issparse(scorer.S) == is_sparse
        expected = filtered_densely(model, train)
        np.testing.assert_allclose(scorer.scores(np.arange(20)), expected, atol=1e-5)


def test_popular_items_are_held_back_by_the_target_exponent(train):
    popularity = train.popularity()
    histories = sparse.eye_array(12, dtype=np.float32).tocsr()
    mean_popularity = [
        fit(GraphFilter(target_exponent=b, low_pass_weight=0), train).fold_in(histories).sum(0)
        @ popularity
        / fit(GraphFilter(target_exponent=b, low_pass_weight=0), train).fold_in(histories).sum()
        for b in (0, 0.5, 1)
    ]
    assert mean_popularity[0] > mean_popularity[1] > mean_popularity[2]


def test_low_pass_smooths_as_much_on_small_data_as_on_large():
    """40 items are two lots of 32: two singular vectors are kept unless a rank is asked for."""
    train = random_interactions(50, 40, 0.2, seed=1)
    assert fit(GraphFilter(), train).A.shape == (40, 2)
    assert fit(GraphFilter(rank=7), train).A.shape == (40, 7)


def test_histories_too_long_for_the_items_matrix_are_refused_before_it_is_made():
    pairs = [(0, 0), (0, 1), (0, 2), (1, 2)]
    train = interactions_of(pairs, 2, 3)
    assert most_entries(train.matrix()) == 9  # three items squared; 3^2 + 1^2 = 10 is more
    fit(GraphFilter(max_entries=9), train)
    with pytest.raises(ConfigError, match=r"9 entries, more than max_entries = 8.*--teacher ials"):
        fit(GraphFilter(max_entries=8), train)
