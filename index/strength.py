"""What an interaction is worth: one policy for files, journals, live updates and training.

An event adds an amount, `worth of its type * factor of its value`, to its pair of user and item.
The strength of a pair is its amount, or the logarithm of it, times a weight that halves with age.

Amounts and strengths are integers in sixteenths, so that sums do not depend on their order and a
history has the same code on every machine.
"""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self, cast

import numpy as np
from numpy.typing import NDArray
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PositiveFloat,
    ValidationError,
    field_validator,
)

from hashrec.index.errors import ConfigError

UNIT = 16  # of amounts and strengths: an event of worth 1 adds 16
MOST = 65_535  # of an amount: 4,095 events of worth 1
NEWEST = 255  # recency of the newest interaction
SECONDS_A_DAY = 86_400.0
_MOST_TOLD = 8  # types that a message names

Amounts = NDArray[np.uint16]

# A refusal takes back; what was only shown says nothing. These hold unless a policy says otherwise.
_SIGNS = {
    "dislike": -1.0,
    "skip": -1.0,
    "hide": -1.0,
    "impression": 0.0,
    "impressions": 0.0,
    "exposure": 0.0,
    "shown": 0.0,
    "remove_from_cart": 0.0,
}
# Worths of the usual types of event logs, in lower case.
USUAL_WORTHS = {
    "view": 1.0,
    "pageview": 1.0,
    "detail_view": 1.0,
    "click": 1.0,
    "read": 1.0,
    "play": 1.0,
    "watch": 1.0,
    "listen": 1.0,
    "like": 2.0,
    "favorite": 2.0,
    "favourite": 2.0,
    "wishlist": 2.0,
    "bookmark": 2.0,
    "save": 2.0,
    "share": 2.0,
    "follow": 2.0,
    "add_to_wishlist": 2.0,
    "cart": 3.0,
    "addtocart": 3.0,
    "add_to_cart": 3.0,
    "add-to-cart": 3.0,
    "basket": 3.0,
    "purchase": 5.0,
    "buy": 5.0,
    "bought": 5.0,
    "order": 5.0,
    "transaction": 5.0,
}


def _in_range(worth: float) -> float:
    if worth and not 1 / UNIT <= abs(worth) <= MOST / UNIT:
        raise ValueError(f"a worth is 0, or of a size from {1 / UNIT} to {MOST // UNIT}")
    return worth


Worth = Annotated[float, AfterValidator(_in_range)]


