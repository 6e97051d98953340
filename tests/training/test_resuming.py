"""A job that was killed goes on, and ends as if nobody had killed it."""

from __future__ import annotations

import dataclasses
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from benchmarks.resume import KilledJob, arrays_of, survive
from hashrec.command_line import app
from hashrec.index.artifacts.artifact import Artifact
from hashrec.index.artifacts.store import Store
from hashrec.index.errors import QualityGateError, StoreBusyError
from hashrec.index.live.journal import Event, SqliteJournal, journal_beside
from hashrec.training.data.synthetic import synthetic_catalogue
from hashrec.training.jobs.checkpoints import EVENTS_KEPT_S, Checkpoints, job_key
from hashrec.training.jobs.config import JobConfig, load_config
from hashrec.training.jobs.resuming import ResumableProgress
from hashrec.training.jobs.retraining import REPORT_FOLDER, retrain
from hashrec.training.jobs.training import train
from hashrec.training.progress import QuietProgress, State
from tests.training.small_jobs import quick_config, quick_toml, small_interactions, write_csv

QUICK = {
    "teacher": {"name": "gcn-cf", "factor_dim": 8, "epochs": 4, "batches_per_epoch": 2},
    "model": {"name": "dgcn-bincf", "n_bits": 32, "epochs": 5, "batches_per_epoch": 2},
}
LISTWISE = {
    "teacher": {"name": "graph-filter"},
    "model": {"name": "listwise", "n_bits": 32, "epochs": 6, "descent_rounds": 2},
}
AUTO = {"teacher": {}, "model": {"name": "auto", "n_bits": 32, "epochs": 2, "descent_rounds": 1}}
KEY = "a job"


class Interruption(BaseException):
    """Stands for whatever ends a process in the middle of its work."""


class Watched(QuietProgress):
    """Counts the steps of loops that can go on, and ends the job before one of them."""

    def __init__(self, until: int | None = None) -> None:
        super().__init__()
        self.until, self.steps = until, 0
        self.said: list[str] = []

    def track(self, loop: str, total: int, state: State = (), *, first: int = 0) -> Iterator[int]:
        for step in super().track(loop, total, state, first=first):
            if state:
                if self.steps == self.until:
                    raise Interruption
                self.steps += 1
            yield step


