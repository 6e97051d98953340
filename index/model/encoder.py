"""Codes for new users and items, by sums of small integer vectors.

Every step is integer arithmetic, or floating-point arithmetic that IEEE 754 defines to the last
bit, so a history has the same code on every machine.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from hashrec.index.arrays.codes import BinaryCodes
from hashrec.index.arrays.seen import RowLists
from hashrec.index.errors import ConfigError
from hashrec.index.strength import UNIT

BIAS_UNIT = 256  # a bias is given in this fraction of a weight's unit
CHOICE_PER_REFUSAL = 4  # weight of a positive item in units of a negative one
_BLOCK = 4096  # codes encoded at a time
LARGEST = 127  # of a weight; -128 is not used, so that every weight can be negated


@dataclass(frozen=True, eq=False)
class UserEncoder:
    """Computes a user's code from the items they chose and refused.

    With A_i the weights of item i, b the bias and n the number of positive items,

        code = sign(sum_(i positive) A_i - 1/4 sum_(j negative) A_j + n^(3/4) b),

    the sign of a linear map of the history divided by n^(3/4). That lies between a sum, where long
    histories outweigh b, and a mean, where they say no more than short ones. A refusal counts a
    quarter of a choice, because people also refuse items that are close to their taste.

    With strengths w_i, A_i is multiplied by w_i, and n^(3/4) is (sum_i w_i) / n^(1/4).

    Attributes:
        weights: int8, shape (n_items, n_bits), A.
        bias: int32, shape (n_bits,), b in 1/256 of a weight's unit.
    """

    weights: NDArray[np.int8]
    bias: NDArray[np.int32]

    @classmethod
    def quantised(
        cls, weights: NDArray[np.floating[Any]], bias: NDArray[np.floating[Any]] | None = None
    ) -> Self:
        """Round a float map to integers, with one scale for each bit, which changes no sign.

        Args:
            weights: float, shape (n_items, n_bits).
            bias: float, shape (n_bits,); None is 0.

        Raises:
            ConfigError: a value is not finite.
        """
        return cls(*_quantised(weights, bias))

    @property
    def n_bits(self) -> int:
        """Dimensions of the codes."""
        return self.weights.shape[1]

    def encode(
        self,
        positives: RowLists,
        negatives: RowLists | None = None,
        weights: NDArray[np.integer[Any]] | None = None,
    ) -> BinaryCodes:
        """Return the code of each history.

        Args:
            positives: item rows that each user chose.
            negatives: item rows that each user refused, one list a user; None if there are none.
            weights: strengths of the `positives.items`, in sixteenths; None if all are 1.
        """

        def weights_of(rows: NDArray[np.int32]) -> NDArray[np.int8]:
            return self.weights.take(rows, axis=0)

        def fields(part: range) -> NDArray[np.int64]:
            lengths = positives.counts()[part.start : part.stop]
            if weights is None:
                wanted = _sums(weights_of, self.n_bits, positives, part).astype(np.int64)
                wanted += _rounded(length_scale(lengths), self.bias)
            else:
                wanted, totals = _weighted_sums(self.weights, positives, weights, part)
                root = np.sqrt(np.sqrt(np.maximum(lengths, 1).astype(np.float64)))
                wanted += _rounded(totals / root, self.bias)
            if negatives is None:
                return wanted
            choice = CHOICE_PER_REFUSAL * wanted
            refused = _sums(weights_of, self.n_bits, negatives, part)
            return choice - (refused if weights is None else UNIT * refused.astype(np.int64))

        return _codes(len(positives), self.n_bits, fields)

    def check(self, n_items: int, n_bits: int) -> None:
        """Check that the arrays fit the number of items and the code width.

        Raises:
            ValueError: they do not.
        """
        if self.weights.shape != (n_items, n_bits) or self.bias.shape != (n_bits,):
            raise ValueError("user_encoder: it has other items or another width")


@dataclass(frozen=True, eq=False)
class ItemEncoder:
    """Computes an item's code from the codes of its users.

    With p_u the +-1 codes of its n users,

        code = sign(M^T sum_u p_u + sqrt(n) b),

    the sign of a linear map of the sum of the users' codes divided by sqrt(n). That quotient grows
    with sqrt(n), so the map depends on the popularity of an item and not only on its users.

    Attributes:
        weights: int8, shape (n_bits, n_bits), M: a row for each bit of a user, a column for each
            bit of an item.
        bias: int32, shape (n_bits,), b in 1/256 of a weight's unit.
    """

    weights: NDArray[np.int8]
    bias: NDArray[np.int32]

    @classmethod
    def quantised(cls, weights: NDArray[np.floating[Any]], bias: NDArray[np.floating[Any]]) -> Self:
        """Round a float map to integers; see `UserEncoder.quantised`."""
        return cls(*_quantised(weights, bias))

    @property
    def n_bits(self) -> int:
        """Dimensions of the codes."""
        return self.weights.shape[1]

    def encode(self, user_codes: BinaryCodes, users: RowLists) -> BinaryCodes:
        """Return the code of each item.

        Args:
            user_codes: codes of all users.
            users: user rows of each item.
        """
        map_ = self.weights.astype(np.float64)

        def fields(part: range) -> NDArray[np.int64]:
            sums = _sums(lambda rows: user_codes[rows].to_signs(), self.n_bits, users, part)
            # Integers this small are exact in float64, in any order of summation.
            mapped = (sums @ map_).astype(np.int64)
            return mapped + _rounded(np.sqrt(users.counts()[part.start : part.stop]), self.bias)

        return _codes(len(users), self.n_bits, fields)

    def check(self, n_bits: int) -> None:
        """Check that the arrays fit the code width.

        Raises:
            ValueError: they do not.
        """
        if self.weights.shape != (n_bits, n_bits) or self.bias.shape != (n_bits,):
            raise ValueError("item_encoder: it has another width")


@dataclass(frozen=True, eq=False)
class Encoder:
    """Encodes users and items that come after training, in the space of the learned codes.

    Attributes:
        users: encodes a user from a history.
        items: encodes an item from its users' codes.
    """

    users: UserEncoder
    items: ItemEncoder

    def check(self, n_items: int, n_bits: int) -> None:
        """Check that both parts fit the number of items and the code width.

        Raises:
            ValueError: they do not.
        """
        self.users.check(n_items, n_bits)
        self.items.check(n_bits)


def length_scale(lengths: NDArray[np.integer[Any]]) -> NDArray[np.float64]:
    """Return n^(3/4) of each length n by square roots, which IEEE 754 rounds correctly."""
    root = np.sqrt(lengths.astype(np.float64))
    return root * np.sqrt(root)


def _codes(n: int, n_bits: int, fields: Callable[[range], NDArray[np.int64]]) -> BinaryCodes:
    """Take signs in blocks: unpacked codes of a million users would take gigabytes."""
    packed = np.empty((n, n_bits // 8), dtype=np.uint8)
    for start in range(0, n, _BLOCK):
        part = range(start, min(start + _BLOCK, n))
        packed[part.start : part.stop] = BinaryCodes.from_signs(fields(part)).packed
    return BinaryCodes(packed)


def _sums(
    vectors_of: Callable[[NDArray[np.int32]], NDArray[np.int8]],
    n_bits: int,
    lists: RowLists,
    part: range,
) -> NDArray[np.int32]:
    """Sum the vectors of each list's rows; one list at a time fits the cache of the processor.

    Returns:
        int32, shape (len(part), n_bits).
    """
    sums = np.empty((len(part), n_bits), dtype=np.int32)
    for position, owner in enumerate(part):
        vectors_of(lists[owner]).sum(axis=0, dtype=np.int32, out=sums[position])
    return sums


def _weighted_sums(
    vectors: NDArray[np.int8], lists: RowLists, weights: NDArray[np.integer[Any]], part: range
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Sum the vectors of each list's rows, each times its weight.

    Returns:
        int64, shape (len(part), n_bits), and the sums of the weights, float64, shape (len(part),).
    """
    sums = np.empty((len(part), vectors.shape[1]), dtype=np.int64)
    totals = np.empty(len(part))
    for position, owner in enumerate(part):
        own = weights[lists.indptr[owner] : lists.indptr[owner + 1]].astype(np.float64)
        # Integers below 2^53 are exact in float64, in any order of summation.
        sums[position] = own @ vectors.take(lists[owner], axis=0).astype(np.float64)
        totals[position] = own.sum()
    return sums, totals


def _rounded(scale: NDArray[np.float64], bias: NDArray[np.int32]) -> NDArray[np.int64]:
    """Return each scale times the bias in a weight's unit, rounded to integers."""
    return np.rint(scale[:, None] * bias / BIAS_UNIT).astype(np.int64)


def _quantised(
    weights: NDArray[np.floating[Any]], bias: NDArray[np.floating[Any]] | None
) -> tuple[NDArray[np.int8], NDArray[np.int32]]:
    offset = np.zeros(weights.shape[1]) if bias is None else bias.astype(np.float64)
    if not (np.isfinite(weights).all() and np.isfinite(offset).all()):
        raise ConfigError("an encoder holds NaN or infinity; the model that made it diverged")
    largest = np.abs(weights).max(axis=0, initial=0).astype(np.float64)
    scale = LARGEST / np.where(largest > 0, largest, 1)
    limit = np.iinfo(np.int32).max
    return (
        np.rint(weights * scale).astype(np.int8),
        np.rint(np.clip(offset * scale * BIAS_UNIT, -limit, limit)).astype(np.int32),
    )
