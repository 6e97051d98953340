"""An optimiser for tables of which a step sees only some rows."""

from __future__ import annotations

from typing import Any

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

    def state_dict(self) -> dict[str, Any]:
        """Return what it remembers of earlier steps; the parameters are not part of it."""
        return {"mean": self._mean, "square": self._square}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take on what another has remembered."""
        self._mean.copy_(state_dict["mean"])
        self._square.copy_(state_dict["square"])

    def step(self, rows: Tensor, gradient: Tensor, rate: float) -> None:
        """Take one step for some rows, each at most once."""
        mean = self._mean[rows].lerp_(gradient, 0.1)
        square = self._square[rows].lerp_(gradient.square(), 0.001)
        self._mean[rows], self._square[rows] = mean, square
        self._parameters[rows] -= rate * mean / square.sqrt_().add_(1e-12)
