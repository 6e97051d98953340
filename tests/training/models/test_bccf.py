from __future__ import annotations

import numpy as np
import pytest
import torch

from hashrec.training.models.bccf import Bccf, above_median
from hashrec.training.progress import QuietProgress
from tests.training.pairs import random_interactions

CPU = torch.device("cpu")


@pytest.fixture
def train():
    return random_interactions(60, 40, 0.2, seed=2)


def fit(train, **settings):
    progress = QuietProgress()
    codes = Bccf(n_bits=16, **settings).fit(train, None, seed=0, device=CPU, progress=progress)
    return codes, {loop: curves["loss"] for loop, curves in progress.history.items()}


def test_medians_balance_every_bit_of_both_sides(train):
    codes, _ = fit(train, binarizer="median")
    for side in (codes.users, codes.items):
        assert (side.to_signs().astype(int).sum(axis=0) == 0).all()


def test_median_of_an_odd_number_of_rows_is_the_middle_one():
    factors = torch.tensor([[3.0, -1.0], [1.0, -5.0], [2.0, -4.0]])
    assert above_median(factors).tolist() == [[1.0, 3.0], [-1.0, -1.0], [0.0, 0.0]]


def test_objective_of_the_factors_falls_in_every_iteration(train):
    _, losses = fit(train, balance=2.0)
    assert len(losses["BCCF factors"]) == Bccf().iterations
    assert (np.diff(losses["BCCF factors"]) <= 1e-6).all()


def test_quantisation_error_falls_with_every_rotation(train):
    _, losses = fit(train, regularization=0.1)
    errors = losses["BCCF rotations"]
    assert len(errors) == Bccf().rotations
    assert (np.diff(errors) <= 1e-6).all()
    assert errors[-1] < errors[0]


def test_balance_asked_for_softly_balances_the_bits(train):
    def imbalance(balance):
        codes, _ = fit(train, balance=balance)
        return np.abs(codes.users.to_signs().mean(axis=0)).mean()

    assert imbalance(100.0) < 0.7 * imbalance(0.0)
