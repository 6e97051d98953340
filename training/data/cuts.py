"""The moment at which `--split time` cuts the data, from a date or a share of the interactions."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np

from hashrec.index.errors import ConfigError, DataError
from hashrec.training.data.interactions import Interactions

DEFAULT_AT = "0.2"


def cut_of(interactions: Interactions, at: str | None = None) -> int:
    """Return the moment of a cut, in seconds since 1970 UTC.

    Args:
        interactions: with timestamps.
        at: a date or time in ISO 8601, UTC unless it names a zone; or the share of the interactions
            that lies after the cut, between 0 and 1. A moment has all its interactions on one side,
            so the share is met as nearly as the times allow. None is a share of 0.2.

    Raises:
        ConfigError: `at` is neither.
        DataError: there are no timestamps, or none before or after the cut.
    """
    times = interactions.first_times
    if times is None or not len(times):
        raise DataError(
            "no timestamps to split by; name their column with --map timestamp=COLUMN, or choose "
            "--split random"
        )
    asked = at_of(DEFAULT_AT if at is None else at)
    moments, counts = np.unique(times, return_counts=True)
    if isinstance(asked, int):
        if not moments[0] < asked <= moments[-1]:
            raise DataError(
                f"no interaction {'before' if asked <= moments[0] else 'after'} {iso(asked)}: "
                f"the times go from {iso(int(moments[0]))} to {iso(int(moments[-1]))}; choose "
                "another --at"
            )
        return asked
    if len(moments) == 1:
        raise DataError(
            f"all interactions are of {iso(int(moments[0]))}, so that no moment splits them; "
            "choose --split random"
        )
    n_after = np.cumsum(counts[::-1])[::-1][1:]  # of a cut at each moment but the first
    return int(moments[1 + int(np.argmin(np.abs(n_after - asked * len(times))))])


def at_of(text: str) -> float | int:
    """Return a share, or a date in seconds since 1970.

    Raises:
        ConfigError: the text is neither.
    """
    try:
        share = float(text)
    except ValueError:
        share = 0.0
    if 0 < share < 1:
        return share
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(
            f"--at {text!r} is neither a share between 0 and 1 nor a date such as 2026-01-31 or "
            "2026-01-31T18:00"
        ) from None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())


def iso(moment: int) -> str:
    """Return seconds since 1970 as ISO 8601 in UTC, such as `2026-01-31T18:00:00Z`.

    A moment outside the calendar is returned as a number that says so.
    """
    try:
        return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%dT%H:%M:%SZ}"
    except (ValueError, OverflowError, OSError):
        return f"{moment} seconds, which is not a date"
