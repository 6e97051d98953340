from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from index.codes import BinaryCodes
from training.binarize import (
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