class Strength(BaseModel):
    """The policy. By default all positive interactions have the same strength.

    Attributes:
        types: worth of each type of event, by its name in lower case. Below 0 it takes back earlier
            events of the pair, whatever its size; at 0 it changes nothing.
        other: worth of every other type, and of rows without a type.
        value: `ignored`, or `multiplied` by the worth.
        value_range: smaller and larger values count as its ends.
        missing_value: what a row without a value counts as.
        repeats: amounts of a pair are added up (`sum`), or the `largest` counts.
        scale: a strength is the amount itself (`linear`), or log2(1 + amount) (`logarithm`).
        half_life_days: age at which a pair counts half; None for no effect of age.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False
    )

    types: dict[str, Worth] = Field(default_factory=dict)
    other: Annotated[Worth, Field(gt=0)] = 1.0
    value: Literal["ignored", "multiplied"] = "ignored"
    value_range: tuple[PositiveFloat, PositiveFloat] | None = None
    missing_value: PositiveFloat = 1.0
    repeats: Literal["sum", "largest"] = "largest"
    scale: Literal["linear", "logarithm"] = "linear"
    half_life_days: PositiveFloat | None = None

    @field_validator("types")
    @classmethod
    def _complete(cls, types: dict[str, float]) -> dict[str, float]:
        return dict(
            sorted((_SIGNS | {name.lower(): worth for name, worth in types.items()}).items())
        )

    @field_validator("value_range")
    @classmethod
    def _ascending(cls, ends: tuple[float, float] | None) -> tuple[float, float] | None:
        if ends is not None and ends[0] >= ends[1]:
            raise ValueError("the first end must be below the second")
        return ends

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> Self:
        """Make a policy from plain data, as TOML and JSON give it.

        Raises:
            ConfigError: a setting is unknown, of the wrong type or out of range.
        """
        try:
            return cls.model_validate(dict(settings))
        except ValidationError as error:
            problems: list[str] = []
            for problem in error.errors(include_url=False):
                name = ".".join(map(str, problem["loc"]))
                if problem["type"] == "extra_forbidden":
                    known = ", ".join(sorted(cls.model_fields))
                    problems.append(
                        f"no setting {name!r} (there are {known}); types of events go into "
                        "[strength.types]"
                    )
                else:
                    said = problem["msg"].removeprefix("Value error, ")
                    problems.append(f"{name}: {said[:1].lower()}{said[1:]}")
            raise ConfigError(f"[strength]: {'; '.join(problems)}") from None

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read the table [strength] of a TOML file.

        Raises:
            ConfigError: the file is missing or not TOML, has no such table, or a setting is wrong.
        """
        try:
            content = tomllib.loads(path.read_text())
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise ConfigError(f"{path}: cannot be read as TOML: {error}") from error
        settings = content.get("strength")
        if not isinstance(settings, dict):
            raise ConfigError(f"{path}: no table [strength]; see docs/strength.md for its settings")
        return cls.of(cast("dict[str, Any]", settings))

    @property
    def negative_types(self) -> frozenset[str]:
        """The types that take back."""
        return frozenset(name for name, worth in self.types.items() if worth < 0)

    @property
    def is_even(self) -> bool:
        """Whether every positive interaction has the same strength, whatever the data are."""
        worths = {worth for worth in self.types.values() if worth > 0} | {self.other}
        return (
            len(worths) == 1
            and self.value == "ignored"
            and self.repeats == "largest"
            and self.half_life_days is None
        )

    def with_negative_types(self, names: Collection[str]) -> Self:
        """Return the policy with these negative types in place of its own.

        A type that is negative no longer has the worth of an unnamed type.
        """
        wanted = {name.lower() for name in names}
        types = {
            name: self.other if worth < 0 else worth for name, worth in self.types.items()
        } | dict.fromkeys(wanted, -1.0)
        return self.model_copy(update={"types": dict(sorted(types.items()))})

    def even(self) -> Strength:
        """Return the policy with the same types, by which all positives are alike."""
        return Strength(types={name: float(np.sign(worth)) for name, worth in self.types.items()})

    def worth(self, kind: str | None) -> float:
        """Return the worth of a type; None is a row without one."""
        return self.other if kind is None else self.types.get(kind.lower(), self.other)

    def amount(self, kind: str | None, value: float | None = None) -> int:
        """Return what an event adds to its pair, in sixteenths; below 0 it takes back."""
        worth = self.worth(kind)
        if worth <= 0:
            return -1 if worth < 0 else 0
        values = np.array([np.nan if value is None else value])
        return int(self.amounts(np.array([worth]), values)[0])

    def amounts(
        self, worths: NDArray[np.floating[Any]], values: NDArray[np.floating[Any]] | None
    ) -> Amounts:
        """Return what events of positive worths add to their pairs, uint16, shape (n,).

        Args:
            worths: float, shape (n,).
            values: float, shape (n,), NaN where there is none; None for no values at all.
        """
        products = worths.astype(np.float64) * UNIT
        if self.value == "multiplied":
            factors = np.full(len(worths), self.missing_value) if values is None else values
            factors = np.where(np.isnan(factors), self.missing_value, factors).astype(np.float64)
            if self.value_range is not None:
                factors = np.clip(factors, *self.value_range)
            products = products * factors
        return np.clip(np.rint(products), 1, MOST).astype(np.uint16)

    def combined(
        self, before: NDArray[np.integer[Any]], added: NDArray[np.integer[Any]]
    ) -> Amounts:
        """Return the amounts of pairs after further events; 0 is a pair without an event."""
        earlier, later = before.astype(np.int64), added.astype(np.int64)
        both = earlier + later if self.repeats == "sum" else np.maximum(earlier, later)
        return np.minimum(both, MOST).astype(np.uint16)

    def strengths(
        self, amounts: NDArray[np.integer[Any]], recency: NDArray[np.integer[Any]] | None = None
    ) -> NDArray[np.int64]:
        """Return the strengths of pairs in sixteenths, at least 1.

        Args:
            amounts: shape (n,), of their events.
            recency: see `recency`; None where age has no effect.
        """
        strengths = amounts.astype(np.int64)
        if self.scale == "logarithm":
            # Only powers of 2 have rational logarithms, so no rounding is close to a tie.
            strengths = np.rint(UNIT * np.log2(1 + strengths / UNIT)).astype(np.int64)
        if recency is not None:
            strengths = (strengths * recency.astype(np.int64) + NEWEST // 2) // NEWEST
        return np.maximum(strengths, 1)

    def recency(self, seconds: NDArray[np.integer[Any]]) -> NDArray[np.uint8] | None:
        """Return 255 * 2^(-age / half-life) of pairs, at least 1; None without a half-life.

        Args:
            seconds: shape (n,), times of the pairs; the age is counted from the newest.
        """
        if self.half_life_days is None or not len(seconds):
            return None
        ages = (seconds.max() - seconds) / (self.half_life_days * SECONDS_A_DAY)
        return np.clip(np.rint(NEWEST * np.exp2(-ages)), 1, NEWEST).astype(np.uint8)

    def describe(self) -> str:
        """Say what counts, in one line."""
        parts: list[str] = []
        worths = {name: worth for name, worth in self.types.items() if worth > 0}
        if len(set(worths.values()) | {self.other}) > 1:
            told = [f"{name} {worth:g}" for name, worth in worths.items()]
            few = len(told) <= _MOST_TOLD
            parts.append(", ".join(told) if few else f"worths of {len(told)} types")
        if self.value == "multiplied":
            ends = "" if self.value_range is None else "{:g} to {:g}".format(*self.value_range)
            parts.append("values" + (f" from {ends}" if ends else ""))
        if self.repeats == "sum":
            parts.append("repeats added up")
        if parts and self.scale == "logarithm":
            parts.append("on a logarithmic scale")
        if self.half_life_days is not None:
            parts.append(f"half-life {self.half_life_days:g} days")
        return "; ".join(parts) or "all alike"


ALIKE = Strength()  # all positives count the same
NEGATIVE_TYPES = ALIKE.negative_types
