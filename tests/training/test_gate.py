from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hashrec.index.arrays.ids import IdMap
from hashrec.index.errors import ConfigError, DataError, EmptyDataError
from hashrec.training.data.interactions import Interactions
from hashrec.training.data.stable_holdout import stable_holdout
from hashrec.training.jobs.config import JobConfig
from hashrec.training.jobs.gate import HeldOut, hold_out, require_gate
from hashrec.training.jobs.job import Job
from hashrec.training.progress import QuietProgress
from tests.training.pairs import interactions_of

HOUR = 3600
MOMENT = "after 1970-01-04T18:00:00Z"  # 90 hours


def everyone_daily(n_hours: int) -> Interactions:
    """Ten users take one of thirteen items in turn, one an hour: up to 130 distinct pairs."""
    hours = np.arange(n_hours)
    return Interactions(
        user_rows=(hours % 10).astype(np.int32),
        item_rows=((hours // 10 + hours % 10) % 13).astype(np.int32),
        users=IdMap.build(f"u{row}" for row in range(10)),
        items=IdMap.build(f"i{row}" for row in range(13)),
        timestamps=hours * HOUR,
    )


def held_out(
    data: Interactions, gate: str | None = None, served: dict[str, float] | None = None
) -> tuple[HeldOut, str]:
    said: list[str] = []
    job = Job.of(JobConfig(device="cpu"), QuietProgress(), said.append)
    return hold_out(job, data, gate, served), "\n".join(said)


def test_the_latest_tenth_is_held_out_and_its_moment_names_the_figures() -> None:
    found, said = held_out(everyone_daily(100))
    assert found.figures == MOMENT
    assert found.split.train.timestamps is not None
    assert found.split.train.timestamps.max() == 89 * HOUR
    assert len(found.pairs) == 10
    assert found.report["strategy"] == "time"
    assert found.report["cold"] == {"n_users": 0, "n_items": 0, "n_pairs": 0}
    assert said.startswith("gate: 10 interactions after 1970-01-04T18:00:00Z; 0 of cold users")


@pytest.mark.parametrize("n_hours", [92, 100, 112])
def test_a_moment_stays_while_no_more_than_a_fifth_lies_after_it(n_hours) -> None:
    found, _ = held_out(everyone_daily(n_hours), None, {f"{MOMENT}/ndcg@10": 0.3})
    assert (found.figures, found.later) == (MOMENT, None), "22 of 112 are 19.6 %"


def test_when_more_lies_after_a_moment_the_next_night_gets_a_later_one() -> None:
    data = everyone_daily(113)  # 23 of 113 are 20.4 %
    found, said = held_out(data, None, {f"{MOMENT}/ndcg@10": 0.3})
    assert found.figures == MOMENT, "tonight is compared with the figure of last night"
    assert len(found.pairs) == 23
    assert found.later is not None
    assert found.later.timestamps is not None
    assert sorted(found.later.timestamps.tolist()) == [hour * HOUR for hour in range(102, 113)]
    assert found.later_figures == "after 1970-01-05T06:00:00Z", "102 hours"
    assert "the next night is judged by the interactions after 1970-01-05T06:00:00Z" in said
    both = {f"{MOMENT}/ndcg@10": 0.3, f"{found.later_figures}/ndcg@10": 0.2}
    following, _ = held_out(data, None, both)
    assert (following.figures, following.later) == (found.later_figures, None)


def test_a_moment_outside_the_times_of_the_data_is_not_used() -> None:
    found, _ = held_out(everyone_daily(100), None, {"after 2026-10-01T00:00:00Z/ndcg@10": 0.3})
    assert found.figures == MOMENT


def test_a_store_whose_version_was_judged_by_random_interactions_goes_on_so() -> None:
    data, served = everyone_daily(100), {"validation/ndcg@10": 0.3}
    found, said = held_out(data, None, served)
    assert found.report == {"strategy": "random"}
    assert "as the served version was judged; --gate time" in said
    assert held_out(data, "time", served)[0].figures == MOMENT
    assert held_out(data, None, {"test/ndcg@10": 0.3})[0].figures == MOMENT


def test_the_same_data_hold_out_the_same_pairs_again() -> None:
    first, _ = held_out(everyone_daily(107))
    again, _ = held_out(everyone_daily(107), None, {f"{first.figures}/ndcg@10": 0.3})
    assert again.figures == first.figures
    assert again.pairs.data_hash() == first.pairs.data_hash()


def test_pairs_of_new_users_and_items_are_not_held_out() -> None:
    data, hours = everyone_daily(100), np.arange(100)
    found, _ = held_out(data.where((data.user_rows != 9) | (hours == 99)))  # 91 are left
    assert found.report["cold"] == {"n_users": 1, "n_items": 0, "n_pairs": 1}
    assert 9 not in found.pairs.user_rows
    assert len(found.pairs) == 8


def test_a_moment_after_which_nearly_everything_is_cold_is_not_used() -> None:
    data = everyone_daily(100)
    late = np.arange(100) >= 90
    users = np.where(late, data.user_rows + 10, data.user_rows).astype(np.int32)
    twenty = IdMap.build(f"u{row}" for row in range(20))
    data = replace(data, user_rows=users, users=twenty)
    found, said = held_out(data)
    assert found.figures == "validation"
    assert found.report == {"strategy": "random"}
    assert "of 10 interactions after 1970-01-04T18:00:00Z only 0 are of known users" in said
    with pytest.raises(
        DataError, match="only 0 are of known users and items; choose --gate random"
    ):
        held_out(data, "time")


@pytest.mark.parametrize("times", [None, np.zeros(100, np.int64)])
def test_data_without_different_times_hold_out_by_the_hash_of_the_ids(times) -> None:
    data = replace(everyone_daily(100), timestamps=times)
    found, said = held_out(data)
    assert found.pairs.data_hash() == stable_holdout(data)[1].data_hash()
    assert ("gate: random interactions" in said) == (times is not None)
    with pytest.raises(DataError, match="cannot hold out by time"):
        held_out(data, "time")


def test_random_interactions_are_held_out_on_request_whatever_the_times() -> None:
    data = everyone_daily(100)
    found, said = held_out(data, "random", {"after 1970-01-04T18:00:00Z/ndcg@10": 0.3})
    assert found.pairs.data_hash() == stable_holdout(data)[1].data_hash()
    assert not said


def test_nothing_to_hold_out_and_unknown_gates_are_refused() -> None:
    with pytest.raises(EmptyDataError, match="too little data to judge"):
        held_out(interactions_of([(0, 0)], 1, 1))
    with pytest.raises(ConfigError, match="no gate 'weekday'; there are time, random"):
        require_gate("weekday")
