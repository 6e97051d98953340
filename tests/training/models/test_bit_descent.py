from __future__ import annotations

import numpy as np
import pytest
import torch

from hashrec.training.models.parts.bit_descent import descend
from hashrec.training.numerics.implicit_squares import ImplicitSquares, Positives
from tests.training.pairs import random_interactions

CPU = torch.device("cpu")
N_USERS, N_ITEMS, N_BITS = 14, 11, 8
SQUARES = ImplicitSquares(target=5.0, rest=-3.0, weight=4.0)


@pytest.fixture(name="X")
def binary_matrix():
    return random_interactions(N_USERS, N_ITEMS, 0.3, seed=2).matrix()


@pytest.fixture
def codes():
    random = torch.Generator().manual_seed(1)
    return [
        torch.randint(0, 2, (n, N_BITS), generator=random) * 2.0 - 1 for n in (N_USERS, N_ITEMS)
    ]


@pytest.mark.parametrize("rows_at_once", [4, 1024])
def test_a_sweep_with_heavy_pairs_is_coordinate_descent_written_out(
    X, codes, rows_at_once, monkeypatch
):
    monkeypatch.setattr("hashrec.training.models.parts.bit_descent._ROWS", rows_at_once)
    users, items = codes
    pull = torch.randn((N_USERS, N_BITS), generator=torch.Generator().manual_seed(2))
    there, Q, expected = X.toarray(), items.numpy(), users.numpy().copy()
    for code, x, towards in zip(expected, there, pull.numpy(), strict=True):
        w = 1 + (SQUARES.weight - 1) * x
        s = SQUARES.rest + (SQUARES.target - SQUARES.rest) * x
        for d in range(N_BITS):
            errors = {}
            for bit in (-1, 1):
                code[d] = bit
                errors[bit] = (w * (s - Q @ code) ** 2).sum() - 2 * towards @ code
            code[d] = min(errors, key=errors.__getitem__)
    positives = Positives.of(X, CPU)
    wanted = SQUARES.wanted(positives, items) + pull
    descend(users, items, wanted, heavier=(positives, SQUARES.weight))
    assert np.array_equal(users.numpy(), expected)


def test_a_bit_without_a_field_is_kept():
    codes = torch.tensor([[1.0, -1.0]])
    other = torch.tensor([[1.0, 1.0], [1.0, -1.0]])  # uncorrelated bits: fields are what is wanted
    descend(codes, other, torch.zeros((1, 2)))
    assert codes.tolist() == [[1.0, -1.0]]
