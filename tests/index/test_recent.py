from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hashrec.index.artifacts.artifact import Artifact
from hashrec.index.errors import ArtifactCorruptError, ConfigError
from hashrec.index.model.recent import (
    DAY_S,
    MAX_DAYS,
    RecentCounts,
    RecentItems,
    days_of,
    recent_items,
)
from hashrec.index.ranking.bulk import rank_popular
from hashrec.index.ranking.nearest import in_order
from tests.index.small_models import in_memory, model_of, write

NOON = 100 * DAY_S + DAY_S // 2


def counts_of(*taken: tuple[int, int], until: int | None = None) -> RecentCounts:
    """Count (item row, seconds) pairs."""
    rows, times = np.array(taken, dtype=np.int64).reshape(-1, 2).T
    return RecentCounts.build(rows, times, until)


def test_days_end_right_after_the_newest_interaction_and_a_window_has_the_last_of_them() -> None:
    recent = counts_of(
        (0, NOON),
        (2, NOON),
        (2, NOON),
        (2, NOON + 1 - DAY_S),
        (1, NOON - DAY_S),
        (0, NOON - 6 * DAY_S),
    )
    assert recent.until == NOON + 1
    # one second more than 24 hours before the newest is yesterday
    assert recent.of_window(1, 4).tolist() == [1, 0, 3, 0]
    assert recent.of_window(2, 4).tolist() == [1, 1, 3, 0]
    assert recent.of_window(7, 4).tolist() == [2, 1, 3, 0]


def test_what_is_at_the_end_or_ninety_days_before_it_is_not_counted() -> None:
    first = NOON - MAX_DAYS * DAY_S
    recent = counts_of((0, NOON), (1, NOON - 1), (2, first), (3, first - 1), until=NOON)
    assert recent.of_window(MAX_DAYS, 4).tolist() == [0, 1, 1, 0]
    assert len(recent.items) == 2


def test_items_come_by_count_and_ties_by_row_without_those_that_nobody_took() -> None:
    found = RecentItems.of(np.array([0, 2, 5, 2, 0]), (3, 4))
    assert (found.rows.tolist(), found.counts.tolist()) == ([2, 1, 3], [5, 2, 2])


def test_nothing_counted_is_no_error() -> None:
    recent = RecentCounts.build(np.empty(0, np.int32), np.empty(0, np.int64))
    recent.check(3)
    assert recent.of_window(7, 3).tolist() == [0, 0, 0]


def test_a_model_without_counts_has_no_recent_items() -> None:
    assert not len(recent_items(None, 7, 3).rows)


def test_a_window_is_from_one_to_ninety_days() -> None:
    assert [days_of(window) for window in ("1d", "7d", "89d", "90d")] == [1, 7, 89, 90]
    for window in ("0d", "91d", "100d", "07d", "7", "7h", "d", "7d ", "-7d", ""):
        with pytest.raises(ConfigError, match="from 1d to 90d"):
            days_of(window)


def test_an_order_is_gone_on_with_by_popularity() -> None:
    first = np.array([4, 2], dtype=np.int64)
    nothing = np.empty(0, dtype=np.int64)
    assert in_order(first, 6, nothing, 1).tolist() == [4]
    assert in_order(first, 6, nothing, 4).tolist() == [4, 2, 0, 1]
    assert in_order(first, 6, np.array([0, 4]), 4).tolist() == [2, 1, 3, 5]
    assert in_order(first, 6, np.array([0, 4]), 99).tolist() == [2, 1, 3, 5]
    assert in_order(nothing, 3, nothing, 2).tolist() == [0, 1]


def test_lists_of_lately_popular_items_leave_out_what_a_user_has_seen() -> None:
    model = model_of(3, 6, 16, seed=0)
    artifact = in_memory(model)
    first = np.array([5, 3], dtype=np.int64)
    for user, ranked in enumerate(rank_popular(artifact, np.arange(3), 6, first=first)):
        seen = set(model.seen[user].tolist())
        assert ranked.tolist() == [row for row in (5, 3, 0, 1, 2, 4) if row not in seen]


def test_an_artifact_keeps_the_counts_and_opens_without_them(tmp_path) -> None:
    recent = counts_of((0, NOON), (2, NOON - DAY_S), (2, NOON - DAY_S))
    with_counts = replace(model_of(3, 6, 16, seed=0), recent=recent)
    write(tmp_path / "with", with_counts)
    found = Artifact.open(tmp_path / "with").model.recent
    assert found is not None
    assert found.until == NOON + 1
    assert found.of_window(2, 6).tolist() == [1, 0, 2, 0, 0, 0]
    manifest = write(tmp_path / "without", model_of(3, 6, 16, seed=0))
    assert not [name for name in manifest.files if name.startswith("recent")]
    assert Artifact.open(tmp_path / "without").model.recent is None


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"items": np.array([9], np.int32)}, "an item row is out of range"),
        ({"items": np.array([-1], np.int32)}, "an item row is out of range"),
        ({"counts": np.array([0], np.int32)}, "a count is not above 0"),
        ({"counts": np.array([], np.int32)}, "the days do not fit their items"),
        ({"indptr": np.zeros(8, np.int64)}, "the days do not fit their items"),
    ],
)
def test_counts_that_do_not_fit_are_not_written(tmp_path, change, says) -> None:
    recent = replace(counts_of((0, NOON)), **change)
    with pytest.raises(ConfigError, match=says):
        write(tmp_path / "bad", replace(model_of(3, 6, 16, seed=0), recent=recent))


def test_an_artifact_that_lost_a_part_of_its_counts_is_refused_by_name(tmp_path) -> None:
    write(tmp_path / "run", replace(model_of(3, 6, 16, seed=0), recent=counts_of((0, NOON))))
    (tmp_path / "run" / "recent.counts.npy").unlink()
    with pytest.raises(ArtifactCorruptError, match=r"recent\.counts\.npy is missing"):
        Artifact.open(tmp_path / "run")
