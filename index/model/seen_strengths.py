"""How strongly users have the items of their histories, beside `Model.seen`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hashrec.index.strength import Amounts


@dataclass(frozen=True, eq=False)
class SeenStrengths:
    """What the model learned of each pair in `Model.seen`, in the order of its items.

    It takes 2 bytes a pair, and one more with a half-life.

    Attributes:
        amounts: uint16, shape (n_pairs,), what the events of the pair added up to.
        recency: uint8, shape (n_pairs,), as `Strength.recency` had it when the model learned; None
            without a half-life.
    """

    amounts: Amounts
    recency: NDArray[np.uint8] | None = None

    def check(self, n_pairs: int) -> None:
        """Check that there is an amount above 0 for each pair.

        Raises:
            ValueError: there is not.
        """
        arrays = (self.amounts,) if self.recency is None else (self.amounts, self.recency)
        if any(len(array) != n_pairs for array in arrays):
            raise ValueError("seen: strengths and items differ in number")
        if n_pairs and min(int(array.min()) for array in arrays) < 1:
            raise ValueError("seen: a strength is 0")
