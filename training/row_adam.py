"""An optimiser for tables of which a step sees only some rows."""

from __future__ import annotations

import torch
from torch import Tensor


class RowAdam:
    """Adam that moves, and remembers, only the rows that a step has a gradient for.

    Without the correction for its start: a row's first steps are up to three times as long, which
    brings rarely seen rows forward.

    Args:
        parameters: float32, shape (n, d); steps change it in place.
    """

    def __init__(self, parameters: Tensor) -> None:
        self._parameters = parameters
        self._mean = torch.zeros_like(parameters)
        self._square = torch.zeros_like(parameters)

    def step(self, rows: Tensor, gradient: Tensor, rate: float) -> None:
        """Take one step for some rows, each at most once."""
        mean = self._mean[rows].lerp_(gradient, 0.1)
        square = self._square[rows].lerp_(gradient.square(), 0.001)
        self._mean[rows], self._square[rows] = mean, square
        self._parameters[rows] -= rate * mean / square.sqrt_().add_(1e-12)
