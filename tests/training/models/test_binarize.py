from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hashrec.index.arrays.codes import BinaryCodes
from hashrec.training.models.parts.binarize import (
    Bernoulli,
    Relaxed,
    StraightThrough,
    TanhAnnealing,
    bernoulli_code,
    chance_of_plus_one,
    distance_to_binary,
    expected_noise_energy,
    straight_through,
)

N_SAMPLES = 40_000


def sampled(x, tau, seed=0):
    wide = torch.full((N_SAMPLES,), x)
    return bernoulli_code(wide, tau, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("x", [-0.95, -0.3, 0.0, 0.1, 0.8])
@pytest.mark.parametrize("tau", [0.2, 1.0])
def test_expected_noise_energy_is_the_mean_over_samples(x, tau):
    energy = (sampled(x, tau) - x).square()
    five_deviations = 5 * energy.std().item() / N_SAMPLES**0.5 + 1e-6
    expected = expected_noise_energy(torch.tensor(x), tau).item()
    assert energy.mean().item() == pytest.approx(expected, abs=five_deviations)


@given(x=st.floats(-0.999, 0.999), tau=st.floats(0.05, 5))
def test_expected_noise_energy_is_the_sum_over_both_outcomes(x, tau):
    plus = 1 / (1 + np.exp(-x / tau))
    by_definition = plus * (1 - x) ** 2 + (1 - plus) * (-1 - x) ** 2
    energy = expected_noise_energy(torch.tensor(x, dtype=torch.float64), tau).item()
    assert energy == pytest.approx(by_definition, rel=1e-9, abs=1e-12)


def test_codes_are_signs_to_the_last_bit():
    x = torch.rand(10_000, generator=torch.Generator().manual_seed(0)) * 2 - 1
    code = bernoulli_code(x, 0.2, torch.Generator().manual_seed(1))
    assert code.unique().tolist() == [-1, 1]


def test_plus_one_comes_up_as_often_as_the_sigmoid_says():
    code = sampled(0.2, tau=0.2)
    # sigmoid(1) = .7311; five standard deviations of the mean of 40,000 coin tosses
    assert (code > 0).float().mean().item() == pytest.approx(0.7311, abs=0.0111)
    assert chance_of_plus_one(torch.tensor(0.2), 0.2).item() == pytest.approx(0.7311, abs=1e-4)


def test_cold_noise_leaves_the_sign():
    x = torch.tensor([-0.4, -0.01, 0.01, 0.7])
    code = bernoulli_code(x, 1e-4, torch.Generator().manual_seed(0))
    assert code.tolist() == [-1, -1, 1, 1]


def test_noise_is_a_constant_for_the_gradient():
    P = torch.tensor([-1.0, 0.0, 0.5, 2.0], requires_grad=True)
    weights = torch.tensor([1.0, 2.0, 3.0, 4.0])
    code = bernoulli_code(torch.tanh(P), 0.2, torch.Generator().manual_seed(0))
    (code * weights).sum().backward()
    torch.testing.assert_close(P.grad, weights * (1 - torch.tanh(P).square()).detach())


def test_straight_through_has_one_value_and_the_other_gradient():
    x = torch.tensor([0.5], requires_grad=True)
    through = straight_through(torch.tensor([-1.0]), 3 * x)
    assert through.item() == -1
    through.sum().backward()
    assert x.grad.item() == 3


@given(x=st.floats(-1, 1))
def test_distance_is_zero_at_the_codes_only(x):
    distance = distance_to_binary(torch.tensor(x, dtype=torch.float64)).item()
    assert (distance == 0) == (abs(x) == 1)
    assert distance >= 0


def test_distance_by_hand():
    x = torch.tensor([-1.0, -0.5, 0.0, 0.25])
    torch.testing.assert_close(distance_to_binary(x), torch.tensor([0, 0.25, 1, 0.5625]))


@pytest.mark.parametrize("penalty", [distance_to_binary, lambda x: expected_noise_energy(x, 0.2)])
def test_penalties_push_towards_the_nearer_code(penalty):
    x = torch.tensor([-0.7, -0.4, 0.4, 0.7], requires_grad=True)
    penalty(x).sum().backward()
    assert torch.equal(torch.sign(-x.grad), torch.sign(x.detach()))


def test_sampled_codes_pack_into_the_bits_they_are():
    code = bernoulli_code(torch.zeros(3, 16), 0.2, torch.Generator().manual_seed(0))
    assert np.array_equal(BinaryCodes.from_signs(code.numpy()).to_signs(), code.numpy())


UNUSED = torch.Generator()
BINARIZERS = [
    Relaxed(tau=0.2, nu=0.1, beta=0.01),
    Bernoulli(tau=0.2, nu=0.1),
    StraightThrough(),
    TanhAnnealing(gamma=10),
]


@pytest.mark.parametrize("binarizer", BINARIZERS, ids=lambda binarizer: type(binarizer).__name__)
def test_what_is_scored_lies_between_the_codes_and_keeps_signs_but_for_sampling(binarizer):
    P = torch.linspace(-4, 4, 1001)
    bounded = binarizer.bounded(P, 0.5)
    codes = binarizer.codes(bounded, torch.Generator().manual_seed(0))
    assert codes.abs().max() <= 1
    if not isinstance(binarizer, Bernoulli):
        assert torch.equal(codes >= 0, P >= 0)


def test_penalties_by_hand():
    relaxed, sampled = Relaxed(tau=0.2, nu=0.1, beta=0.01), Bernoulli(tau=0.2, nu=0.1)
    # at 0 noise energy and distance are 1 each; at -1 the distance is 0 and the noise energy is
    # 2 - 2 tanh(1 / (2 tau)) = 2 - 2 tanh(2.5)
    middle, end = torch.zeros(2, 8), torch.full((1, 8), -1.0)
    assert relaxed.penalty(middle).item() == pytest.approx(0.1 * 16 + 0.01 * 16)
    assert sampled.penalty(middle).item() == pytest.approx(0.1 * 16)
    for binarizer in (relaxed, sampled):
        expected = 0.1 * 8 * (2 - 2 * np.tanh(2.5))
        assert binarizer.penalty(end).item() == pytest.approx(expected)
    for binarizer in (StraightThrough(), TanhAnnealing(gamma=3)):
        assert binarizer.penalty(middle).item() == 0


def test_relaxed_scores_tanh_and_bernoulli_scores_codes_around_it():
    P = torch.full((50, 8), 0.1)
    relaxed, sampled = BINARIZERS[0].bounded(P, 0), BINARIZERS[1].bounded(P, 0)
    assert torch.equal(relaxed, torch.tanh(P))
    assert torch.equal(sampled, relaxed)
    assert BINARIZERS[0].codes(relaxed, UNUSED) is relaxed
    codes = BINARIZERS[1].codes(sampled, torch.Generator().manual_seed(0))
    assert codes.unique().tolist() == [-1, 1]


def test_straight_through_scores_signs_with_the_gradient_of_the_clipped_identity():
    P = torch.tensor([-3.0, -1.0, -0.2, 0.0, 0.7, 1.0, 1.1], requires_grad=True)
    weights = torch.arange(1.0, 8.0)
    learner = StraightThrough()
    codes = learner.codes(learner.bounded(P, 0), UNUSED)
    assert codes.tolist() == [-1, -1, -1, 1, 1, 1, 1]
    (codes * weights).sum().backward()
    assert P.grad.tolist() == [0, 2, 3, 4, 5, 6, 0]


@pytest.mark.parametrize(("progress", "gamma"), [(0.0, 1), (0.5, 4), (1.0, 16)])
def test_annealed_gradient_is_that_of_the_scaled_tanh(progress, gamma):
    P = torch.tensor([-0.8, -0.1, 0.0, 0.05, 0.3], dtype=torch.float64, requires_grad=True)
    learner = TanhAnnealing(gamma=16)
    codes = learner.codes(learner.bounded(P, progress), UNUSED)
    torch.testing.assert_close(codes, torch.tanh(gamma * P))
    codes.sum().backward()
    torch.testing.assert_close(P.grad, gamma * (1 - torch.tanh(gamma * P).square()).detach())


def test_annealing_sharpens_without_a_step_back_and_ends_at_the_signs():
    P = torch.cat([torch.linspace(-1, -0.1, 50), torch.linspace(0.1, 1, 50)])
    learner = TanhAnnealing(gamma=100)
    distances = [
        (learner.bounded(P, epoch / 19) - P.sign()).abs().max().item() for epoch in range(20)
    ]
    assert distances[0] == pytest.approx(1 - np.tanh(0.1), abs=1e-6)
    assert (np.diff(distances) <= 0).all()
    assert distances[-1] < 1e-6
