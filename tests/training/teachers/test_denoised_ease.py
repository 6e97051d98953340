from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import sparse

from hashrec.training.progress import QuietProgress
from hashrec.training.teachers.denoised_ease import DenoisedEase
from tests.training.pairs import interactions_of, random_interactions

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
    model = DenoisedEase(**options)
    B = model.item_weights(train.matrix(), CPU).numpy()
    expected, _, _ = weights_by_inversion(model, train.matrix().toarray().astype(float))
    assert (B.diagonal() == 0).all()
    np.testing.assert_allclose(B, expected, atol=1e-5)


def test_no_change_of_a_weight_off_the_diagonal_lowers_the_penalised_error(train):
    model = DenoisedEase()
    X = train.matrix().toarray().astype(float)
    B = model.item_weights(train.matrix(), CPU).numpy().astype(float)
    _, G, penalty = weights_by_inversion(model, X)
    gradient = (G + np.diag(penalty)) @ B - G  # half of that of |X_w - X_w B|^2 + tr(B^T Lambda B)
    np.fill_diagonal(gradient, 0)
    assert np.abs(gradient).max() < 1e-4 * np.abs(G).max()


def test_factors_of_full_rank_are_the_standardised_scores(train):
    model = DenoisedEase(rank=12)
    embeddings = fit(model, train)
    expected = scores_by_inversion(model, train.matrix().toarray().astype(float))
    np.testing.assert_allclose(embeddings.scores(np.arange(30)), expected, atol=1e-4)


def test_factors_are_the_best_of_their_rank(train):
    model = DenoisedEase(rank=3)
    embeddings = fit(model, train)
    left, singular, right = np.linalg.svd(
        scores_by_inversion(model, train.matrix().toarray().astype(float))
    )
    best = (left[:, :3] * singular[:3]) @ right[:3]
    np.testing.assert_allclose(embeddings.scores(np.arange(30)), best, atol=1e-3)


def test_blocks_of_users_and_of_items_change_nothing(train, monkeypatch):
    whole = fit(DenoisedEase(rank=12), train).scores(np.arange(30))
    monkeypatch.setattr("hashrec.training.numerics.factorization._BLOCK", 12 * 7)
    monkeypatch.setattr("hashrec.training.numerics.item_weights._BLOCK", 12 * 5)
    monkeypatch.setattr("hashrec.training.numerics.item_weights._TILE", 5)
    np.testing.assert_allclose(
        fit(DenoisedEase(rank=12), train).scores(np.arange(30)), whole, atol=1e-4
    )


def test_item_that_nobody_has_and_a_single_pair_are_no_obstacle():
    for pairs in ([(0, 0), (1, 0), (1, 1)], [(0, 0)]):
        embeddings = fit(DenoisedEase(), interactions_of(pairs, 3, 4))
        assert np.isfinite(embeddings.scores(np.arange(3))).all()


def test_scores_without_denoising_are_the_standardised_scores_themselves(train):
    scorer = fit(DenoisedEase(rank=None), train)
    expected = scores_by_inversion(DenoisedEase(), train.matrix().toarray().astype(float))
    np.testing.assert_allclose(scorer.scores(np.arange(30)), expected, atol=1e-4)


def test_new_user_is_standardised_and_projected_on_the_same_basis(train):
    model = DenoisedEase(rank=3)
    embeddings = fit(model, train)
    X = train.matrix().toarray().astype(float)
    history = np.zeros((1, 12))
    history[0, [2, 5, 7]] = 1
    S = np.maximum(history @ weights_by_inversion(model, X)[0], 0) ** model.score_exponent
    Z = (S - S.mean()) / S.std()
    right = np.linalg.svd(scores_by_inversion(model, X))[2][:3]
    folded = embeddings.fold_in(sparse.csr_matrix(history, dtype=np.float32))
    np.testing.assert_allclose(folded, Z @ right.T @ right, atol=1e-3)