class Workplace:
    """Small data, and jobs on them that keep a checkpoint after every step."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.store = folder, folder / "store"
        self.source = write_csv(folder / "clicks.csv", small_interactions())

    def config(self, **flags: Any) -> JobConfig:
        config = quick_config(self.folder, self.source, k=10, checkpoint_seconds=0)
        return config.model_copy(update=QUICK | flags)

    def retrain(self, *, max_drop: float = 1.0, **flags: Any) -> Watched:
        progress = Watched()
        retrain(self.config(**flags), self.store, max_drop, progress, progress.said.append)
        return progress

    def interrupt(self, *, steps: int = 6, **flags: Any) -> None:
        """End a retraining after some steps, in the middle of a loop."""
        with pytest.raises(Interruption):
            retrain(self.config(**flags), self.store, 1.0, Watched(steps), ignore)

    def kept(self) -> list[Path]:
        return sorted(self.store.glob(".checkpoints/**/*.pt"))

    def arrays(self) -> dict[str, bytes]:
        return arrays_of(self.store)


def ignore(_message: str) -> None:
    """Take what a job says."""


def left_by(store: Path) -> list[Path]:
    """Return what is only there while a job is under way."""
    return [store / name for name in (".retraining", ".checkpoints") if (store / name).exists()]


def report_of(store: Path) -> dict[str, Any]:
    return json.loads((store / REPORT_FOLDER / "report.json").read_text())


@pytest.fixture(autouse=True)
def no_flush(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do not wait for the disk: processes are killed here, and the machine goes on."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


@pytest.fixture
def place(tmp_path: Path) -> Workplace:
    return Workplace(tmp_path)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workplace, Watched]:
    """A retraining that nobody interrupted."""
    place = Workplace(tmp_path_factory.mktemp("whole"))
    return place, place.retrain()


@pytest.mark.parametrize(
    ("settings", "most_kills"), [(QUICK, 6), (LISTWISE, 3)], ids=["dgcn-bincf", "listwise"]
)
def test_a_job_that_is_killed_again_and_again_publishes_the_same_model(
    settings: dict[str, Any], most_kills: int, place: Workplace
) -> None:
    config, folder = place.config(**settings), place.folder
    whole = KilledJob(config, folder / "whole", folder / "whole.log")
    whole.run()
    job, rng = KilledJob(config, folder / "store", folder / "store.log"), random.Random(0)
    most = whole.steps() // most_kills
    kills, made_again = survive(
        job, whole, lambda: (rng.randint(1, most), rng.uniform(0, 0.005)), most_kills
    )
    assert kills >= most_kills // 2
    assert 0 <= made_again <= kills, "a step that was kept was made again"
    assert any(": resuming at step " in line for line in job.said())
    found, wanted = report_of(job.store), report_of(whole.store)
    for figure in ("curves", "metrics", "selection"):
        assert found[figure] == wanted[figure], figure
    assert (found["resumed"], wanted["resumed"]) == (True, False)


@pytest.mark.parametrize("steps", [2, 6, 12])  # the teacher's, the model's, those of the final fit
def test_a_job_goes_on_from_any_of_its_loops(
    steps: int, whole: tuple[Workplace, Watched], place: Workplace
) -> None:
    place.interrupt(steps=steps)
    assert place.kept()
    again = place.retrain()
    assert again.steps == whole[1].steps - steps
    assert place.arrays() == whole[0].arrays()
    assert not left_by(place.store)


def test_a_choice_of_teacher_and_settings_is_not_made_again(place: Workplace) -> None:
    # With so many items there are two perplexities to choose from, by 20 epochs and a round each.
    catalogue = synthetic_catalogue(n_users=120, n_items=240, n_interactions=3_000, seed=3)
    write_csv(place.source, catalogue.interactions)
    place.interrupt(steps=22, **AUTO)
    outcomes = {path.stem for path in place.kept()}
    assert len([name for name in outcomes if name.startswith("teacher")]) == 5
    assert "codes of perplexity 25, a short fit" in outcomes
    again = place.retrain(**AUTO)
    report, arrays = report_of(place.store), place.arrays()
    whole = place.retrain(**AUTO)
    assert again.steps == whole.steps - 22
    assert report["selection"] == report_of(place.store)["selection"]
    assert report["curves"] == report_of(place.store)["curves"]
    assert arrays == place.arrays()


def test_a_damaged_checkpoint_is_ignored(
    whole: tuple[Workplace, Watched], place: Workplace
) -> None:
    place.interrupt()
    for path in place.kept():
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    again = place.retrain()
    assert any("the file is damaged" in line for line in again.said)
    assert again.steps == whole[1].steps
    assert place.arrays() == whole[0].arrays()


def test_other_settings_start_anew(whole: tuple[Workplace, Watched], place: Workplace) -> None:
    place.interrupt(seed=1)
    again = place.retrain()
    assert any("starting over" in line for line in again.said)
    assert again.steps == whole[1].steps
    assert place.arrays() == whole[0].arrays()


def test_other_data_start_anew(whole: tuple[Workplace, Watched], place: Workplace) -> None:
    data = small_interactions()
    write_csv(place.source, data.where(np.arange(len(data)) > 0))
    place.interrupt()
    write_csv(place.source, data)
    again = place.retrain()
    assert again.steps == whole[1].steps
    assert place.arrays() == whole[0].arrays()


def test_events_that_came_since_wait_for_the_next_job(place: Workplace) -> None:
    def tell(user_id: str) -> int:
        with closing(SqliteJournal(journal_beside(place.store))) as journal:
            journal.append(
                [Event(user_id, small_interactions().items.id(0), "click", 1.0, user_id)]
            )
            return journal.position()

    first = tell("before")
    place.interrupt()
    last = tell("since")
    assert any(": resuming at step " in line for line in place.retrain().said)
    artifact = Store(place.store).open()
    assert first < last
    assert artifact.manifest.data.journal_position == first
    assert artifact.model.users.row("before") is not None
    assert artifact.model.users.row("since") is None


def test_the_first_events_of_a_journal_wait_for_the_next_job(place: Workplace) -> None:
    with closing(SqliteJournal(journal_beside(place.store))) as journal:
        place.interrupt()
        item = small_interactions().items.id(0)
        journal.append([Event("since", item, "click", 1.0, "a")])
    assert any(": resuming at step " in line for line in place.retrain().said)
    assert Store(place.store).open().model.users.row("since") is None
    place.retrain()
    assert Store(place.store).open().model.users.row("since") is not None


def test_a_job_that_was_interrupted_long_ago_is_no_reason_to_leave_events_out(
    place: Workplace,
) -> None:
    with closing(SqliteJournal(journal_beside(place.store))) as journal:
        item = small_interactions().items.id(0)
        journal.append([Event("before", item, "click", 1.0, "a")])
        place.interrupt()
        journal.append([Event("since", item, "click", 1.0, "b")])
    about = place.store / ".checkpoints" / "job.json"
    job = json.loads(about.read_text())
    about.write_text(json.dumps(job | {"started": job["started"] - EVENTS_KEPT_S}))
    place.retrain()
    assert Store(place.store).open().model.users.row("since") is not None


def test_a_job_shorter_than_the_interval_keeps_nothing(place: Workplace) -> None:
    place.interrupt(checkpoint_seconds=3600.0)
    assert not left_by(place.store)


def test_a_refused_job_leaves_nothing_to_go_on_with(place: Workplace) -> None:
    place.retrain()
    data = small_interactions()
    users = np.random.default_rng(0).permutation(data.user_rows)
    write_csv(place.source, dataclasses.replace(data, user_rows=users))
    with pytest.raises(QualityGateError):
        place.retrain(max_drop=0.1)
    assert not left_by(place.store)


def test_a_second_job_says_why_and_leaves_the_checkpoints_of_the_first(place: Workplace) -> None:
    place.interrupt()
    before = place.kept()
    with (
        Store(place.store).writing("retraining"),
        pytest.raises(StoreBusyError, match="another retraining is running"),
    ):
        retrain(place.config(), place.store, 1.0, QuietProgress(), ignore, fresh=True)
    assert place.kept() == before


def test_training_that_was_killed_goes_on_at_the_same_command(place: Workplace) -> None:
    toml = quick_toml(place.folder)
    long_enough = toml.read_text().replace("epochs = 6", "epochs = 40")
    toml.write_text("checkpoint_seconds = 0\nk = 10\n" + long_enough)
    config = load_config(toml, {"data.source": str(place.source)})
    whole = train(config, place.folder / "whole", QuietProgress(), ignore)
    options = ["train", "--data", str(place.source), "--config", str(toml)]
    options += ["--out", str(place.folder / "run")]
    kept = place.folder / "run" / ".checkpoints"
    process = subprocess.Popen(
        [sys.executable, "-m", "hashrec", *options, "--quiet"],
        env=os.environ | {"OMP_NUM_THREADS": str(torch.get_num_threads())},
    )
    while process.poll() is None and not (kept / "1 GCN-CF epochs.pt").exists():
        time.sleep(0.002)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    shutil.copytree(kept, place.folder / "copy")

    done = CliRunner().invoke(app, options)
    assert "GCN-CF epochs: resuming at step" in done.stderr, done.output
    assert not kept.exists()
    found = json.loads((place.folder / "run" / "report.json").read_text())
    assert found["curves"] == whole.curves
    codes = [Artifact.open(place.folder / run / "artifact").model for run in ("run", "whole")]
    assert np.array_equal(codes[0].user_codes.packed, codes[1].user_codes.packed)

    shutil.copytree(place.folder / "copy", kept)
    done = CliRunner().invoke(app, [*options, "--fresh"])
    assert done.exit_code == 0
    assert "resuming" not in done.stderr


class Kept:
    """One folder, and what a process after another does with it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.said: list[str] = []

    def progress(self, *, key: str = KEY, every: float = 0.0) -> ResumableProgress:
        checkpoints = Checkpoints(self.folder, every, self.said.append)
        checkpoints.begin(key)
        return ResumableProgress(QuietProgress(), checkpoints, self.said.append)


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    return Kept(tmp_path / "checkpoints")


