from __future__ import annotations

import numpy as np
import pytest

from hashrec.index.errors import ConfigError
from hashrec.training.numerics.embeddings import Embeddings


def test_scores_are_inner_products_with_every_item():
    embeddings = Embeddings(
        users=np.array([[1, 2], [0, 1]], np.float32),
        items=np.array([[1, 0], [3, 1], [0, -1]], np.float32),
    )
    scores = embeddings.scores(np.array([1, 0]))
    assert scores.dtype == np.float32
    assert scores.tolist() == [[0, 1, -1], [1, 5, -2]]


@pytest.mark.parametrize(
    ("users", "items", "reason"),
    [
        (np.ones((2, 3)), np.ones((2, 3), np.float32), "users must be a 2-d float32 .* float64"),
        (np.ones((2, 3), np.float32), np.ones(3, np.float32), "items must be .* got 1-d"),
        (
            np.ones((2, 3), np.float32),
            np.ones((2, 4), np.float32),
            "users have width 3, factors of items width 4",
        ),
        (np.full((2, 3), np.nan, np.float32), np.ones((2, 3), np.float32), "users hold NaN"),
    ],
)
def test_factors_that_cannot_be_are_refused(users, items, reason):
    with pytest.raises(ConfigError, match=reason):
        Embeddings(users, items)
