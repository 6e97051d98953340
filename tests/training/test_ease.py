from __future__ import annotations

import numpy as np
import pytest
import torch

from index.errors import ConfigError
from tests.training.pairs import interactions_of, random_interactions
from training.progress import QuietProgress
from training.teachers.ease import Ease

CPU = torch.device("cpu")


@pytest.fixture
def train():
    return random_interactions(30, 12, 0.3, seed=4)


def fit(model, train):
    return model.fit(train, seed=0, device=CPU, progress=QuietProgress())


def weights_by_inversion(model, X):
    """Return B by the formula of the paper, in float64."""
    d_users, d_items = X.sum(1), np.maximum(X.sum(0), 1)
    weighted = X * np.maximum(d_users, 1)[:, None] ** -model.user_exponent
    G = weighted.T @ weighted
    relative = (d_items / d_items.mean()) ** model.item_exponent
    P = np.linalg.inv(G + np.diag(model.regularization * G.diagonal().mean() * relative))
    B = np.eye(len(G)) - P / P.diagonal()
    return B, G, relative * model.regularization * G.diagonal().mean()


def scores_by_inversion(model, X):
    S = np.maximum(X @ weights_by_inversion(model, X)[0], 0) ** model.score_exponent
    return (S - S.mean(1, keepdims=True)) / S.std(1, keepdims=True)


@pytest.mark.parametrize("options", [{}, {"user_exponent": 0, "regularization": 0.1}])
def test_item_weights_are_the_closed_form_with_a_diagonal_of_zeros(train, options):
    model = Ease(**options)
    B = model.item_weights(train, CPU).numpy()
    expected, _, _ = weights_by_inversion(model, train.matrix().toarray().astype(float))
    assert (B.diagonal() == 0).all()
    np.testing.assert_allclose(B, expected, atol=1e-5)


def test_no_change_of_a_weight_off_the_diagonal_lowers_the_penalised_error(train):
    model = Ease()
    X = train.matrix().toarray().astype(float)
    B = model.item_weights(train, CPU).numpy().astype(float)
    _, G, penalty = weights_by_inversion(model, X)
    gradient = (G + np.diag(penalty)) @ B - G  # half of that of |X_w - X_w B|^2 + tr(B^T Lambda B)
    np.fill_diagonal(gradient, 0)
    assert np.abs(gradient).max() < 1e-4 * np.abs(G).max()


def test_factors_of_full_rank_are_the_standardised_scores(train):
    model = Ease(rank=12)
    embeddings = fit(model, train)
    expected = scores_by_inversion(model, train.matrix().toarray().astype(float))
    np.testing.assert_allclose(embeddings.scores(np.arange(30)), expected, atol=1e-4)


def test_factors_are_the_best_of_their_rank(train):
    model = Ease(rank=3)
    embeddings = fit(model, train)
    left, singular, right = np.linalg.svd(
        scores_by_inversion(model, train.matrix().toarray().astype(float))
    )
    best = (left[:, :3] * singular[:3]) @ right[:3]
    np.testing.assert_allclose(embeddings.scores(np.arange(30)), best, atol=1e-3)


def test_blocks_of_users_change_nothing(train, monkeypatch):
    whole = fit(Ease(rank=12), train).scores(np.arange(30))
    monkeypatch.setattr("training.teachers.ease._BLOCK", 12 * 7)
    np.testing.assert_allclose(fit(Ease(rank=12), train).scores(np.arange(30)), whole, atol=1e-4)


def test_item_that_nobody_has_and_a_single_pair_are_no_obstacle():
    for pairs in ([(0, 0), (1, 0), (1, 1)], [(0, 0)]):
        embeddings = fit(Ease(), interactions_of(pairs, 3, 4))
        assert np.isfinite(embeddings.scores(np.arange(3))).all()


def test_catalogue_too_large_to_invert_is_refused_with_what_to_choose(train):
    with pytest.raises(ConfigError, match=r"12 items need .* GB .*--teacher gcn-cf") as error:
        fit(Ease(max_items=11), train)
    assert "\n" not in str(error.value)


def test_matrix_that_float32_cannot_invert_is_refused_with_what_to_raise():
    alike = interactions_of([(user, item) for user in range(40) for item in range(6)], 40, 6)
    with pytest.raises(ConfigError, match="raise regularization"):
        fit(Ease(regularization=1e-12), alike)