def counting(progress: ResumableProgress, total: torch.Tensor, until: int = 5) -> Iterator[int]:
    """Add the steps up in a loop that is left at one of them."""
    for step in progress.track("sums", 5, (total,)):
        if step == until:
            return
        total += step
        progress.log(total=total.item())
        yield step


def test_a_loop_goes_on_with_its_state_and_its_curve(kept: Kept) -> None:
    assert list(counting(kept.progress(), torch.zeros(()), until=3)) == [0, 1, 2]
    total, progress = torch.zeros(()), kept.progress()
    assert list(counting(progress, total)) == [3, 4]
    assert total.item() == 10
    assert progress.history == {"sums": {"total": [0.0, 1.0, 3.0, 6.0, 10.0]}}


def test_a_loop_that_ended_is_not_gone_through_again(kept: Kept) -> None:
    list(counting(kept.progress(), torch.zeros(())))
    total = torch.zeros(())
    assert list(counting(kept.progress(), total)) == []
    assert total.item() == 10


def test_loops_of_one_name_are_told_apart(kept: Kept) -> None:
    first, second, progress = torch.zeros(()), torch.ones(()), kept.progress()
    list(counting(progress, first))
    list(counting(progress, second, until=1))
    progress, total = kept.progress(), torch.zeros(())
    assert list(counting(progress, total)) == []
    assert list(counting(progress, total)) == [1, 2, 3, 4]
    assert total.item() == 11


