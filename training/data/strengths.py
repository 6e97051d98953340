"""What the strengths of a file's rows are, where nobody has said: a policy from the data."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hashrec.index.strength import MOST, UNIT, USUAL_WORTHS, Amounts, Strength

SKEW = 4.0  # the largest of some counts is at least this many times their first quartile
_RATING_VALUES = 101  # a scale of ratings has at most as many different values
_LARGEST_RATING = 100.0
_MOST_SORTED = 1_000_000  # values that say how all are distributed, at least half of these
_REPEATED = 0.01  # share of the rows that repeat a pair, from which on repeats say something


@dataclass(frozen=True)
class Derived:
    """A policy, and how it came about.

    Attributes:
        policy: by which amounts are computed.
        reason: what the rows were taken for, one line; empty if there is nothing to say.
        expected: whether such strengths usually help, so that they are used unless held-out data
            speak against them.
    """

    policy: Strength
    reason: str = ""
    expected: bool = False


EVEN = Derived(Strength())


def derive(rows: pl.DataFrame, values: NDArray[np.floating[Any]] | None, n_pairs: int) -> Derived:
    """Derive a policy from the positive rows of a file.

    Args:
        rows: with `type` if the file has types.
        values: of the rows, NaN where there is none; None if the file has none.
        n_pairs: distinct pairs of user and item among the rows.
    """
    if "type" in rows.columns:
        kinds = rows.get_column("type").drop_nulls().unique().to_list()
        if (of_types := derived_from_types(kinds)) is not None:
            return of_types
    if values is not None:
        known = values[~np.isnan(values)]
        if len(known) and known.min() < known.max():
            return _of_values(known)
    if rows.height - n_pairs >= _REPEATED * max(rows.height, 1):
        policy = Strength(repeats="sum", scale="logarithm")
        return Derived(policy, "repeated pairs: they add up, on a logarithmic scale", True)
    return EVEN


def derived_from_types(kinds: Collection[str]) -> Derived | None:
    """Return the usual worths of the types of an event log; None if these are all alike."""
    policy = Strength(types=USUAL_WORTHS, repeats="sum", scale="logarithm")
    if len({policy.worth(kind) for kind in kinds}) < 2:
        return None
    known = ", ".join(
        f"{kind} {policy.worth(kind):g}" for kind in sorted(kinds) if kind.lower() in USUAL_WORTHS
    )
    reason = f"an event log: {known}, other types 1; repeats add up, on a logarithmic scale"
    return Derived(policy, reason, expected=True)


def _of_values(values: NDArray[np.floating[Any]]) -> Derived:
    some = values[:: max(1, len(values) // _MOST_SORTED)]
    low, median = map(float, np.quantile(some, (0.25, 0.5)))
    least, most = float(values.min()), float(values.max())
    whole = bool((values == np.rint(values)).all())
    if whole and least >= 1 and most >= SKEW * low and (most > 10 or low == median == least):
        policy = Strength(value="multiplied", repeats="sum", scale="logarithm")
        return Derived(
            policy, f"counts from 1 to {most:g}: they add up, on a logarithmic scale", True
        )
    n_values = len(np.unique(some))
    lowest = float(values[values > 0].min(initial=most))
    if n_values <= _RATING_VALUES and 0 < lowest < most <= _LARGEST_RATING:
        policy = Strength(
            value="multiplied", value_range=(lowest, most), missing_value=median, repeats="largest"
        )
        return Derived(policy, f"ratings from {least:g} to {most:g}: higher ones may count more")
    return Derived(
        Strength(),
        f"values from {least:g} to {most:g} are neither counts nor ratings; they do not count "
        "(--strength FILE says what they are worth)",
    )


def amounts_or_none(amounts: NDArray[np.integer[Any]]) -> Amounts | None:
    """Return amounts in the form that `Interactions` has them; None if every pair has one unit."""
    return None if (amounts == UNIT).all() else np.minimum(amounts, MOST).astype(np.uint16)
