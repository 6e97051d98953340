from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from scipy import sparse
from threadpoolctl import threadpool_info

from hashrec.training.progress import QuietProgress
from hashrec.training.teachers.ials import Ials
from tests.training.pairs import random_interactions

CPU = torch.device("cpu")


@pytest.fixture
def train():
    return random_interactions(30, 12, 0.3, seed=4)


def fit(model, train, seed=0):
    progress = QuietProgress()
    return model.fit(train, seed=seed, device=CPU, progress=progress), progress


def test_each_users_factors_are_the_closed_form_for_the_items(train):
    model = Ials(factors=4, iterations=3)
    found, _ = fit(model, train)
    Q = found.items.astype(float)
    for user, x in enumerate(train.matrix().toarray()):
        weights = np.where(x > 0, model.alpha, 1)
        left = Q.T @ (weights[:, None] * Q) + model.penalty(train.matrix()) * np.eye(4)
        np.testing.assert_allclose(
            found.users[user], np.linalg.solve(left, Q.T @ (weights * x)), rtol=1e-3, atol=1e-4
        )


def test_no_small_step_of_the_items_lowers_the_objective_of_a_model_that_has_settled(train):
    model = Ials(factors=3, iterations=400)
    found, _ = fit(model, train)
    P, Q, X = found.users.astype(float), found.items.astype(float), train.matrix().toarray()
    error = np.where(X > 0, model.alpha, 1) * (P @ Q.T - X)
    gradient = error.T @ P + model.penalty(train.matrix()) * Q  # half of the objective's
    assert np.abs(gradient).max() < 1e-3 * np.abs(error.T @ P).max()


def test_loss_falls_from_iteration_to_iteration(train):
    _, progress = fit(Ials(factors=4, iterations=12), train)
    losses = progress.history["iALS iterations"]["loss"]
    assert len(losses) == 12
    assert (np.diff(losses) < 1e-6).all()
    assert losses[-1] < losses[0]


def test_number_of_threads_changes_no_factor(train):
    before = torch.get_num_threads()
    found = []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            found.append(fit(Ials(factors=4), train)[0])
    finally:
        torch.set_num_threads(before)
    assert np.array_equal(found[0].users, found[1].users)
    assert np.array_equal(found[0].items, found[1].items)


def test_another_seed_starts_elsewhere(train):
    first, second = (fit(Ials(factors=4, iterations=1), train, seed)[0] for seed in (0, 1))
    assert not np.array_equal(first.items, second.items)


def test_new_user_is_solved_for_as_a_known_one_and_without_a_history_scores_zero(train):
    found, _ = fit(Ials(factors=4), train)
    histories = sparse.vstack([train.matrix()[3], sparse.csr_matrix((1, 12), dtype=np.float32)])
    folded = found.fold_in(histories.tocsr())
    np.testing.assert_allclose(folded[0], found.scores(np.array([3]))[0], atol=1e-6)
    assert not folded[1].any()


def test_a_pair_that_comes_twice_counts_once(train):
    twice = train.where(np.ones(len(train), bool))
    doubled = type(train)(
        np.concatenate([twice.user_rows, twice.user_rows[:9]]),
        np.concatenate([twice.item_rows, twice.item_rows[:9]]),
        train.users,
        train.items,
    )
    assert np.array_equal(
        fit(Ials(factors=4), doubled)[0].items, fit(Ials(factors=4), train)[0].items
    )


def test_threads_that_fold_in_at_the_same_time_leave_blas_its_threads(train):
    found, _ = fit(Ials(factors=4), train)
    before = threadpool_info()
    with ThreadPoolExecutor(4) as threads:
        folded = list(threads.map(lambda _: found.fold_in(train.matrix()), range(40)))
    assert threadpool_info() == before
    assert all(np.array_equal(scores, folded[0]) for scores in folded)


def test_penalty_holds_down_noise_of_any_size_and_density_alike():
    """The largest singular value of centred noise is what the penalty is relative to."""
    for n_users, n_items, density in ((300, 200, 0.05), (800, 100, 0.2)):
        noise = random_interactions(n_users, n_items, density, seed=3).matrix()
        largest = np.linalg.svd(noise.toarray() - noise.mean(), compute_uv=False)[0]
        model = Ials(regularization=1, alpha=2)
        assert model.penalty(noise) == pytest.approx(2 * largest, rel=0.15)
