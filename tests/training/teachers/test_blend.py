from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import sparse

from hashrec.index.errors import ConfigError
from hashrec.training.progress import QuietProgress
from hashrec.training.teachers.blend import BLENDABLE, Blend, BlendScores, standardised
from hashrec.training.teachers.ease import Ease
from hashrec.training.teachers.graph_filter import GraphFilter
from hashrec.training.teachers.popularity import PopularityScores
from tests.training.pairs import random_interactions

CPU = torch.device("cpu")
USERS = np.arange(30)


@pytest.fixture
def train():
    return random_interactions(30, 12, 0.3, seed=4)


def fit(teacher, train, progress=None):
    return teacher.fit(train, seed=0, device=CPU, progress=progress or QuietProgress())


def same_for_everyone(*scores):
    """Return a part that gives both of its users these scores."""
    return PopularityScores(np.ones((2, 1), np.float32), np.array([scores], np.float32).T)


def test_scores_are_the_weighted_sum_of_standardised_ones_by_hand():
    """[0, 0, 2, 2] becomes [-1, -1, 1, 1], and [9, 1, 9, 1] becomes [1, -1, 1, -1]."""
    parts = (same_for_everyone(0, 0, 2, 2), same_for_everyone(9, 1, 9, 1))
    blend = BlendScores((1.0, 0.5), parts)
    assert (blend.n_users, blend.n_items) == (2, 4)
    assert blend.scores(np.array([1])).tolist() == [[-0.5, -1.5, 1.5, 0.5]]
    new = sparse.csr_matrix((3, 4), dtype=np.float32)
    assert blend.fold_in(new).tolist() == [[-0.5, -1.5, 1.5, 0.5]] * 3


def test_rows_are_standardised_one_by_one():
    rows = np.array([[1, 3, 1, 3], [500, 100, 500, 100]], dtype=np.float32)
    assert standardised(rows).tolist() == [[-1, 1, -1, 1], [1, -1, 1, -1]]


def test_row_of_equal_scores_has_no_say_whatever_rounding_does_to_its_mean():
    rows = np.full((1, 12_345), 0.1, dtype=np.float32)
    assert rows[0, 0] != rows.mean(), "the mean is rounded, or this test shows nothing"
    assert not standardised(rows).any()


def test_parts_are_fitted_with_their_own_settings(train):
    blend = Blend(
        weights={"ease": 2.0, "graph-filter": 0.3},
        settings={"ease": {"regularization": 5.0}, "graph-filter": {"rank": 3}},
    )
    ease = fit(Ease(regularization=5.0), train).scores(USERS)
    graph = fit(GraphFilter(rank=3), train).scores(USERS)
    expected = 2 * standardised(ease) + 0.3 * standardised(graph)
    np.testing.assert_allclose(fit(blend, train).scores(USERS), expected, rtol=1e-5, atol=1e-6)


def test_blend_of_one_ranks_as_that_one(train):
    alone = fit(GraphFilter(), train).scores(USERS)
    blended = fit(Blend(weights={"graph-filter": 7.0}), train).scores(USERS)
    np.testing.assert_allclose(blended, 7 * standardised(alone), rtol=1e-5, atol=1e-6)


def test_order_in_which_parts_are_named_changes_nothing(train):
    one = Blend(weights={"ials": 0.5, "ease": 1.0, "graph-filter": 0.7})
    other = Blend(weights={"graph-filter": 0.7, "ease": 1.0, "ials": 0.5})
    assert np.array_equal(fit(one, train).scores(USERS), fit(other, train).scores(USERS))


def test_settings_are_dumped_with_the_parts_defaults_and_make_the_same_blend_again():
    blend = Blend(weights={"ials": 1.0, "ease": 2.0}, settings={"ials": {"factors": 8}})
    dump = blend.model_dump()
    assert dump["settings"]["ials"]["factors"] == 8
    assert dump["settings"]["ease"] == Ease().model_dump()
    assert Blend(**dump) == blend


def test_catalogue_too_large_for_one_part_is_refused_before_another_is_fitted(train):
    blend = Blend(weights={"ials": 1.0, "ease": 1.0}, settings={"ease": {"max_items": 11}})
    progress = QuietProgress()
    with pytest.raises(ConfigError) as alone:
        fit(Ease(max_items=11), train)
    with pytest.raises(ConfigError) as error:
        fit(blend, train, progress)
    assert str(error.value) == str(alone.value)
    assert not progress.history


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"weights": {"gcn-cf": 1.0, "ease": 1.0}}, ["cannot blend 'gcn-cf'", *BLENDABLE]),
        ({"weights": {}}, ["no weights", *BLENDABLE]),
        ({"weights": {"ease": 0.0}}, ["weights.ease", "greater than 0"]),
        ({"weights": {"ease": 1.0}, "settings": {"ials": {}}}, ["'ials'", "no weight", "ease"]),
        ({"settings": {"ials": {"depth": 3}}}, ["Ials: no setting 'depth'", "factors"]),
        ({"settings": {"ials": {"factors": 0}}}, ["Ials: factors", "greater than 0"]),
    ],
)
def test_wrong_setting_is_named_in_one_line_when_the_blend_is_made(options, words):
    with pytest.raises(ConfigError) as error:
        Blend(**options)
    assert "\n" not in str(error.value)
    assert all(word in str(error.value) for word in words)
