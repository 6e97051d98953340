from __future__ import annotations

import numpy as np
import pytest
import torch

from hashrec.index.errors import ConfigError
from hashrec.training.progress import QuietProgress
from hashrec.training.teachers.ease import Ease
from tests.training.pairs import interactions_of, random_interactions

CPU = torch.device("cpu")


@pytest.fixture
def train():
    return random_interactions(30, 12, 0.3, seed=4)


def fit(model, train):
    return model.fit(train, seed=0, device=CPU, progress=QuietProgress())


def test_scores_are_those_of_the_closed_form(train):
    X = train.matrix().toarray().astype(float)
    P = np.linalg.inv(X.T @ X + 3 * np.eye(12))
    scores = fit(Ease(regularization=3), train).scores(np.array([4, 0]))
    np.testing.assert_allclose(scores, X[[4, 0]] @ (np.eye(12) - P / P.diagonal()), atol=1e-5)


def test_an_item_has_no_say_in_its_own_score(train):
    weights = fit(Ease(regularization=3), train).B.numpy()
    assert (weights.diagonal() == 0).all()
    assert (weights != 0).sum() == 12 * 11


def test_no_change_of_a_weight_off_the_diagonal_lowers_the_penalised_error(train):
    X = train.matrix().toarray().astype(float)
    B = fit(Ease(regularization=3), train).B.numpy().astype(float)
    G = X.T @ X
    gradient = (G + 3 * np.eye(12)) @ B - G  # half of that of |X - X B|^2 + 3 |B|^2
    np.fill_diagonal(gradient, 0)
    assert np.abs(gradient).max() < 1e-4 * np.abs(G).max()


def test_catalogue_too_large_to_invert_is_refused_with_what_to_choose(train):
    with pytest.raises(ConfigError, match=r"12 items need .* GB .*--teacher graph-filter") as error:
        fit(Ease(max_items=11), train)
    assert "\n" not in str(error.value)


def test_matrix_that_float32_cannot_invert_is_refused_with_what_to_raise():
    alike = interactions_of([(user, item) for user in range(40) for item in range(6)], 40, 6)
    with pytest.raises(ConfigError, match="raise regularization"):
        fit(Ease(regularization=1e-12), alike)
