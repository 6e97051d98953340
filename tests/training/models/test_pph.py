from __future__ import annotations

import numpy as np
import torch

from hashrec.training.models.parts.relaxation import relaxed_factors
from hashrec.training.models.pph import Pph, magnitude_bits, of_norm_1
from hashrec.training.numerics.implicit_squares import ImplicitSquares
from hashrec.training.progress import QuietProgress
from tests.training.pairs import random_interactions

CPU = torch.device("cpu")
TRAIN = random_interactions(60, 40, 0.2, seed=2)


def fit(**settings):
    progress = QuietProgress()
    codes = Pph(n_bits=16, **settings).fit(TRAIN, None, seed=0, device=CPU, progress=progress)
    return codes, progress.history["PPH factors"]["loss"]


def test_objective_falls_in_every_iteration():
    _, losses = fit()
    assert len(losses) == Pph().iterations
    assert (np.diff(losses) <= 1e-6).all()


def test_stronger_constraint_brings_norms_nearer_to_one():
    squares = ImplicitSquares(1.0, -0.3, 15.0)

    def distance(pull):
        factors = relaxed_factors(
            TRAIN.matrix(),
            14,
            squares,
            pulls=(pull, pull),
            nearest=of_norm_1,
            iterations=10,
            random=torch.Generator().manual_seed(1),
            progress=QuietProgress(),
            loop="factors",
        )
        return sum((side.norm(dim=1) - 1).square().mean().item() for side in factors)

    far, near = distance(10.0), distance(1000.0)
    assert near < 0.1 * far


def test_rows_of_norm_1_keep_their_direction_and_a_row_of_zeros_is_left():
    factors = torch.tensor([[3.0, 4.0], [0.0, 0.0]])
    torch.testing.assert_close(of_norm_1(factors), torch.tensor([[0.6, 0.8], [0.0, 0.0]]))


def test_last_two_bits_grade_items_by_their_norm_in_three_steps():
    norms = torch.tensor([1.0, 5.0, 5.0, 5.0, 5.0, 9.0])  # a deviation is 2.3 about the mean 5
    bits = magnitude_bits(norms[:, None] * torch.tensor([[0.6, -0.8]]))
    assert bits.tolist() == [[-1, -1], *([[1, -1]] * 4), [1, 1]]


def test_a_single_item_is_neither_short_nor_long():
    assert magnitude_bits(torch.tensor([[3.0, 4.0]])).tolist() == [[1, -1]]


def test_every_user_has_both_magnitude_bits_so_longer_items_are_nearer():
    codes, _ = fit()
    users, items = codes.users.to_signs(), codes.items.to_signs().astype(int)
    assert (users[:, -2:] == 1).all()
    added = items[:, -2:].sum(axis=1)
    assert set(added.tolist()) <= {-2, 0, 2}
    assert len(set(added.tolist())) > 1
    phase = users[:, :-2].astype(int) @ items[:, :-2].T
    assert np.array_equal(16 - 2 * codes.users.hamming(codes.items), phase + added)
