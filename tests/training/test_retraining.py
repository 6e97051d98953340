from __future__ import annotations

import dataclasses
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from hashrec.index.artifacts.artifact import record_metrics
from hashrec.index.artifacts.store import Store
from hashrec.index.errors import EmptyDataError, QualityGateError, StoreBusyError
from hashrec.index.live.journal import Event, SqliteJournal, journal_beside
from hashrec.training.data.interactions import Interactions
from hashrec.training.jobs.report import Report
from hashrec.training.jobs.retraining import (
    REPORT_FOLDER,
    require_no_drop,
    require_same_fit,
    retrain,
)
from hashrec.training.progress import QuietProgress
from tests.training.small_jobs import quick_config, small_interactions, write_csv


class Night:
    """One store, and the job that runs on it every night."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "store"
        self.store = Store(self.path)
        self.said: list[str] = []

    def run(
        self,
        interactions: Interactions,
        *,
        max_drop: float = 0.1,
        gate: str | None = None,
        times: bool = False,
        **flags: object,
    ) -> Report:
        source = write_csv(self.folder / "clicks.csv", interactions, times=times)
        config = quick_config(self.folder, source, **{"k": 10, **flags})
        return retrain(config, self.path, max_drop, QuietProgress(), self.said.append, gate=gate)


def shuffled(interactions: Interactions) -> Interactions:
    """Give every interaction a user at random: as many as before, nothing to learn from."""
    users = np.random.default_rng(0).permutation(interactions.user_rows)
    return dataclasses.replace(interactions, user_rows=users, timestamps=None)


@pytest.fixture(scope="module")
def second_night(tmp_path_factory: pytest.TempPathFactory) -> tuple[Night, list[Report]]:
    night = Night(tmp_path_factory.mktemp("nights"))
    first = night.run(small_interactions())
    second = night.run(small_interactions(), seed=1, max_drop=0.5)  # 100 users: noisy figures
    return night, [first, second]


def test_each_night_serves_a_model_of_all_the_data(
    second_night: tuple[Night, list[Report]],
) -> None:
    night, (first, second) = second_night
    assert night.store.current() == second.version != first.version
    artifact = night.store.open()
    assert len(artifact.model.seen.items) == len(small_interactions())
    assert len(artifact.model.users) == small_interactions().n_users


def test_the_served_version_carries_the_figure_it_was_let_through_by(
    second_night: tuple[Night, list[Report]],
) -> None:
    night, (_, second) = second_night
    figures = second.metrics["validation"]
    assert night.store.open().manifest.metrics["validation/ndcg@10"] == figures["codes"]["ndcg"]
    assert 0 < figures["codes"]["n_users"] <= small_interactions().n_users
    assert [line for line in night.said if line.startswith("bar: the served version's")]
    assert (night.path / REPORT_FOLDER / "report.json").is_file()
    assert not list(night.path.glob(".retraining/*"))


def test_both_nights_are_judged_by_the_same_pairs(
    second_night: tuple[Night, list[Report]],
) -> None:
    _, (first, second) = second_night
    popularity = "popularity"
    assert first.metrics["validation"][popularity] == second.metrics["validation"][popularity]


def test_events_of_new_and_known_users_are_in_the_next_model(tmp_path: Path) -> None:
    night = Night(tmp_path)
    data = small_interactions()
    user = data.users.id(0)
    taken = data.items.id(int(data.item_rows[data.user_rows == 0][0]))
    with closing(SqliteJournal(journal_beside(night.path))) as journal:
        journal.append(
            [
                *(
                    Event("newcomer", data.items.id(row), "click", 1.0, f"n{row}")
                    for row in range(5)
                ),
                Event(user, "an item of its own", "click", 1.0, "a"),
                Event(user, taken, "dislike", 1.0, "b"),
            ]
        )
        position = journal.position()
    night.run(data)
    assert [line for line in night.said if line.startswith("journal: 7 events; 6 inter")]
    artifact = night.store.open()
    model = artifact.model
    assert artifact.manifest.data.journal_position == position
    assert artifact.manifest.data.n_interactions == len(data) + 6 - 1

    def items_of(user_id: str) -> set[str]:
        row = model.users.row(user_id)
        assert row is not None
        return set(model.items.ids(model.seen[row]))

    assert items_of("newcomer") == set(data.items.ids(range(5)))
    assert "an item of its own" in items_of(user)
    assert taken not in items_of(user)


def test_without_a_journal_a_model_has_no_position_in_one(
    second_night: tuple[Night, list[Report]],
) -> None:
    night, _ = second_night
    assert night.store.open().manifest.data.journal_position is None
    assert not journal_beside(night.path).exists()


def test_data_with_nothing_to_learn_from_are_not_published(tmp_path: Path) -> None:
    night = Night(tmp_path)
    served = night.run(small_interactions()).version
    with pytest.raises(QualityGateError, match=r"not published: ndcg@10 .* below the served"):
        night.run(shuffled(small_interactions()))
    assert night.store.current() == served
    assert [version.version for version in night.store.versions()] == [served]


def test_a_wider_gate_lets_the_same_model_through(tmp_path: Path) -> None:
    night = Night(tmp_path)
    night.run(small_interactions())
    version = night.run(shuffled(small_interactions()), max_drop=1.0).version
    assert night.store.current() == version


@pytest.mark.parametrize("flags", [{"k": 20}, {}])
def test_a_served_version_without_a_like_figure_leaves_popularity_as_the_bar(
    tmp_path: Path, flags: dict[str, int]
) -> None:
    night = Night(tmp_path)
    first = night.run(small_interactions()).version
    if not flags:  # as `hashrec publish` leaves it
        record_metrics(night.store.folder(first), {"validation/ndcg@10": -1.0})
        manifest = night.store.folder(first) / "manifest.json"
        manifest.write_text(manifest.read_text().replace("validation/ndcg@10", "test/ndcg@10"))
    version = night.run(small_interactions(), **flags).version
    assert [line for line in night.said if line.startswith("bar: popularity's")]
    assert night.store.current() == version


def test_codes_that_rank_below_popularity_are_refused_once_something_is_served() -> None:
    figures = {"codes": {"k": 10, "ndcg": 0.2}, "popularity": {"k": 10, "ndcg": 0.3}}
    said: list[str] = []
    require_no_drop(figures, None, 0.1, said.append)
    assert any(line.startswith("warning: the popular items") for line in said)
    with pytest.raises(QualityGateError, match=r"below popularity's 0\.3000"):
        require_no_drop(figures, {"validation/ndcg@100": 0.1}, 0.1, said.append)


def test_data_with_times_are_judged_by_what_came_after_a_moment_that_stays(tmp_path: Path) -> None:
    night, data = Night(tmp_path), small_interactions()
    assert data.timestamps is not None
    yesterday = data.where(data.timestamps < np.sort(data.timestamps)[-20])
    first = night.run(yesterday, times=True)
    moment = first.split["cut"]
    figures = first.metrics["validation"]
    assert {"codes", "popularity_7d", "popularity_30d"} < set(figures)
    name = f"after {moment}/ndcg@10"
    assert night.store.open().manifest.metrics[name] == figures["codes"]["ndcg"]
    again = night.run(yesterday, times=True)
    assert again.split == first.split
    assert again.metrics == first.metrics
    night.said.clear()
    second = night.run(data, times=True, max_drop=0.5)
    assert second.split["cut"] == moment
    assert [line for line in night.said if line.startswith("bar: the served version's")]
    model = night.store.open().model
    assert len(model.seen.items) == len(data), "the published model learns from everything"
    assert model.recent is not None
    assert model.recent.until == data.timestamps.max() + 1


def test_data_with_times_and_nothing_to_learn_from_are_not_published(tmp_path: Path) -> None:
    night, data = Night(tmp_path), small_interactions()
    served = night.run(data, times=True).version
    items = np.random.default_rng(0).permutation(data.item_rows)
    with pytest.raises(QualityGateError, match=r"not published: ndcg@10 .* below the served"):
        night.run(dataclasses.replace(data, item_rows=items), times=True)
    assert night.store.current() == served


def test_a_moment_that_too_much_lies_after_hands_its_figures_on_to_a_later_one(
    tmp_path: Path,
) -> None:
    night, data = Night(tmp_path), small_interactions()
    assert data.timestamps is not None
    early = data.where(data.timestamps < np.quantile(data.timestamps, 0.8))
    first = night.run(early, times=True)
    night.run(data, times=True, max_drop=0.9)
    names = {name.partition("/")[0] for name in night.store.open().manifest.metrics}
    assert len(names) == 2
    assert min(names) == f"after {first.split['cut']}", "28 % of all lie after it"
    night.said.clear()
    third = night.run(data, times=True, max_drop=0.5)
    assert f"after {third.split['cut']}" == max(names)
    assert [line for line in night.said if line.startswith("bar: the served version's")]


def test_the_gate_can_be_random_where_there_are_times(tmp_path: Path) -> None:
    report = Night(tmp_path).run(small_interactions(), times=True, gate="random")
    assert report.split == {"strategy": "random"}


def test_too_little_data_to_judge_by_is_not_published(tmp_path: Path) -> None:
    night = Night(tmp_path)
    everyone_once = small_interactions()
    first_of_each = np.unique(everyone_once.user_rows, return_index=True)[1][:3]
    few = np.zeros(len(everyone_once), dtype=bool)
    few[first_of_each] = True
    with pytest.raises(EmptyDataError, match="too little data to judge"):
        night.run(everyone_once.where(few))
    assert night.store.pointer() is None


def test_one_retraining_at_a_time(tmp_path: Path) -> None:
    night = Night(tmp_path)
    with (
        night.store.writing("retraining"),
        pytest.raises(StoreBusyError, match="another retraining is running"),
    ):
        night.run(small_interactions())


def test_a_final_fit_that_forgot_what_it_learned_is_refused() -> None:
    require_same_fit(0.5, 0.46, 10, max_drop=0.1)
    with pytest.raises(QualityGateError, match="final fit"):
        require_same_fit(0.5, 0.44, 10, max_drop=0.1)


def test_an_empty_store_serves_nothing(tmp_path: Path) -> None:
    assert Store(tmp_path).served() is None
