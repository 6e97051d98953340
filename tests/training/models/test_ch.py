from __future__ import annotations

import numpy as np
import pytest
import torch

from hashrec.training.models.ch import (
    Ch,
    RotatedSide,
    agreements,
    scale_of_agreements,
    singular_features,
)
from hashrec.training.numerics.implicit_squares import ImplicitSquares, Positives
from hashrec.training.progress import QuietProgress
from tests.training.pairs import random_interactions

CPU = torch.device("cpu")
N_USERS, N_ITEMS, N_BITS = 60, 40, 16
TRAIN = random_interactions(N_USERS, N_ITEMS, 0.2, seed=2)
SQUARES = ImplicitSquares(1.0, 0.5, 15.0)


@pytest.fixture
def sides():
    """Random codes and features: far from any optimum."""
    random = torch.Generator().manual_seed(1)
    X = TRAIN.matrix()
    return [
        RotatedSide(
            Positives.of(pairs, CPU),
            features=torch.randn((n, N_BITS), generator=random),
            rotation=torch.eye(N_BITS),
            codes=torch.randint(0, 2, (n, N_BITS), generator=random) * 2.0 - 1,
        )
        for n, pairs in ((N_USERS, X), (N_ITEMS, X.T.tocsr()))
    ]


def shares_that_agree(sides):
    B, D = (side.codes.double() for side in sides)
    return (B[:, None] == D).double().mean(dim=2)


@pytest.mark.parametrize("reconstruction", [1.0, 1000.0])
def test_objective_falls_in_every_iteration(reconstruction):
    progress = QuietProgress()
    model = Ch(n_bits=N_BITS, iterations=12, reconstruction=reconstruction)
    model.fit(TRAIN, None, seed=0, device=CPU, progress=progress)
    losses = progress.history["CH iterations"]["loss"]
    assert len(losses) == 12
    assert (np.diff(losses) <= 1e-5 * losses[0]).all()
    assert losses[-1] < losses[0]


def objective(model, sides, scale):
    there = torch.from_numpy(TRAIN.matrix().toarray()).double()
    w, s = 1 + (model.weight - 1) * there, model.rest + (1 - model.rest) * there
    total = model.reconstruction * (w * (s - scale * shares_that_agree(sides)).square()).mean()
    for side in sides:
        total += (side.codes - side.features @ side.rotation).double().square().mean()
    return total.item()


@pytest.mark.parametrize("of_items", [False, True])
def test_no_change_of_a_bit_lowers_the_objective_of_improved_codes(sides, of_items):
    model, scale = Ch(n_bits=N_BITS, reconstruction=3.0), 1.3
    side, other = sides[::-1] if of_items else sides
    before = torch.zeros_like(side.codes)
    while not torch.equal(before, side.codes):
        before = side.codes.clone()
        model.improve(side, other, scale)
    least = objective(model, sides, scale)
    for bit in side.codes.view(-1):
        bit.neg_()
        assert objective(model, sides, scale) >= least - 1e-9
        bit.neg_()


def test_factors_multiply_to_the_shares_of_bits_that_agree(sides):
    P, Q = agreements(sides, scale=3.0)
    torch.testing.assert_close((P @ Q.T).double(), 3 * shares_that_agree(sides))


def test_best_scale_is_where_the_squares_are_least(sides):
    there = torch.from_numpy(TRAIN.matrix().toarray()).double()
    w, s, m = 1 + 14 * there, 0.5 + 0.5 * there, shares_that_agree(sides)
    expected = (w * s * m).sum() / (w * m.square()).sum()
    assert scale_of_agreements(SQUARES, sides) == pytest.approx(expected.item(), rel=1e-5)


def test_squares_of_inner_products_are_those_of_shares_up_to_a_factor(sides):
    model, scale = Ch(n_bits=N_BITS, weight=15.0), 1.3
    of_shares = SQUARES.loss(sides[0].positives, *agreements(sides, scale))
    ours = model._of_inner_products(scale)
    of_products = ours.loss(sides[0].positives, sides[0].codes, sides[1].codes)
    assert (scale / 2 / N_BITS) ** 2 * of_products == pytest.approx(of_shares, rel=1e-4)


def test_features_are_singular_vectors_of_the_matrix_over_roots_of_degrees():
    X = TRAIN.matrix()
    U, V = singular_features(X, N_BITS, 8, torch.Generator().manual_seed(1), QuietProgress())
    dense = X.toarray()
    degrees = [np.maximum(dense.sum(axis, keepdims=True), 1) for axis in (1, 0)]
    left, values, right = np.linalg.svd(dense / np.sqrt(degrees[0] * degrees[1]))
    for found, vectors in ((U, left), (V, right.T)):
        assert found.square().mean() == pytest.approx(1, rel=1e-5)
        leading = vectors[:, :4] * np.sqrt(values[:4])  # the last are not found that exactly
        cosines = (found[:, :4].numpy() * leading).sum(0)
        cosines /= np.linalg.norm(leading, axis=0) * found[:, :4].norm(dim=0).numpy()
        np.testing.assert_allclose(np.abs(cosines), 1, atol=1e-3)
