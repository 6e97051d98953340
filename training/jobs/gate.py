"""The interactions that `hashrec retrain` holds out to judge a candidate by.

The quality gate compares figures of different nights, so every night holds out the same
interactions: all after one moment, or those that a hash of their two ids chooses. The name of the
figures says which. When too much lies after a moment, the candidate is judged after a later one
too, to which the next night compares its own: it has not seen what lies there either.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from hashrec.index.errors import ConfigError, DataError, EmptyDataError
from hashrec.training.data.cuts import at_of, cut_of, iso
from hashrec.training.data.interactions import Interactions
from hashrec.training.data.splits import VALIDATION_SHARE, Split, parts_by_time, time_split
from hashrec.training.data.stable_holdout import stable_holdout
from hashrec.training.jobs.job import Job

GATES = ("time", "random")
KEPT_SHARE = 0.2  # of the interactions after a moment, up to which it stays
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
        later: those of validation after the moment of the next night; None if the moment stays.
        later_figures: names the figures that were measured on them.
    """

    split: Split
    pairs: Interactions
    figures: str
    report: dict[str, Any]
    later: Interactions | None = None
    later_figures: str = ""


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
        gate: `time` or `random`; None is what the served version was judged by, and otherwise
            `time` where the data have times that allow it.
        served: the figures of the served version, which name the moment that it was judged by; None
            if nothing is served.

    Raises:
        DataError: the gate is `time`, and the times do not allow it.
        EmptyDataError: there is nothing to hold out.
    """
    source = job.config.data.source
    if gate == "random":
        return _by_chance(interactions, source)
    served = served or {}
    if gate is None and interactions.timestamps is not None and _is_by_chance(served):
        job.say(
            "gate: random interactions, as the served version was judged; --gate time judges by "
            "those after a moment"
        )
        return _by_chance(interactions, source)
    cut, reason = _moment(interactions, served)
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
    split_of_candidate = Split(split.train, validation=split.test, cut=cut).by_popularity()
    held_out = HeldOut(
        split_of_candidate,
        interactions.where(known),
        f"after {iso(cut)}",
        {"strategy": "time", **split.told()},
    )
    validation, times = split_of_candidate.validation, interactions.first_times
    assert validation is not None
    assert times is not None
    if (times >= cut).mean() <= KEPT_SHARE:
        return held_out
    following = cut_of(interactions, str(VALIDATION_SHARE))
    assert validation.first_times is not None
    later = validation.where(validation.first_times >= following)
    if following <= cut or not len(later):
        return held_out
    job.say(f"gate: the next night is judged by the interactions after {iso(following)}")
    return replace(held_out, later=later, later_figures=f"after {iso(following)}")


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


def _is_by_chance(served: Mapping[str, float]) -> bool:
    return any(name.startswith("validation/") for name in served)


def _moment(interactions: Interactions, served: Mapping[str, float]) -> tuple[int | None, str]:
    """Return where to cut, or None and why there is no cut."""
    times = interactions.first_times
    if times is None or not len(times):
        return None, "the data have no times"
    if times.min() == times.max():
        return None, "all interactions are of the same time"
    moments = [int(at_of(match[1])) for name in served if (match := _AFTER.match(name))]
    cut = max(moments, default=0)
    if not times.min() < cut <= times.max():
        cut = cut_of(interactions, str(VALIDATION_SHARE))
    n_known = int(parts_by_time(interactions, cut)[1].sum())
    if n_known < LEAST_SHARE * len(times):
        return None, (
            f"of {int(np.sum(times >= cut)):,} interactions after {iso(cut)} only {n_known:,} are "
            "of known users and items"
        )
    return cut, ""
