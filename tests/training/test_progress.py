from __future__ import annotations

import io

import pytest

from hashrec.training.progress import BarProgress, QuietProgress, byte_bar


@pytest.mark.parametrize("make", [QuietProgress, lambda: BarProgress(io.StringIO())])
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


@pytest.mark.parametrize("make", [QuietProgress, lambda: BarProgress(io.StringIO())])
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
