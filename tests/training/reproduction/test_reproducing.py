"""Tables and figures are complete, and no finished run is made again."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from hashrec.index.errors import ConfigError, DataError
from hashrec.training.reproduction import reproducing
from hashrec.training.reproduction.drawing import draw
from hashrec.training.reproduction.methods import FIGURES, METHODS_OF_TABLE
from hashrec.training.reproduction.publishing import page_of_docs, publish
from hashrec.training.reproduction.reproducing import reproduce
from hashrec.training.reproduction.runs import Run
from hashrec.training.reproduction.store import ResultStore
from hashrec.training.teachers.gcn_cf import GcnCf
from tests.training.reproduction.quick import QUICK, here, lasting, request

pytestmark = pytest.mark.usefixtures("one_thread")

PROJECT = Path(__file__).resolve().parents[3]


def quiet(_message: str) -> None:
    """Say nothing."""


def refuse(run: Run) -> dict[str, Any]:
    raise AssertionError(f"{run} is made again")


class Everything:
    """Table 2 and all figures, made once."""

    def __init__(self, data: Path, folder: Path) -> None:
        self.request = request(data, tables=(2,), figures=FIGURES)
        self.store, self.folder, self.said = ResultStore(folder), folder, list[str]()
        self.teachers_fitted = Counter[str]()
        fit = GcnCf.fit

        def counted(teacher: GcnCf, *arguments: Any, **options: Any) -> Any:
            self.teachers_fitted[str(teacher)] += 1
            return fit(teacher, *arguments, **options)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(GcnCf, "fit", counted)
            self.report = reproduce(self.request, self.store, here(self.store), self.said.append)
        self.text = publish(self.report, folder)


@pytest.fixture(scope="module")
def everything(data: Path, tmp_path_factory: pytest.TempPathFactory, one_thread: None):
    return Everything(data, tmp_path_factory.mktemp("everything"))


def test_table_has_a_row_of_every_method(everything: Everything) -> None:
    rows = everything.report["tables"]["2"]["rows"]
    assert [row["method"] for row in rows] == list(METHODS_OF_TABLE)
    for row in rows:
        assert all(0 < mean <= 1 for mean, _ in row["figures"].values()), row
        assert row["bits"] in (None, 192)
    assert not everything.report["failed"]


def test_table_shows_what_the_paper_prints_beside_ours(everything: Everything) -> None:
    line = next(line for line in everything.text.splitlines() if "| DGCN-BinCF | 192" in line)
    assert "| .3059 | .1187 | .3061 |" in line
    assert "(the paper has 6,022 x 3,043 and 995,154)" in everything.text


def test_it_says_first_what_it_will_run_and_for_how_long(everything: Everything) -> None:
    plan = everything.said[1]
    assert f"{len(everything.report['runs'])} runs, about" in plan
    assert "DGCN-BinCF" in plan


def test_teacher_of_several_models_is_fitted_once(everything: Everything) -> None:
    quick = GcnCf(**QUICK.teachers["gcn-cf"])
    long = quick.model_copy(update={"epochs": QUICK.curve_epochs})
    assert everything.teachers_fitted == {str(quick): 1, str(long): 1}


def test_curves_are_the_losses_of_every_epoch_of_both_models(everything: Everything) -> None:
    curves = everything.report["figures"]["3"]["curves"]
    assert list(curves) == ["GCN-CF", "DGCN-BinCF"]
    assert {len(loss) for loss in curves.values()} == {QUICK.curve_epochs}
    assert all(loss[-1] < loss[0] for loss in curves.values())


def test_second_call_runs_nothing_and_reports_the_same(everything: Everything) -> None:
    said: list[str] = []
    again = reproduce(everything.request, everything.store, refuse, said.append)
    assert said[-1] == "all runs are finished"
    assert lasting(again) == lasting(everything.report)


def test_figures_are_drawn_from_the_report_in_both_formats(
    everything: Everything, tmp_path: Path
) -> None:
    names = {f"figure-{n}.{ending}" for n in FIGURES for ending in ("svg", "png")}
    assert names <= {path.name for path in everything.folder.iterdir()}
    data = everything.folder / "report.json"
    assert {path.name for path in draw(data, tmp_path)} == names
    for name in names:
        assert (tmp_path / name).read_bytes() == (everything.folder / name).read_bytes()

    report = json.loads(data.read_text())
    report["figures"]["2"]["bars"][0]["figures"]["ndcg"][0] *= 0.5
    (tmp_path / "other.json").write_text(json.dumps(report))
    draw(tmp_path / "other.json", tmp_path)
    changed = {
        name for name in names
        if (tmp_path / name).read_bytes() != (everything.folder / name).read_bytes()
    }  # fmt: skip
    assert changed == {"figure-2.svg", "figure-2.png"}


def test_report_of_every_run_has_what_is_needed_to_make_it_again(everything: Everything) -> None:
    runs = json.loads((everything.folder / "report.json").read_text())["runs"]
    for run in runs:
        assert run["data"]["sha256"] == runs[0]["data"]["sha256"]
        assert run["config"]["seed"] == run["seed"] == 0
        assert {"hashrec", "commit", "torch", "threads", "device"} <= set(run["environment"])
        assert run["seconds"]["total"] > 0
        assert run["peak_memory_mb"] > 0
        assert run["config"]["teacher"] or run["config"]["model"]


@pytest.mark.parametrize("damage", ["cut short", "another figure", "empty", "no JSON"])
def test_damaged_run_is_made_anew_and_no_other(
    damage: str, everything: Everything, tmp_path: Path
) -> None:
    store = ResultStore(Path(shutil.copytree(everything.folder, tmp_path / "copy")))
    (victim,) = (store.folder / "runs" / "ml-1m").glob("popularity-*.json")
    content = victim.read_text()
    recall = json.loads(content)["report"]["metrics"]["test"]["scores"]["recall"]
    damaged = {
        "cut short": content[: len(content) // 2],
        "another figure": content.replace(str(recall), "0.99"),
        "empty": "",
        "no JSON": "\x00" * 100,
    }
    victim.write_text(damaged[damage])
    made: list[str] = []

    def perform(run: Run) -> dict[str, Any]:
        made.append(run.method)
        return here(store)(run)

    report = reproduce(everything.request, store, perform, quiet)
    assert made == ["popularity"]
    assert lasting(report["tables"]) == lasting(everything.report["tables"])


def test_damaged_factors_of_a_teacher_are_fitted_anew(
    everything: Everything, tmp_path: Path
) -> None:
    store = ResultStore(Path(shutil.copytree(everything.folder, tmp_path / "copy")))
    for factors in store.teachers.iterdir():
        factors.write_bytes(factors.read_bytes()[:-200])
    (finished,) = (store.folder / "runs" / "ml-1m").glob("bincf-*.json")
    before = json.loads(finished.read_text())["report"]
    finished.unlink()
    reproduce(everything.request, store, here(store), quiet)
    assert lasting(json.loads(finished.read_text())["report"]) == lasting(before)


def test_killed_in_the_middle_it_goes_on_to_the_same_report(data: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.training.reproduction.quick", data, tmp_path / "killed"]
    with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("[4/6]"):
                process.kill()
                break
    assert process.returncode == -signal.SIGKILL

    asked, made = request(data, figures=(2,), n_splits=3), list[Run]()
    killed, whole = ResultStore(tmp_path / "killed"), ResultStore(tmp_path / "whole")

    def perform(run: Run) -> dict[str, Any]:
        made.append(run)
        return here(killed)(run)

    resumed = reproduce(asked, killed, perform, quiet)
    assert [(run.method, run.seed) for run in made][-2:] == [("bincf", 2), ("dgcn-bincf", 2)]
    assert len(made) in (2, 3)  # the fourth may have been finished as it was killed
    assert lasting(resumed) == lasting(reproduce(asked, whole, here(whole), quiet))
    for store in (killed, whole):
        assert not list(store.folder.rglob("*.tmp"))


def test_a_run_that_fails_is_named_and_holds_up_no_other(data: Path, tmp_path: Path) -> None:
    store = ResultStore(tmp_path)

    def perform(run: Run) -> dict[str, Any]:
        if run.method == "bincf":
            raise DataError("out of luck")
        if run.seed == 1:
            raise ChildProcessError("its process ended with -9")
        return here(store)(run)

    report = reproduce(request(data, figures=(2,), n_splits=2), store, perform, quiet)
    block = report["figures"]["2"]
    assert [(row["method"], row["n_splits"]) for row in block["bars"]] == [("dgcn-bincf", 1)]
    assert list(block["missing"].values()) == [
        "out of luck", "out of luck", "its process ended with -9",
    ]  # fmt: skip
    assert (
        "- Missing: MovieLens-1M: BinCF (epochs 6, batches_per_epoch 8), split 0: out of luck"
        in publish(report, tmp_path)
    )
    made = reproduce(request(data, figures=(2,), n_splits=2), store, here(store), quiet)
    assert not made["figures"]["2"]["missing"]  # what failed is tried again


def test_a_figure_can_be_told_of_runs_that_all_failed_and_of_a_zero(
    everything: Everything, tmp_path: Path
) -> None:
    report = json.loads((everything.folder / "report.json").read_text())
    report["figures"]["1"]["bars"] = []
    report["figures"]["2"]["bars"][0]["figures"]["map"][0] = 0.0
    text = publish(report, tmp_path)
    assert (
        "| MovieLens-1M | Recall@100 | MAP@100 | NDCG@100 | splits |\n|---|---|---|---|---|\n\n"
        in text
    )
    assert "MAP –, NDCG" in text


def test_a_folder_that_cannot_be_written_is_refused_before_anything_runs(data: Path) -> None:
    with pytest.raises(OSError, match=str(data)):
        reproduce(request(data, figures=(1,)), ResultStore(data / "out"), refuse, quiet)


@pytest.mark.parametrize(
    ("asked", "named"),
    [
        ({"tables": (5,)}, "no table 5; there are 2, 3, 4"),
        ({"figures": (4,)}, "no figure 4"),
        ({"sweeps": ("lambda",)}, "no sweep lambda; there are alpha"),
    ],
)
def test_what_is_not_there_is_refused_with_what_is(asked: Any, named: str, data: Path) -> None:
    with pytest.raises(ConfigError, match=named):
        request(data, **asked)


def test_pictures_and_tables_go_into_the_page(everything: Everything, tmp_path: Path) -> None:
    page = tmp_path / "reproduction.md"
    shutil.copyfile(PROJECT / "docs" / "reproduction.md", page)
    publish(everything.report, tmp_path / "out", page)
    text = page.read_text()
    assert "| popularity | – |" in text
    assert "](reproduction-figure-2.svg)" in text
    assert (tmp_path / "reproduction-figure-2.svg").read_text().startswith("<?xml")
    with pytest.raises(ConfigError, match="checkout of the source"):
        page_of_docs(tmp_path / "none.md")


def test_the_page_has_a_place_for_everything() -> None:
    page = (PROJECT / "docs" / "reproduction.md").read_text()
    for kind, known in (
        ("table", reproducing.DATASETS_OF_TABLE),
        ("figure", FIGURES),
        ("sweep", reproducing.SWEEPS),
    ):
        for name in known:
            assert f"<!-- {kind} {name}: begin -->\n" in page
            assert f"<!-- {kind} {name}: end -->\n" in page
