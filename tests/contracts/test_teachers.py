"""What every teacher promises, whatever it is made of."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import sparse
from scipy.stats import spearmanr

from hashrec.index.errors import ConfigError, EmptyDataError
from hashrec.training.data.interactions import Interactions
from hashrec.training.data.synthetic import synthetic_catalogue
from hashrec.training.numerics.device import resolve_device
from hashrec.training.numerics.factorization import factors_of
from hashrec.training.numerics.scorer import FoldInScorer, LinearScorer
from hashrec.training.progress import QuietProgress
from hashrec.training.teachers import TEACHERS
from hashrec.training.teachers.gcn_cf import GcnCf
from hashrec.training.teachers.lightgcn import LightGcn
from hashrec.training.teachers.popularity import Popularity
from hashrec.training.teachers.spectralcf import SpectralCf
from tests.training.pairs import interactions_of

pytestmark = pytest.mark.usefixtures("one_thread")

WITHOUT_FOLD_IN = {
    GcnCf,  # a new node has no weights in its cross operations
    LightGcn,  # a new node has no embedding of layer 0
    SpectralCf,  # nor has it here
}
DEVICE = resolve_device("auto")  # what a job takes on this machine


@pytest.fixture(scope="module")
def train() -> Interactions:
    return synthetic_catalogue(n_users=150, n_items=90, n_interactions=3_000, seed=1).interactions


@pytest.fixture(scope="module", params=sorted(TEACHERS))
def teacher(request):
    return TEACHERS[request.param](**QUICK.get(request.param, {}))


# Settings that make the defaults quick enough for a test; a teacher without a line runs as it is.
QUICK = {
    "gc-mc": {"hidden_dim": 32, "factor_dim": 16, "epochs": 15, "batches_per_epoch": 4},
    "gcn-cf": {"factor_dim": 8, "epochs": 6, "batches_per_epoch": 8},
    "lightgcn": {"factor_dim": 16, "epochs": 6, "batches_per_epoch": 8, "learning_rate": 0.05},
    "pinsage": {"factor_dim": 16, "walks": 20, "epochs": 5, "batch_size": 256},
    "spectralcf": {"factor_dim": 8, "epochs": 20, "batches_per_epoch": 8},
}


def fit(teacher, train, seed=0):
    progress = QuietProgress()
    return teacher.fit(train, seed=seed, device=DEVICE, progress=progress), progress


@pytest.fixture(scope="module")
def fitted(teacher, train):
    """One fit of each teacher, and its progress, for all that only ask it for scores."""
    return fit(teacher, train)


def all_scores(scorer):
    return scorer.scores(np.arange(scorer.n_users))


def histories_of(train):
    X = train.matrix()
    X.data[:] = 1
    return X


def test_every_user_scores_every_item_with_a_finite_float32(teacher, fitted, train):
    scorer, _ = fitted
    scores = scorer.scores(np.array([3, 140, 3]))
    assert (scorer.n_users, scorer.n_items) == (train.n_users, train.n_items)
    assert scores.shape == (3, train.n_items)
    assert scores.dtype == np.float32
    assert np.isfinite(scores).all()
    assert np.array_equal(scores[0], scores[2])
    assert isinstance(teacher, Popularity) or not np.array_equal(scores[0], scores[1])


def test_scores_are_the_callers_to_change(teacher, train):
    scorer, _ = fit(teacher, train)
    before = all_scores(scorer)
    scorer.scores(np.arange(5))[:] = np.nan
    assert np.array_equal(all_scores(scorer), before)


def test_how_many_users_are_asked_for_at_once_changes_no_score(teacher, fitted, train):
    scorer, _ = fitted
    by_one = np.concatenate([scorer.scores(np.array([user])) for user in range(train.n_users)])
    np.testing.assert_allclose(by_one, all_scores(scorer), rtol=1e-4, atol=1e-5)


def test_any_teacher_has_factors_for_models_that_learn_from_them(fitted, train):
    scorer, _ = fitted
    factors = factors_of(scorer, 90, seed=0, device=DEVICE, progress=QuietProgress())
    assert (len(factors.users), len(factors.items)) == (train.n_users, train.n_items)
    scores = all_scores(scorer)
    error = np.linalg.norm(all_scores(factors) - scores) / np.linalg.norm(scores)
    assert error < 1e-3


def test_known_user_folded_in_from_the_same_history_scores_the_same(teacher, fitted, train):
    scorer, _ = fitted
    if not isinstance(scorer, FoldInScorer):
        assert type(teacher) in WITHOUT_FOLD_IN
        return
    folded = scorer.fold_in(histories_of(train))
    assert folded.dtype == np.float32
    scores = all_scores(scorer)
    np.testing.assert_allclose(folded, scores, rtol=1e-3, atol=1e-4 * np.abs(scores).max())


def test_new_user_is_scored_by_what_they_have_and_leaves_the_known_as_they_are(
    teacher, fitted, train
):
    scorer, _ = fitted
    if not isinstance(scorer, FoldInScorer):
        assert type(teacher) in WITHOUT_FOLD_IN
        return
    before = all_scores(scorer)
    new = sparse.csr_matrix((np.ones(3, np.float32), ([0, 0, 2], [4, 31, 0])), (3, train.n_items))
    folded = scorer.fold_in(new)
    assert folded.shape == (3, train.n_items)
    assert np.isfinite(folded).all(), "also of a user who has nothing"
    assert np.array_equal(all_scores(scorer), before)
    np.testing.assert_allclose(scorer.fold_in(new[2]), folded[2:], rtol=1e-4, atol=1e-5)


def test_weights_of_items_add_up_to_about_the_ranking_of_a_new_user(teacher, fitted, train):
    scorer, _ = fitted
    if not isinstance(scorer, LinearScorer):
        assert type(teacher) in WITHOUT_FOLD_IN
        return
    weights = scorer.item_weights(np.arange(train.n_items))
    assert weights.shape == (train.n_items, train.n_items)
    assert weights.dtype == np.float32
    some = scorer.item_weights(np.array([7, 3]))
    np.testing.assert_allclose(some, weights[[7, 3]], rtol=1e-4, atol=1e-6)
    histories = histories_of(train)
    added, folded = histories @ weights, scorer.fold_in(histories)
    correlation = [spearmanr(*pair).statistic for pair in zip(added, folded, strict=True)]
    assert np.median(correlation) > 0.8
    some[:] = np.nan
    assert np.isfinite(scorer.item_weights(np.array([7]))).all()


def test_items_a_user_has_score_above_items_it_has_not(fitted, train):
    scorer, _ = fitted
    scores = all_scores(scorer)
    has = train.matrix().toarray() > 0
    above = [
        (scores[user, has[user]].mean() > scores[user, ~has[user]].mean())
        for user in range(train.n_users)
    ]
    assert np.mean(above) > 0.9


def test_same_seed_gives_the_same_scores_bit_for_bit(teacher, fitted, train):
    torch.rand(7)  # whatever else draws from the global generator
    again, _ = fit(teacher, train)
    assert np.array_equal(all_scores(fitted[0]), all_scores(again))


def test_user_without_an_interaction_is_no_obstacle(teacher, train):
    without = train.where(train.user_rows != 5)
    scorer, _ = fit(teacher, without)
    assert np.isfinite(all_scores(scorer)).all()


def test_empty_data_is_refused_in_words(teacher):
    with pytest.raises(EmptyDataError):
        fit(teacher, interactions_of([], 3, 3))


def test_progress_holds_a_loss_curve(fitted):
    _, progress = fitted
    for curves in progress.history.values():
        assert all(np.isfinite(curves["loss"]))


def test_settings_cannot_be_changed_after_the_fact(teacher):
    before = teacher.model_dump()
    with pytest.raises(Exception, match="frozen"):
        setattr(teacher, next(iter(before), "anything"), 1)
    assert teacher.model_dump() == before


@pytest.mark.parametrize("name", sorted(TEACHERS))
def test_unknown_setting_is_named_in_one_line_with_those_there_are(name):
    with pytest.raises(ConfigError, match="no setting 'nonsense'") as error:
        TEACHERS[name](nonsense=1)
    assert "\n" not in str(error.value)
    assert all(setting in str(error.value) for setting in TEACHERS[name].model_fields)
