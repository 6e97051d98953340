"""Ways to learn through a sign: relaxation, sampling, straight-through (sections 3.2 and 4.2)."""

from __future__ import annotations

import torch
from torch import Tensor


def straight_through(value: Tensor, surrogate: Tensor) -> Tensor:
    """Return `value`, to the last bit, with the gradient of `surrogate`."""
    return value.detach() + (surrogate - surrogate.detach())


def chance_of_plus_one(x: Tensor, tau: float) -> Tensor:
    """Return P(code = +1) = sigmoid(x / tau) for x in (-1, 1) (section 4.2)."""
    return torch.sigmoid(x / tau)


def bernoulli_code(x: Tensor, tau: float, generator: torch.Generator) -> Tensor:
    """Sample x + eps of eq. 17: a code of +-1 whose gradient is that of x.

    The noise eps is 1 - x or -1 - x, a constant for the gradient.

    Args:
        x: float in (-1, 1), any shape; the paper's tanh(P).
        tau: temperature; small values sample little besides sign(x).
        generator: on the device of x.
    """
    uniform = torch.rand(x.shape, generator=generator, device=x.device, dtype=x.dtype)
    plus = uniform < chance_of_plus_one(x.detach(), tau)
    return straight_through(torch.where(plus, 1.0, -1.0).to(x.dtype), x)


def expected_noise_energy(x: Tensor, tau: float) -> Tensor:
    """Return E[eps^2], elementwise, in closed form.

    With s = sigmoid(x / tau) it is s (1 - x)^2 + (1 - s) (1 + x)^2, which is
    1 + x^2 - 2 x tanh(x / (2 tau)).
    """
    return 1 + x.square() - 2 * x * torch.tanh(x / (2 * tau))


def distance_to_binary(x: Tensor) -> Tensor:
    """Return g(x) = (|x| - 1)^2, elementwise (the penalty of eq. 18): zero at +-1 only."""
    return (x.abs() - 1).square()
