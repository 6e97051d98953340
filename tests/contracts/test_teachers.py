"""What every teacher promises, whatever it is made of."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from index.errors import ConfigError, EmptyDataError
from tests.training.pairs import interactions_of
from training.data.interactions import Interactions
from training.data.synthetic import synthetic_catalogue
from training.progress import QuietProgress
from training.teachers import TEACHERS

CPU = torch.device("cpu")


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Tensors this small lose more to waiting threads than they win."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def train() -> Interactions:
    return synthetic_catalogue(n_users=150, n_items=90, n_interactions=3_000, seed=1).interactions


@pytest.fixture(scope="module", params=sorted(TEACHERS))
def teacher(request):
    return TEACHERS[request.param](**QUICK.get(request.param, {}))


# Settings that make the defaults quick enough for a test; a teacher without a line runs as it is.
QUICK = {"gcn-cf": {"factor_dim": 8, "epochs": 6, "batches_per_epoch": 8}}


def fit(teacher, train, seed=0):
    progress = QuietProgress()
    return teacher.fit(train, seed=seed, device=CPU, progress=progress), progress


def test_every_user_and_item_row_gets_finite_factors_of_one_width(teacher, train):
    embeddings, _ = fit(teacher, train)
    assert embeddings.users.shape == (train.n_users, embeddings.dim)
    assert embeddings.items.shape == (train.n_items, embeddings.dim)
    assert np.isfinite(embeddings.users).all()
    assert np.isfinite(embeddings.items).all()


def test_items_a_user_has_score_above_items_it_has_not(teacher, train):
    embeddings, _ = fit(teacher, train)
    scores = embeddings.scores(np.arange(train.n_users))
    has = train.matrix().toarray() > 0
    above = [
        (scores[user, has[user]].mean() > scores[user, ~has[user]].mean())
        for user in range(train.n_users)
    ]
    assert np.mean(above) > 0.9


def test_same_seed_gives_the_same_factors_bit_for_bit(teacher, train):
    first, _ = fit(teacher, train)
    torch.rand(7)  # whatever else draws from the global generator
    second, _ = fit(teacher, train)
    assert np.array_equal(first.users, second.users)
    assert np.array_equal(first.items, second.items)


def test_user_without_an_interaction_is_no_obstacle(teacher, train):
    without = train.where(train.user_rows != 5)
    embeddings, _ = fit(teacher, without)
    assert embeddings.users.shape[0] == train.n_users


def test_empty_data_is_refused_in_words(teacher):
    with pytest.raises(EmptyDataError):
        fit(teacher, interactions_of([], 3, 3))


def test_progress_holds_a_loss_curve(teacher, train):
    _, progress = fit(teacher, train)
    for curves in progress.history.values():
        assert all(np.isfinite(curves["loss"]))


def test_settings_cannot_be_changed_after_the_fact(teacher):
    before = teacher.model_dump()
    with pytest.raises(Exception, match="frozen"):
        setattr(teacher, next(iter(before)), 1)
    assert teacher.model_dump() == before


@pytest.mark.parametrize("name", sorted(TEACHERS))
def test_unknown_setting_is_named_in_one_line_with_those_there_are(name):
    with pytest.raises(ConfigError, match="no setting 'nonsense'") as error:
        TEACHERS[name](nonsense=1)
    assert "\n" not in str(error.value)
    assert all(setting in str(error.value) for setting in TEACHERS[name].model_fields)
