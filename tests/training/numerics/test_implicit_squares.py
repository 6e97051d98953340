from __future__ import annotations

import numpy as np
import pytest
import torch

from hashrec.training.numerics.implicit_squares import (
    ImplicitSquares,
    Positives,
    conjugate_gradients,
)
from tests.training.pairs import random_interactions

CPU = torch.device("cpu")
N_USERS, N_ITEMS, WIDTH = 14, 11, 5
SQUARES = ImplicitSquares(target=2.0, rest=-0.7, weight=6.0)


@pytest.fixture(name="X")
def binary_matrix():
    return random_interactions(N_USERS, N_ITEMS, 0.3, seed=2).matrix()


@pytest.fixture
def factors():
    random = torch.Generator().manual_seed(1)
    return [torch.randn((n, WIDTH), generator=random) for n in (N_USERS, N_ITEMS)]


def written_out(X, P, Q, squares=SQUARES):
    """Return the sum over all pairs, one matrix entry each."""
    there = torch.from_numpy(X.toarray()).double()
    w = 1 + (squares.weight - 1) * there
    s = squares.rest + (squares.target - squares.rest) * there
    return (w * (s - P.double() @ Q.double().T).square()).sum()


def test_loss_is_the_sum_over_all_pairs_seen_from_either_side(X, factors):
    P, Q = factors
    expected = written_out(X, P, Q).item()
    assert SQUARES.loss(Positives.of(X, CPU), P, Q) == pytest.approx(expected, rel=1e-5)
    assert SQUARES.loss(Positives.of(X.T.tocsr(), CPU), Q, P) == pytest.approx(expected, rel=1e-5)


def test_reached_less_wanted_is_half_the_gradient(X, factors):
    P, Q = factors
    P.requires_grad_()
    written_out(X, P, Q).backward()
    positives, held = Positives.of(X, CPU), P.detach()
    half = SQUARES.reached(positives, held, Q) - SQUARES.wanted(positives, Q)
    torch.testing.assert_close(2 * half, P.grad, rtol=1e-4, atol=1e-4)


def test_curvature_is_the_mean_diagonal_of_each_users_matrix(X, factors):
    _, Q = factors
    w = 1 + (SQUARES.weight - 1) * torch.from_numpy(X.toarray())
    of_factors_of_one_size = Q.square().mean() * w.sum(1, keepdim=True)
    curvature = SQUARES.curvature(Positives.of(X, CPU), Q)
    torch.testing.assert_close(curvature, of_factors_of_one_size)


def test_block_holds_the_pairs_of_its_rows(X):
    block = Positives.of(X, CPU).block(slice(3, 9))
    expected = torch.from_numpy(X[3:9].toarray())
    assert torch.equal(block.matrix.to_dense(), expected)
    assert torch.equal(torch.stack([block.rows, block.columns]), expected.nonzero().T)


def test_products_are_those_of_the_pairs(X, factors):
    P, Q = factors
    positives = Positives.of(X, CPU)
    expected = (P @ Q.T)[positives.rows, positives.columns]
    torch.testing.assert_close(positives.products(P, Q), expected)


def test_centred_targets_have_a_weighted_mean_of_0(X):
    squares = ImplicitSquares.of_target_1(X, weight=6.0, rest=None)
    there = X.toarray()
    targets = np.where(there > 0, squares.target, squares.rest)
    assert squares.target == 1
    assert np.average(targets, weights=1 + 5 * there) == pytest.approx(0, abs=1e-9)


def test_noise_is_about_the_largest_singular_value_of_pairs_that_are_there_by_chance():
    X = random_interactions(400, 300, 0.05, seed=4).matrix()
    noise = X.toarray() - X.mean()
    expected = SQUARES.weight * SQUARES.target * np.linalg.norm(noise, 2)
    assert SQUARES.noise(X) == pytest.approx(expected, rel=0.1)


def test_every_step_of_conjugate_gradients_lowers_the_squares_until_they_are_least(X, factors):
    P, Q = factors
    positives = Positives.of(X, CPU)
    wanted, diagonal = SQUARES.wanted(positives, Q), SQUARES.curvature(positives, Q)

    def after(steps):
        def normal(P):
            return SQUARES.reached(positives, P, Q)

        return conjugate_gradients(normal, wanted, P, diagonal, steps)

    losses = [written_out(X, after(steps), Q).item() for steps in range(8)]
    assert (np.diff(losses) < 0).all()
    best = after(60)
    gradient = SQUARES.reached(positives, best, Q) - wanted
    assert gradient.abs().max() < 1e-3 * wanted.abs().max()
