"""The protocol every hash model implements, and the codes it returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import torch

from index.codes import BinaryCodes
from index.errors import CodeWidthError
from training.data.interactions import Interactions
from training.embeddings import Embeddings
from training.progress import Progress


@dataclass(frozen=True, eq=False)
class HashCodes:
    """A code of every user and item; the smaller the Hamming distance, the better the match.

    Attributes:
        users: n_users codes, in row order.
        items: n_items codes of the same width.
    """

    users: BinaryCodes
    items: BinaryCodes

    def __post_init__(self) -> None:
        if self.users.n_bits != self.items.n_bits:
            raise CodeWidthError(self.users.n_bits, self.items.n_bits)


class HashModel(Protocol):
    """Learns binary codes; its fields are its settings.

    Attributes:
        needs_teacher: whether `fit` refuses to work without a teacher.
        default_teacher: which one it learns from unless the job names another.
        n_bits: width of the codes, a multiple of 8.
    """

    needs_teacher: ClassVar[bool]
    default_teacher: ClassVar[str]

    @property
    def n_bits(self) -> int: ...  # noqa: D102

    def model_dump(self) -> dict[str, Any]:
        """Return the settings by name, defaults included."""
        ...

    def fit(
        self,
        train: Interactions,
        teacher: Embeddings | None,
        *,
        seed: int,
        device: torch.device,
        progress: Progress,
    ) -> HashCodes:
        """Learn a code for every user and item row of `train`.

        The same data, teacher, seed, device and number of threads give the same codes bit for bit.

        Raises:
            ConfigError: the teacher is missing where it is needed, or is of other rows.
            EmptyDataError: `train` has nothing to learn from.
        """
        ...
