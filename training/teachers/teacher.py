"""The protocol every teacher implements."""

from __future__ import annotations

from typing import Any, Protocol

import torch

from training.data.interactions import Interactions
from training.embeddings import Embeddings
from training.progress import Progress


class Teacher(Protocol):
    """A float model whose ranking a hash model learns from; its fields are its settings."""

    def model_dump(self) -> dict[str, Any]:
        """Return the settings by name, defaults included."""
        ...

    def fit(
        self, train: Interactions, *, seed: int, device: torch.device, progress: Progress
    ) -> Embeddings:
        """Learn factors of every user and item row of `train`.

        The same data, seed, device and number of threads give the same factors bit for bit.

        Raises:
            EmptyDataError: `train` has nothing to learn from.
        """
        ...
