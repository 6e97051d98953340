"""Adam for tables of which each step updates only some rows."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class RowAdam:
    """Adam that updates only the rows, and their moments, that have a gradient in a step.

    Without bias correction: the first steps of a row are up to three times as long, which helps
    rarely seen rows.

    Args:
        parameters: float32, shape (n, d); steps change it in place.
    """

    def __init__(self, parameters: Tensor) -> None:
        self._parameters = parameters
        self._mean = torch.zeros_like(parameters)
        self._square = torch.zeros_like(parameters)

    def state_dict(self) -> dict[str, Any]:
        """Return the moments; the parameters are not part of the state."""
        return {"mean": self._mean, "square": self._square}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore moments from `state_dict`."""
        self._mean.copy_(state_dict["mean"])
        self._square.copy_(state_dict["square"])

    def step(self, rows: Tensor, gradient: Tensor, rate: float) -> None:
        """Take one step for some rows, each at most once."""
        mean = self._mean[rows].lerp_(gradient, 0.1)
        square = self._square[rows].lerp_(gradient.square(), 0.001)
        self._mean[rows], self._square[rows] = mean, square
        self._parameters[rows] -= rate * mean / square.sqrt_().add_(1e-12)
