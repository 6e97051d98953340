"""A run is judged as `hashrec train` judges, in a process that ends when nobody waits for it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from hashrec.command_line import app
from hashrec.index.errors import DataError
from hashrec.training.jobs.report import peak_memory_mb
from hashrec.training.jobs.training import train
from hashrec.training.progress import QuietProgress
from hashrec.training.reproduction import performing, planning
from hashrec.training.reproduction.performing import perform
from hashrec.training.reproduction.process import in_own_process
from hashrec.training.reproduction.reproducing import find_plans
from tests.training.reproduction.quick import lasting, request
from tests.training.reproduction.work import add, die, fill_the_disk, refuse

pytestmark = pytest.mark.usefixtures("one_thread")

PROJECT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def plan(data: Path):
    (found,) = find_plans(request(data, tables=(2,))).values()
    return found


def test_figures_of_codes_and_teacher_are_those_of_the_training_command(plan, tmp_path: Path):
    run = plan.run("dgcn-bincf", 1)
    report = train(run.config("cpu"), tmp_path, QuietProgress(), lambda _: None)
    ours = perform(run.config("cpu"))
    assert ours["metrics"]["test"]["codes"] == report.metrics["test"]["codes"]
    assert ours["config"] == report.config
    assert ours["data"]["sha256"] == report.data["sha256"]
    assert ours["curves"] == report.curves
    taught = perform(plan.run("gcn-cf", 1).config("cpu"))
    assert taught["metrics"]["test"]["scores"] == report.metrics["test"]["teacher"]


def test_factors_that_are_kept_change_nothing_but_the_time_spent(plan, tmp_path: Path):
    alone = perform(plan.run("bincf", 0).config("cpu"))
    first = perform(plan.run("gcn-cf", 0).config("cpu"), teachers=tmp_path)
    shared = perform(plan.run("bincf", 0).config("cpu"), teachers=tmp_path)
    assert lasting(shared) == lasting(alone)
    assert len(list(tmp_path.iterdir())) == 1
    assert shared["seconds"]["spent"] < shared["seconds"]["total"]
    assert shared["seconds"]["total"] - shared["seconds"]["spent"] == pytest.approx(
        first["seconds"]["teacher"], abs=0.5
    )


def test_factors_serve_no_other_split_seed_settings_version_or_device(
    plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    for n_kept, run in enumerate(
        (
            plan.run("gcn-cf", 0),
            plan.run("gcn-cf", 0, by_validation=True),
            plan.run("gcn-cf", 1),
            plan.run("gcn-cf", 0, teacher={"learning_rate": 0.02}),
        ),
        1,
    ):
        kept = perform(run.config("cpu"), teachers=tmp_path)
        assert lasting(kept) == lasting(perform(run.config("cpu")))
        assert len(list(tmp_path.iterdir())) == n_kept

    settings = plan.run("gcn-cf", 0).config("cpu").model_dump(mode="json")
    on_cpu, on_gpu = (performing._key(settings, "", torch.device(name)) for name in ("cpu", "cuda"))
    monkeypatch.setattr(performing, "version_of", lambda _: 7)
    assert len({on_cpu, on_gpu, performing._key(settings, "", torch.device("cpu"))}) == 3


def test_teachers_that_can_do_more_than_score_are_not_kept(plan, tmp_path: Path):
    perform(plan.run("ials", 0).config("cpu"), teachers=tmp_path)
    assert not list(tmp_path.iterdir())


def test_validation_run_learns_from_and_is_judged_by_the_training_part(plan):
    whole = perform(plan.run("popularity", 0).config("cpu"))
    tuned = perform(plan.run("popularity", 0, by_validation=True).config("cpu"))
    assert list(tuned["metrics"]) == ["validation"]
    sizes = tuned["data"]
    assert sizes["n_train"] + sizes["n_held_out"] == whole["data"]["n_train"]


def test_work_in_another_process_answers_refuses_or_dies():
    assert in_own_process(add, 2, 3) == 5
    with pytest.raises(DataError, match="somewhere: nothing there"):
        in_own_process(refuse)
    with pytest.raises(DataError, match=r"No space left on device: 'factors\.npz'"):
        in_own_process(fill_the_disk)
    with pytest.raises(ChildProcessError, match="-9"):
        in_own_process(die)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere it is not told apart")
def test_peak_memory_of_another_process_is_its_own():
    here = np.ones(50_000_000)
    assert peak_memory_mb() > 400
    assert 0 < in_own_process(peak_memory_mb) < 400
    del here


WAIT_FOR_EVER = """
import time
from hashrec.training.reproduction.process import in_own_process

def wait():
    print("at work", flush=True)
    time.sleep(600)

if __name__ == "__main__":
    in_own_process(wait)
"""


def test_work_ends_when_the_process_that_asked_is_killed(tmp_path: Path):
    script = tmp_path / "waits.py"
    script.write_text(WAIT_FOR_EVER)
    command, paths = [sys.executable, script], {**os.environ, "PYTHONPATH": str(PROJECT)}
    with subprocess.Popen(command, env=paths, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "at work\n"
        process.kill()
        process.stdout.read()  # ends when the last one that could write to it has ended


def test_command_writes_the_report_and_fails_only_where_a_run_did(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(planning, "METHODS_OF_TABLE", ("popularity",))
    asked = ["reproduce", "--table", "2", "--splits", "1", "--data", str(data), "--fast"]
    made = CliRunner().invoke(app, [*asked, "--out", str(tmp_path), "--threads", "1"])
    assert made.exit_code == 0, made.output
    assert "| popularity | – |" in made.stdout
    assert "1 runs, about" in made.stderr
    assert "Fast runs" in (tmp_path / "report.md").read_text()
    assert (tmp_path / "report.json").is_file()


def test_figures_without_matplotlib_are_refused_before_anything_runs(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    asked = ["reproduce", "--figure", "1", "--data", str(data), "--out", str(tmp_path / "out")]
    made = CliRunner().invoke(app, asked)
    assert "pip install 'hashrec[plots]'" in str(made.exception)
    assert not (tmp_path / "out").exists()


def test_device_that_is_not_there_is_refused_before_anything_runs(data: Path, tmp_path: Path):
    asked = ["reproduce", "--table", "2", "--data", str(data), "--out", str(tmp_path / "out")]
    made = CliRunner().invoke(app, [*asked, "--device", "tpu"])
    assert "device must be auto, cpu or cuda" in str(made.exception)
    assert not (tmp_path / "out").exists()
