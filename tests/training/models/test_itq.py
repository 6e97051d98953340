from __future__ import annotations

import numpy as np
import pytest
import torch

from hashrec.training.models.itq import Itq, stacked
from hashrec.training.models.lsh import Lsh
from hashrec.training.models.parts.binarize import signs
from hashrec.training.models.parts.rotation import best_rotation, quantisation_error, random_frame
from hashrec.training.numerics.device import generator
from hashrec.training.numerics.embeddings import Embeddings
from hashrec.training.progress import QuietProgress
from tests.training.pairs import random_interactions

CPU = torch.device("cpu")
WIDTHS = [8, 24, 64]  # narrower than the teacher, as wide and wider


@pytest.fixture
def train():
    return random_interactions(120, 90, 0.2, seed=1)


@pytest.fixture
def teacher(train, rng):
    """Factors of clusters: there is something for a rotation to find."""
    centres = rng.choice([-1.0, 1.0], (12, 24))
    sides = (
        centres[rng.integers(0, 12, n)] + 0.3 * rng.standard_normal((n, 24))
        for n in (train.n_users, train.n_items)
    )
    return Embeddings(*(side.astype(np.float32) for side in sides))


def fit(model, train, teacher, seed=0):
    progress = QuietProgress()
    return model.fit(train, teacher, seed=seed, device=CPU, progress=progress), progress


@pytest.mark.parametrize("n_bits", WIDTHS)
def test_quantisation_error_falls_each_step(train, teacher, n_bits):
    _, progress = fit(Itq(n_bits=n_bits), train, teacher)
    errors = progress.history["ITQ iterations"]["loss"]
    assert len(errors) == 50
    assert (np.diff(errors) < 1e-6).all()
    assert errors[-1] < 0.9 * errors[0]


def test_both_halves_of_a_step_lower_the_error_they_are_about(train, teacher):
    X = stacked(teacher, 24, CPU)
    R = random_frame(24, 24, generator(CPU, 0))

    def error(B, R):
        return (B - X @ R).square().sum().item()

    B = signs(X @ R)
    turned = best_rotation(X, B)
    assert error(B, turned) < error(B, R)
    assert error(signs(X @ turned), turned) < error(B, turned)


@pytest.mark.parametrize("n_bits", WIDTHS)
def test_rotation_keeps_every_inner_product(train, teacher, n_bits):
    X = stacked(teacher, n_bits, CPU)
    R = best_rotation(X, signs(X @ random_frame(X.shape[1], n_bits, generator(CPU, 1))))
    torch.testing.assert_close(R @ R.T, torch.eye(len(R)), atol=1e-5, rtol=0)


def test_no_random_rotation_fits_the_codes_better_than_the_procrustes_solution(train, teacher):
    X = stacked(teacher, 24, CPU)
    B = signs(X @ random_frame(24, 24, generator(CPU, 0)))
    best = (B - X @ best_rotation(X, B)).norm()
    for seed in range(20):
        assert best < (B - X @ random_frame(24, 24, generator(CPU, seed))).norm()


@pytest.mark.parametrize("n_bits", [24, 64])
def test_codes_lose_less_than_those_of_lsh(train, teacher, n_bits):
    """Judged by the best rotation for each: what codes cannot be turned to is lost."""
    X = stacked(teacher, n_bits, CPU)

    def lost(codes):
        B = torch.from_numpy(np.vstack([codes.users.to_signs(), codes.items.to_signs()])).float()
        turned = X @ best_rotation(X, B)
        return (B - turned * n_bits**0.5 * len(X) ** 0.5 / turned.norm()).square().mean().item()

    itq = lost(fit(Itq(n_bits=n_bits), train, teacher)[0])
    lsh = min(
        lost(fit(Lsh(n_bits=n_bits, augmented=False), train, teacher, seed)[0]) for seed in range(5)
    )
    assert itq < 0.9 * lsh


def test_without_iterations_the_codes_are_signs_of_a_random_rotation(train, teacher):
    codes, _ = fit(Itq(n_bits=24, iterations=0), train, teacher, seed=3)
    expected = stacked(teacher, 24, CPU) @ random_frame(24, 24, generator(CPU, 3, 9))
    assert np.array_equal(codes.users.to_signs(), signs(expected[: train.n_users]).numpy())
    assert np.array_equal(codes.items.to_signs(), signs(expected[train.n_users :]).numpy())


def test_error_is_0_for_codes_and_that_of_the_normal_distribution_for_noise():
    identity = torch.eye(16)
    noise = torch.randn((20_000, 16), generator=generator(CPU, 0))
    assert quantisation_error(0.3 * signs(noise), identity) == pytest.approx(0, abs=1e-5)
    assert quantisation_error(noise, identity) == pytest.approx(
        2 - 2 * (2 / np.pi) ** 0.5, abs=0.01
    )


def test_users_and_items_weigh_alike_in_the_error(train, teacher):
    heavy = Embeddings(users=100 * teacher.users, items=teacher.items)
    for factors in (teacher, heavy):
        X = stacked(factors, 24, CPU)
        assert X[: train.n_users].square().mean().item() == pytest.approx(1, rel=1e-4)
        assert X[train.n_users :].square().mean().item() == pytest.approx(1, rel=1e-4)
