from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import pytest

from hashrec.index.commands.progress import count_bar
from hashrec.training.progress import (
    BarProgress,
    LineProgress,
    QuietProgress,
    byte_bar,
    shown_on,
)
from tests.training.small_jobs import quick_toml, small_interactions, write_csv

MAKERS = [
    QuietProgress,
    lambda: BarProgress(io.StringIO()),
    lambda: LineProgress(io.StringIO(), every=0),
]


@pytest.mark.parametrize("make", MAKERS)
def test_loops_run_in_full_and_their_curves_are_kept_apart(make):
    progress = make()
    for step in progress.track("teacher", 3):
        progress.log(loss=1.0 / (step + 1), rate=0.5)
    assert list(progress.track("student", 2)) == [0, 1]
    for step in progress.track("student", 2):
        progress.log(loss=float(step))
    assert progress.history == {
        "teacher": {"loss": [1.0, 1 / 2, 1 / 3], "rate": [0.5, 0.5, 0.5]},
        "student": {"loss": [0.0, 1.0]},
    }


def test_bar_names_the_loop_and_counts_its_steps():
    stream = io.StringIO()
    progress = BarProgress(stream)
    for _ in progress.track("teacher", 4):
        progress.log(loss=0.25)
    assert "teacher" in stream.getvalue()
    assert "4/4" in stream.getvalue()
    assert "loss 0.25" in stream.getvalue()


@pytest.mark.parametrize("make", MAKERS)
def test_loops_may_begin_later_and_parts_are_made(make):
    progress = make()
    assert list(progress.track("teacher", 5, first=3)) == [3, 4]
    assert progress.once("part", lambda: {"ndcg": 0.5}) == {"ndcg": 0.5}


def test_bar_begins_where_the_loop_does():
    stream = io.StringIO()
    for _ in BarProgress(stream).track("teacher", 4, first=3):
        pass
    assert "4/4" in stream.getvalue()


def test_quiet_progress_writes_nothing(capfd):
    progress = QuietProgress()
    for _ in progress.track("teacher", 2):
        progress.log(loss=0.0)
    assert capfd.readouterr() == ("", "")


def test_bar_ends_when_the_loop_is_left_early():
    progress = BarProgress(io.StringIO())
    for _ in progress.track("teacher", 2):
        break
    for _ in progress.track("student", 1):  # a bar still open would refuse this one
        progress.log(loss=1.0)
    assert progress.history == {"student": {"loss": [1.0]}}


def test_byte_bar_follows_a_transfer_on_a_terminal(monkeypatch):
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    stream = io.StringIO()
    with byte_bar("ml-1m", stream) as follow:
        follow(500, 1000)
        follow(1000, 1000)
    assert "ml-1m" in stream.getvalue()


def test_byte_bar_without_a_stream_writes_nothing(capfd):
    with byte_bar("ml-1m", None) as follow:
        follow(1000, None)
    assert capfd.readouterr() == ("", "")


def test_bars_are_for_a_terminal_and_lines_for_all_else(monkeypatch):
    monkeypatch.delenv("TTY_COMPATIBLE", raising=False)
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    assert isinstance(shown_on(io.StringIO()), LineProgress)
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    assert isinstance(shown_on(io.StringIO()), BarProgress)


def test_a_line_says_the_stage_and_its_seconds_and_a_long_loop_how_far_it_is():
    stream = io.StringIO()
    progress = LineProgress(stream, every=0)
    assert list(progress.track("epochs", 4, first=2)) == [2, 3]
    progress.end_stage("model", 12.345)
    assert stream.getvalue() == "epochs (3 of 4): 0 s\nepochs (4 of 4): 0 s\nmodel: 12.3 s\n"


def test_a_loop_shorter_than_the_interval_has_no_line():
    stream = io.StringIO()
    list(LineProgress(stream, every=3600).track("epochs", 100))
    assert stream.getvalue() == ""


def test_transfer_and_count_are_one_line_each_where_there_is_no_terminal(monkeypatch):
    monkeypatch.delenv("TTY_COMPATIBLE", raising=False)
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    stream = io.StringIO()
    with byte_bar("ml-1m", stream) as follow:
        follow(1_000_000, 2_000_000)
        follow(2_000_000, 2_000_000)
    with byte_bar("here already", stream):
        pass
    with count_bar("events", 10, stream) as advance:
        advance(3)
        advance(4)
    lines = stream.getvalue().splitlines()
    assert [line.rpartition(": ")[0] for line in lines] == ["ml-1m (2.0 MB)", "events (7 of 10)"]


def train(folder: Path, *options: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "hashrec", "train", "--config", quick_toml(folder), *options]
    return subprocess.run(map(str, command), capture_output=True, text=True, check=False)


def test_log_of_the_command_has_one_line_a_stage(tmp_path):
    data = write_csv(tmp_path / "clicks.csv", small_interactions())
    done = train(tmp_path, "--data", data, "--out", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    stages = [line.partition(":")[0] for line in done.stderr.splitlines() if line.endswith(" s")]
    assert stages == ["read", "selection", "teacher", "model", "write", "evaluate"]
    assert not set("\r\x1b━") & set(done.stderr), "nothing is redrawn"


def test_command_that_fails_leaves_no_folder(tmp_path):
    done = train(tmp_path, "--data", tmp_path / "nothing.csv", "--out", tmp_path / "runs" / "first")
    assert done.returncode == 1
    assert "nothing.csv: no such file or data set" in done.stderr
    assert not (tmp_path / "runs").exists()
