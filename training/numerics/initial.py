"""Initial weights of networks, drawn from a passed generator."""

from __future__ import annotations

import torch
from torch import nn


def normal_parameter(random: torch.Generator, *shape: int, scale: float) -> nn.Parameter:
    """Draw a float32 parameter from a normal distribution.

    Args:
        random: generator on the device of the parameter.
        shape: of the parameter.
        scale: standard deviation.
    """
    return nn.Parameter(scale * torch.randn(shape, generator=random, device=random.device))
