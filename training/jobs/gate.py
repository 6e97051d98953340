"""The interactions that `hashrec retrain` holds out to judge a candidate by.

The quality gate compares figures of different nights, so every night holds out the same
interactions: all after one moment, which stays for as long as a sensible share lies after it, or
those that a hash of their two ids chooses. The name of the figures says which.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from hashrec.index.errors import ConfigError, DataError, EmptyDataError
from hashrec.training.data.cuts import at_of, cut_of, iso
from hashrec.training.data.interactions import Interactions
from hashrec.training.data.splits import VALIDATION_SHARE, Split, parts_by_time, time_split
from hashrec.training.data.stable_holdout import stable_holdout
from hashrec.training.jobs.job import Job

GATES = ("time", "random")
KEPT_SHARES = (0.05, 0.2)  # of the interactions after a moment, within which it stays
LEAST_SHARE = 0.01  # of the interactions, that can be judged after a moment
_AFTER = re.compile(r"^after ([0-9T:-]+Z)/")


@dataclass(frozen=True, eq=False)
class HeldOut:
    """What is held out of the candidate's training.

    Attributes:
        split: training and validation, item rows in descending popularity in training.
        pairs: those of validation on the rows of the data.
        figures: names what the figures were measured on, in a manifest: `validation` or
            `after 2026-01-31T18:00:00Z`.
        report: for the report.
    """

    split: Split
    pairs: Interactions
    figures: str
    report: dict[str, Any]


def require_gate(gate: str | None) -> None:
    """Check the name of a gate.

    Raises:
        ConfigError: there is no such gate.
    """
    if gate not in {None, *GATES}:
        raise ConfigError(f"no gate {gate!r}; there are {', '.join(GATES)}")


def hold_out(
    job: Job, interactions: Interactions, gate: str | None, served: Mapping[str, float] | None
) -> HeldOut:
    """Hold out interactions by time where that is possible, else by the hash of their ids.

    Args:
        job: the job, which says what is held out.
        interactions: all that there are.
        gate: `time` or `random`; None is `time` where the data have times that allow it.
        served: the figures of the served version, which name the moment that it was judged by; None
            if nothing is served.

    Raises:
        DataError: the gate is `time`, and the times do not allow it.
        EmptyDataError: there is nothing to hold out.
    """
    source = job.config.data.source
    if gate == "random":
        return _by_chance(interactions, source)
    cut, reason = _moment(interactions, served or {})
    if cut is None:
        if gate == "time":
            raise DataError(f"{source}: cannot hold out by time: {reason}; choose --gate random")
        if interactions.timestamps is not None:
            job.say(f"gate: random interactions, not those after a moment: {reason}")
        return _by_chance(interactions, source)
    split = time_split(interactions, cut)
    _, known = parts_by_time(interactions, cut)
    job.say(
        f"gate: {int(known.sum()):,} interactions after {iso(cut)}; {split.n_unknown:,} of cold "
        "users or items are not judged"
    )
    return HeldOut(
        Split(split.train, validation=split.test, cut=cut).by_popularity(),
        interactions.where(known),
        f"after {iso(cut)}",
        {"strategy": "time", **split.told()},
    )


def _by_chance(interactions: Interactions, source: str) -> HeldOut:
    part, held_out = stable_holdout(interactions)
    if not len(held_out):
        raise EmptyDataError(
            source,
            "too little data to judge a model by; `hashrec train --split none` and "
            "`hashrec publish` take it as it is",
        )
    split = Split(part, validation=held_out).by_popularity()
    return HeldOut(split, held_out, "validation", {"strategy": "random"})


def _moment(interactions: Interactions, served: Mapping[str, float]) -> tuple[int | None, str]:
    """Return where to cut, or None and why there is no cut."""
    times = interactions.first_times
    if times is None or not len(times):
        return None, "the data have no times"
    if times.min() == times.max():
        return None, "all interactions are of the same time"
    cut = None
    for name in served:
        if (match := _AFTER.match(name)) is not None:
            before = int(at_of(match[1]))
            least, most = KEPT_SHARES
            cut = before if least <= (times >= before).mean() <= most else None
    if cut is None:
        cut = cut_of(interactions, str(VALIDATION_SHARE))
    n_known = int(parts_by_time(interactions, cut)[1].sum())
    if n_known < LEAST_SHARE * len(times):
        return None, (
            f"of {int(np.sum(times >= cut)):,} interactions after {iso(cut)} only {n_known:,} are "
            "of known users and items"
        )
    return cut, ""
