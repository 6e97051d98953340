"""The protocol every teacher implements."""

from __future__ import annotations

from typing import Any, ClassVar, Protocol

import torch

from hashrec.training.data.interactions import Interactions
from hashrec.training.numerics.scorer import Scorer
from hashrec.training.progress import Progress


class Teacher(Protocol):
    """A float model whose ranking a hash model learns from; its fields are its settings.

    Attributes:
        uses_strengths: whether it learns more from stronger interactions.
    """

    uses_strengths: ClassVar[bool]

    def model_dump(self) -> dict[str, Any]:
        """Return the settings by name, defaults included."""
        ...

    def fit(
        self, train: Interactions, *, seed: int, device: torch.device, progress: Progress
    ) -> Scorer:
        """Learn to score every item row of `train` for every user row.

        The result is an `Embeddings` if the scores have factors, and a `FoldInScorer` if new users
        can be scored. The same data, seed, device and number of threads give the
        same scores bit for bit.

        Raises:
            EmptyDataError: `train` has no usable interactions.
        """
        ...
