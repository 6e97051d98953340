"""The protocol every hash model implements, and the codes it returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Protocol

import torch
from pydantic import AfterValidator
from torch import Tensor

from hashrec.index.arrays.codes import BinaryCodes, require_code_width
from hashrec.index.errors import CodeWidthError, ConfigError
from hashrec.index.model.encoder import Encoder
from hashrec.index.model.refiner import UserRefiner
from hashrec.training.data.interactions import Interactions
from hashrec.training.models.parts.encoding import fit_encoder
from hashrec.training.numerics.scorer import Scorer
from hashrec.training.progress import Progress


def _packs_into_bytes(n_bits: int) -> int:
    require_code_width(n_bits)
    return n_bits


CodeWidth = Annotated[int, AfterValidator(_packs_into_bytes)]


@dataclass(frozen=True, eq=False)
class HashCodes:
    """A code of every user and item; the smaller the Hamming distance, the better the match.

    Attributes:
        users: n_users codes, in row order.
        items: n_items codes of the same width.
        encoder: codes new users and items; `fit_encoder` fits one to any codes.
        refiner: improves the codes of new users; None if the model has none.
    """

    users: BinaryCodes
    items: BinaryCodes
    encoder: Encoder
    refiner: UserRefiner | None = None

    def __post_init__(self) -> None:
        for n_bits in (self.items.n_bits, self.encoder.users.n_bits, self.encoder.items.n_bits):
            if n_bits != self.users.n_bits:
                raise CodeWidthError(self.users.n_bits, n_bits)

    @classmethod
    def fitted(cls, train: Interactions, users: BinaryCodes, items: BinaryCodes) -> HashCodes:
        """Return codes learned from `train` with an encoder fitted to them."""
        return cls(users, items, fit_encoder(train, users, items))


def codes_of_signs(train: Interactions, users: Tensor, items: Tensor) -> HashCodes:
    """Return the signs as codes, zero counting as +1, with an encoder fitted to them.

    Args:
        train: the training interactions.
        users: float, shape (n_users, n_bits).
        items: float, shape (n_items, n_bits).
    """
    return HashCodes.fitted(train, packed_signs(users), packed_signs(items))


def packed_signs(x: Tensor) -> BinaryCodes:
    """Return the signs of float rows, shape (n, n_bits), as codes; zero counts as +1."""
    return BinaryCodes.from_signs(x.cpu().numpy())


class HashModel(Protocol):
    """Learns binary codes; its fields are its settings.

    Attributes:
        needs_teacher: whether `fit` refuses to work without a teacher.
        default_teacher: name of the teacher used unless the job names another.
        uses_strengths: whether it learns more from stronger interactions.
        n_bits: width of the codes, a multiple of 8.
    """

    needs_teacher: ClassVar[bool]
    default_teacher: ClassVar[str]
    uses_strengths: ClassVar[bool]

    @property
    def n_bits(self) -> int: ...  # noqa: D102

    def model_dump(self) -> dict[str, Any]:
        """Return the settings by name, defaults included."""
        ...

    def fit(
        self,
        train: Interactions,
        teacher: Scorer | None,
        *,
        seed: int,
        device: torch.device,
        progress: Progress,
    ) -> HashCodes:
        """Learn a code for every user and item row of `train`.

        The same data, teacher, seed, device and number of threads give the same codes bit for bit.

        Raises:
            ConfigError: a needed teacher is missing, or was fitted on other data.
            EmptyDataError: `train` has no usable interactions.
        """
        ...


def require_teacher(teacher: Scorer | None, train: Interactions) -> Scorer:
    """Check that the teacher exists and was fitted on the rows of `train`; return it.

    Raises:
        ConfigError: the teacher is missing, or was fitted on other data.
    """
    if teacher is None:
        raise ConfigError("this model needs a teacher; name one with --teacher")
    if (teacher.n_users, teacher.n_items) != (train.n_users, train.n_items):
        raise ConfigError(
            f"the teacher was fitted on {teacher.n_users} users and {teacher.n_items} items, but "
            f"the training data have {train.n_users} and {train.n_items}; fit it on the same data"
        )
    return teacher