def test_a_part_that_is_done_replaces_its_loops(kept: Kept) -> None:
    def part() -> dict[str, float]:
        total = torch.zeros(())
        list(counting(progress, total))
        assert (kept.folder / "part" / "1 sums.pt").exists()
        return {"total": total.item()}

    progress = kept.progress()
    assert progress.once("part", part) == {"total": 10.0}
    assert not (kept.folder / "part").exists()
    progress = kept.progress()
    assert progress.once("part", lambda: pytest.fail("made again")) == {"total": 10.0}
    assert len(progress.history["sums"]["total"]) == 5


def test_a_part_whose_outcome_the_disk_refuses_can_go_on_with_its_loops(kept: Kept) -> None:
    _, most = limits = resource.getrlimit(resource.RLIMIT_FSIZE)

    def part() -> None:
        list(counting(progress, torch.zeros(())))
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, most))

    progress = kept.progress()
    try:
        progress.once("part", part)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    progress = kept.progress()
    assert progress.once("part", lambda: list(counting(progress, torch.zeros(())))) == []


def test_what_was_settled_between_checkpoints_is_kept_with_the_next(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    progress = kept.progress(every=30)
    assert progress.once("quick", lambda: 1) == 1
    now[0] = 29.0
    assert progress.once("slow", lambda: 2) == 2
    assert not kept.folder.exists()
    for _ in counting(progress, torch.zeros(())):
        now[0] = 31.0
    progress = kept.progress(every=30)
    assert progress.once("quick", lambda: 0) == 1
    assert progress.once("slow", lambda: 0) == 2


def test_a_loop_that_was_kept_on_the_way_is_kept_at_its_end(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    for step in counting(kept.progress(every=30), torch.zeros(())):
        now[0] = 31.0 + step
    assert list(counting(kept.progress(every=30), torch.zeros(()))) == []


def test_checkpoints_of_another_key_are_removed(kept: Kept) -> None:
    list(counting(kept.progress(), torch.zeros(())))
    other = kept.progress(key="another job")
    assert not kept.folder.exists()
    assert list(counting(other, torch.zeros(()))) == [0, 1, 2, 3, 4]


def test_a_checkpoint_put_into_another_job_s_folder_is_ignored(kept: Kept) -> None:
    list(counting(kept.progress(), torch.zeros(())))
    path = kept.folder / "1 sums.pt"
    foreign = path.read_bytes()
    list(counting(kept.progress(key="another job"), torch.zeros(()), until=1))
    path.write_bytes(foreign)
    assert list(counting(kept.progress(key="another job"), torch.zeros(()))) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("content", [b"", b"short", bytes(1000)])
def test_what_is_no_checkpoint_is_ignored(kept: Kept, content: bytes) -> None:
    list(counting(kept.progress(), torch.zeros(())))
    (kept.folder / "1 sums.pt").write_bytes(content)
    assert list(counting(kept.progress(), torch.zeros(()))) == [0, 1, 2, 3, 4]
    assert "the file is damaged" in kept.said[-1]


@pytest.mark.parametrize("room", [100, 10_000])
def test_a_full_disk_costs_the_checkpoint_and_not_the_job(kept: Kept, room: int) -> None:
    progress, total = kept.progress(), torch.zeros(10_000)
    _, most = limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, most))
    try:
        steps = list(progress.track("sums", 5, (total,)))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert steps == [0, 1, 2, 3, 4]
    assert any("cannot write a checkpoint" in line for line in kept.said)
    assert all("File too large" in line for line in kept.said)
    assert not list(kept.folder.glob("**/*.pt")) + list(kept.folder.glob("**/*.tmp"))


def test_a_key_changes_with_settings_threads_pairs_and_their_order() -> None:
    data, cpu = small_interactions(), torch.device("cpu")
    order = np.roll(np.arange(len(data)), 1)
    others = [
        dataclasses.replace(data, user_rows=data.user_rows[order], item_rows=data.item_rows[order]),
        dataclasses.replace(data, items=data.users),
        data.where(np.arange(len(data)) > 0),
    ]
    keys = [job_key({"seed": 0}, cpu, part) for part in (data, *others)]
    keys.append(job_key({"seed": 1}, cpu, data))
    threads = torch.get_num_threads()
    torch.set_num_threads(threads + 1)
    try:
        keys.append(job_key({"seed": 0}, cpu, data))
    finally:
        torch.set_num_threads(threads)
    assert len(set(keys)) == len(keys)
    assert job_key({"seed": 0}, cpu, small_interactions()) == keys[0]
