"""Binarizers, which learn through a sign: relaxation, sampling (sections 3.2, 4.2), two others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor


def signs(x: Tensor) -> Tensor:
    """Return +-1 as float32; 0 counts as +1, as in `BinaryCodes`."""
    return torch.where(x >= 0, 1.0, -1.0)


class Binarizer(Protocol):
    """A differentiable substitute for sign(P) while real parameters P are learned."""

    def bounded(self, P: Tensor, progress: float) -> Tensor:
        """Map P into [-1, 1].

        Args:
            P: float, any shape.
            progress: from 0 in the first epoch to 1 in the last.
        """
        ...

    def codes(self, bounded: Tensor, random: torch.Generator) -> Tensor:
        """Return the codes scored in training, of the same shape."""
        ...

    def penalty(self, bounded: Tensor) -> Tensor:
        """Return the additional penalty in the loss, a scalar."""
        ...


@dataclass(frozen=True)
class Relaxed:
    """Eq. 18: scores tanh(P) itself, with a penalty on its distance from +-1.

    Attributes:
        tau: temperature of the noise.
        nu: weight of the expected noise energy.
        beta: weight of the distance.
    """

    tau: float
    nu: float
    beta: float

    def bounded(self, P: Tensor, progress: float) -> Tensor:  # noqa: ARG002
        """Return tanh(P)."""
        return torch.tanh(P)

    def codes(self, bounded: Tensor, random: torch.Generator) -> Tensor:  # noqa: ARG002
        """Return tanh(P)."""
        return bounded

    def penalty(self, bounded: Tensor) -> Tensor:
        """Return nu E|eps|^2 + beta g(tanh(P))."""
        noise = self.nu * expected_noise_energy(bounded, self.tau).sum()
        return noise + self.beta * distance_to_binary(bounded).sum()


@dataclass(frozen=True)
class Bernoulli:
    """Eq. 17: scores codes sampled around tanh(P), with a penalty on the noise.

    Attributes:
        tau: temperature of the noise.
        nu: weight of the expected noise energy.
    """

    tau: float
    nu: float

    def bounded(self, P: Tensor, progress: float) -> Tensor:  # noqa: ARG002
        """Return tanh(P)."""
        return torch.tanh(P)

    def codes(self, bounded: Tensor, random: torch.Generator) -> Tensor:
        """Return codes of +-1 with the gradient of tanh(P)."""
        return bernoulli_code(bounded, self.tau, random)

    def penalty(self, bounded: Tensor) -> Tensor:
        """Return nu E|eps|^2."""
        return self.nu * expected_noise_energy(bounded, self.tau).sum()


@dataclass(frozen=True)
class StraightThrough:
    """Scores the sign itself; its gradient passes to P if |P| <= 1, and is 0 beyond.

    Courbariaux, Bengio and David, "BinaryConnect", NIPS 2015; Hubara et al., "Binarized Neural
    Networks", NIPS 2016. Without the cut P would grow long after its sign is settled.
    """

    def bounded(self, P: Tensor, progress: float) -> Tensor:  # noqa: ARG002
        """Return P cut at +-1."""
        return P.clamp(-1, 1)

    def codes(self, bounded: Tensor, random: torch.Generator) -> Tensor:  # noqa: ARG002
        """Return sign(P), +1 at zero, with the gradient of `bounded`."""
        return straight_through(signs(bounded).to(bounded.dtype), bounded)

    def penalty(self, bounded: Tensor) -> Tensor:
        """Return 0."""
        return bounded.new_zeros(())


@dataclass(frozen=True)
class TanhAnnealing:
    """Scores tanh(gamma_t P), where gamma_t rises until almost all values are near +-1.

    A continuation as in Cao et al., "HashNet", ICCV 2017: the solution of a smooth problem
    is the start of a sharper one. gamma_t = gamma^t rises from 1 to gamma as t goes from 0 to 1.

    Attributes:
        gamma: sharpness in the last epoch.
    """

    gamma: float

    def bounded(self, P: Tensor, progress: float) -> Tensor:
        """Return tanh(gamma_t P)."""
        return torch.tanh(self.gamma**progress * P)

    def codes(self, bounded: Tensor, random: torch.Generator) -> Tensor:  # noqa: ARG002
        """Return tanh(gamma_t P)."""
        return bounded

    def penalty(self, bounded: Tensor) -> Tensor:
        """Return 0."""
        return bounded.new_zeros(())


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
