from __future__ import annotations

import numpy as np
import pytest
import torch

from hashrec.training.models.dcf import Dcf, delegates
from hashrec.training.numerics.implicit_squares import ImplicitSquares, Positives
from hashrec.training.progress import QuietProgress
from tests.training.pairs import random_interactions

CPU = torch.device("cpu")
TRAIN = random_interactions(60, 40, 0.2, seed=2)


def fit(**settings):
    progress = QuietProgress()
    codes = Dcf(n_bits=16, **settings).fit(TRAIN, None, seed=0, device=CPU, progress=progress)
    return codes, {loop: curves["loss"] for loop, curves in progress.history.items()}


def random_codes(n, n_bits, seed=1):
    return torch.randint(0, 2, (n, n_bits), generator=torch.Generator().manual_seed(seed)) * 2.0 - 1


def delegates_of(codes):
    return delegates(codes, torch.Generator().manual_seed(5))


def test_objective_falls_in_every_sweep_and_in_the_start():
    _, losses = fit(iterations=12)
    assert set(losses) == {"DCF relaxed", "DCF sweeps"}
    for curve in losses.values():
        assert (np.diff(curve) <= 1e-5 * np.abs(curve[0])).all()
    assert losses["DCF sweeps"][-1] < losses["DCF sweeps"][0]


def test_logged_objective_is_that_of_the_codes_over_all_pairs():
    model = Dcf(n_bits=16, alpha=0.2, beta=0.4)
    progress = QuietProgress()
    codes = model.fit(TRAIN, None, seed=0, device=CPU, progress=progress)
    B, D = (torch.from_numpy(side.to_signs()).double() for side in (codes.users, codes.items))
    there = torch.from_numpy(TRAIN.matrix().toarray()).double()
    target = model.target * 16
    s = torch.where(there > 0, target, model.rest * target)
    errors = ((1 + (model.weight - 1) * there) * (s - B @ D.T).square()).sum().item()
    noise = ImplicitSquares(target, model.rest * target, model.weight).noise(TRAIN.matrix())
    for side, strength in ((B, model.alpha), (D, model.beta)):
        distance = (side - delegates_of(side.float()).double()).square().sum().item()
        errors += strength * noise * distance
    logged = progress.history["DCF sweeps"]["loss"][-1]
    assert logged == pytest.approx(errors / there.numel(), rel=1e-4)


@pytest.mark.parametrize("codes", [random_codes(60, 16), torch.ones((60, 16))], ids=["any", "same"])
def test_delegates_are_balanced_and_decorrelated(codes):
    codes[:, 3] = codes[:, 5]  # a direction is missing, and in the second case all are
    Y = delegates_of(codes)
    torch.testing.assert_close(Y.sum(0), torch.zeros(16), rtol=0, atol=1e-3)
    torch.testing.assert_close(Y.T @ Y, 60 * torch.eye(16), rtol=0, atol=1e-3)


def test_no_other_balanced_and_decorrelated_matrix_is_nearer():
    codes = random_codes(60, 16)
    nearest = (codes - delegates_of(codes)).square().sum()
    for seed in range(20):
        other = delegates_of(random_codes(60, 16, seed=seed + 2) + 0.5 * codes)
        assert (codes - other).square().sum() > nearest


def test_delegates_wider_than_the_rows_allow_have_all_directions_there_are():
    Y = delegates_of(random_codes(10, 16))
    torch.testing.assert_close(Y.sum(0), torch.zeros(16), rtol=0, atol=1e-4)
    spectrum = torch.linalg.eigvalsh(Y.T @ Y)
    torch.testing.assert_close(spectrum, torch.tensor([0.0] * 7 + [10.0] * 9), rtol=0, atol=1e-3)


def test_constraints_balance_and_decorrelate_the_codes():
    def imbalance_and_correlation(strength):
        codes, _ = fit(alpha=strength, beta=strength)
        B = codes.users.to_signs().astype(float)
        correlation = np.abs(B.T @ B / len(B) - np.eye(16)).mean()
        return np.abs(B.mean(0)).mean(), correlation

    loose, strict = imbalance_and_correlation(1e-4), imbalance_and_correlation(3.0)
    assert strict[0] < 0.7 * loose[0]
    assert strict[1] < 0.7 * loose[1]


def test_no_single_flip_lowers_the_objective_in_the_end():
    model = Dcf(n_bits=8, iterations=40)
    train = random_interactions(14, 11, 0.3, seed=3)
    codes = model.fit(train, None, seed=0, device=CPU, progress=QuietProgress())
    B, D = (torch.from_numpy(side.to_signs()).float() for side in (codes.users, codes.items))
    X, target = train.matrix(), model.target * 8
    squares = ImplicitSquares(target, model.rest * target, model.weight)
    positives, noise = Positives.of(X, CPU), squares.noise(X)
    held = [delegates_of(side) for side in (B, D)]

    def objective():
        pulls = (
            model.alpha * (B - held[0]).square().sum() + model.beta * (D - held[1]).square().sum()
        )
        return squares.loss(positives, B, D) + noise * pulls.item()

    reached = objective()
    for side in (B, D):
        for row in range(len(side)):
            for bit in range(8):
                side[row, bit] *= -1
                assert objective() >= reached - 1e-2
                side[row, bit] *= -1
