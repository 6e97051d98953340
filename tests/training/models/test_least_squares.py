from __future__ import annotations

import numpy as np
import pytest
import torch

from hashrec.training.models.least_squares import (
    LeastSquares,
    TargetSide,
    best_scale,
    hinge_target,
    hinged_projection,
    projection,
    residual,
)
from hashrec.training.models.parts.bit_descent import descend
from hashrec.training.numerics.embeddings import Embeddings
from hashrec.training.numerics.factor_forms import standardised_rows
from hashrec.training.progress import QuietProgress
from tests.training.pairs import random_interactions

CPU = torch.device("cpu")
N_USERS, N_ITEMS, N_BITS, RANK = 14, 11, 8, 5


@pytest.fixture
def taught():
    rng = np.random.default_rng(3)
    return Embeddings(
        rng.standard_normal((N_USERS, RANK)).astype(np.float32),
        rng.standard_normal((N_ITEMS, RANK)).astype(np.float32),
    )


@pytest.fixture
def sides(taught):
    """Random codes: far from any optimum."""
    target = standardised_rows(taught)
    random = torch.Generator().manual_seed(1)
    return [
        TargetSide(
            torch.randint(0, 2, (len(factors), N_BITS), generator=random) * 2.0 - 1,
            torch.from_numpy(factors),
        )
        for factors in (target.users, target.items)
    ]


def target_of(users, items):
    return users.factors.double() @ items.factors.double().T


def prediction(users, items, scale):
    return scale * users.codes.double() @ items.codes.double().T


def plain_loss(users, items, scale):
    return (target_of(users, items) - prediction(users, items, scale)).square().sum().item()


def hinge_loss(users, items, scale):
    Z, P = target_of(users, items), prediction(users, items, scale)
    above = (P - Z).clamp(min=0).square()
    return torch.where(Z < 0, above, (P - Z).square()).sum().item()


def sweep(side, other, scale, hinge):
    R = hinged_projection(side, other, scale)[0] if hinge else projection(side, other)
    descend(side.codes, other.codes, R, scale)
    return best_scale(side, other, R)


@pytest.mark.parametrize(("hinge", "loss"), [(False, plain_loss), (True, hinge_loss)])
def test_objective_falls_in_every_sweep_until_nothing_moves(sides, hinge, loss):
    users, items = sides
    scale, losses = 0.3, []
    for _ in range(25):
        for side, other in ((users, items), (items, users)):
            losses.append(loss(users, items, scale))
            scale = sweep(side, other, scale, hinge)
    assert (np.diff(losses) <= 1e-4).all()
    assert losses[-1] < 0.7 * losses[0]


@pytest.mark.parametrize("hinge", [False, True])
def test_no_single_flip_lowers_the_objective_in_the_end(sides, hinge):
    users, items = sides
    scale = 0.3
    for _ in range(100):
        scale = sweep(users, items, scale, hinge)
        scale = sweep(items, users, scale, hinge)
    target = target_of(users, items)
    if hinge:  # the targets that the last sweeps descended to
        target = hinge_target(target, prediction(users, items, scale))

    def objective():
        return (target - prediction(users, items, scale)).square().sum().item()

    reached = objective()
    for codes in (users.codes, items.codes):
        for row in range(len(codes)):
            for bit in range(N_BITS):
                codes[row, bit] *= -1
                assert objective() >= reached - 1e-4
                codes[row, bit] *= -1


def test_a_sweep_is_coordinate_descent_written_out_bit_by_bit(sides):
    users, items = sides
    scale = 0.25
    Z, Q = target_of(users, items).numpy(), items.codes.numpy().astype(float)
    expected = users.codes.numpy().copy()
    for code, z in zip(expected, Z, strict=True):
        for d in range(N_BITS):
            errors = {}
            for bit in (-1, 1):
                code[d] = bit
                errors[bit] = ((z - scale * Q @ code) ** 2).sum()
            code[d] = min(errors, key=errors.__getitem__)
    descend(users.codes, items.codes, projection(users, items), scale)
    assert np.array_equal(users.codes.numpy(), expected)


def test_best_scale_is_where_the_derivative_vanishes(sides):
    users, items = sides
    scale = best_scale(users, items, projection(users, items))
    around = [plain_loss(users, items, scale + step) for step in (-1e-3, 0, 1e-3)]
    assert scale > 0
    assert around[1] < min(around[0], around[2])


def test_scale_never_turns_rankings_over(sides):
    users, items = sides
    users.codes.copy_(torch.ones(N_USERS, N_BITS))
    assert best_scale(users, items, -1.0 * users.codes) == 0


def test_residual_needs_no_pair(sides):
    users, items = sides
    energy = target_of(users, items).square().sum().item()
    closed = residual(users, items, projection(users, items), energy, 0.2)
    assert closed == pytest.approx(plain_loss(users, items, 0.2), rel=1e-5)


def test_hinge_leaves_wanted_pairs_alone_and_bounds_unwanted_ones_from_above():
    Z = torch.tensor([1.0, 1.0, 0.0, -1.0, -1.0, -1.0])
    prediction = torch.tensor([2.0, -1.0, -1.0, 0.5, -0.5, -2.0])
    assert hinge_target(Z, prediction).tolist() == [1.0, 1.0, 0.0, -1.0, -1.0, -2.0]


def test_hinge_in_blocks_is_the_hinge_of_the_whole_matrix(sides, monkeypatch):
    users, items = sides
    T = hinge_target(target_of(users, items), prediction(users, items, 0.3))
    monkeypatch.setattr("hashrec.training.models.least_squares._PAIRS", 3 * N_ITEMS)
    R, energy = hinged_projection(users, items, 0.3)
    torch.testing.assert_close(R.double(), T @ items.codes.double(), rtol=1e-5, atol=1e-5)
    assert energy == pytest.approx(T.square().sum().item(), rel=1e-5)


def test_standardised_rows_have_mean_0_variance_1_and_the_same_ranking(taught):
    taught.users[2] = 0
    before = taught.scores(np.arange(N_USERS))
    Z = standardised_rows(taught).scores(np.arange(N_USERS))
    others = np.arange(N_USERS) != 2
    np.testing.assert_allclose(Z.mean(1), 0, atol=1e-6)
    np.testing.assert_allclose(Z[others].std(1), 1, atol=1e-5)
    assert np.array_equal(Z[others].argsort(1), before[others].argsort(1))
    assert (Z[2] == 0).all()


def test_logged_loss_never_rises_without_noise(taught):
    train, progress = random_interactions(N_USERS, N_ITEMS, 0.3, seed=2), QuietProgress()
    model = LeastSquares(n_bits=8, iterations=10, temperature=0, hinge_iterations=6)
    model.fit(train, taught, seed=0, device=CPU, progress=progress)
    losses = [loss for stage in progress.history.values() for loss in stage["loss"]]
    assert len(losses) == 16
    assert (np.diff(losses) <= 1e-5).all()


def test_noise_finds_a_better_optimum_than_plain_descent(taught):
    train = random_interactions(N_USERS, N_ITEMS, 0.3, seed=2)

    def reached(temperature):
        ends = []
        for seed in range(5):
            progress = QuietProgress()
            LeastSquares(n_bits=8, temperature=temperature, hinge_iterations=0).fit(
                train, taught, seed=seed, device=CPU, progress=progress
            )
            ends.append(progress.history["Annealed least squares"]["loss"][-1])
        return np.mean(ends)

    assert reached(LeastSquares().temperature) < reached(0.0)
