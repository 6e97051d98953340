"""Runs are what the paper's protocol says, found again by all that decides their result."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hashrec.index.errors import ConfigError, DataError
from hashrec.training.models import HASH_MODELS
from hashrec.training.models.listwise import Listwise
from hashrec.training.reproduction import runs
from hashrec.training.reproduction.methods import (
    FAST,
    FULL,
    GRIDS,
    METHODS,
    SWEEPS,
    SWEPT_METHOD,
)
from hashrec.training.reproduction.performing import perform
from hashrec.training.reproduction.planning import Plan
from hashrec.training.reproduction.published import PUBLISHED
from hashrec.training.reproduction.publishing import publish
from hashrec.training.reproduction.reproducing import find_plans, reproduce
from hashrec.training.reproduction.runs import Run, Source
from hashrec.training.reproduction.sources import find_source
from hashrec.training.reproduction.store import ResultStore
from tests.training.reproduction.quick import QUICK, request

SOURCE = Source("ml-1m", "ratings.csv", "abc", 995_154)


def plan_of(dataset: str = "ml-1m", **others: Any) -> Plan:
    return Plan(replace(SOURCE, dataset=dataset), **{"effort": FULL, "n_splits": 5, **others})


@pytest.mark.parametrize(
    ("dataset", "k_core", "k", "n_bits", "factor_dim"),
    [("ml-1m", 20, 100, 192, 64), ("ml-10m", 0, 100, 48, 16), ("yelp", 20, 100, 192, 64)],
)
def test_protocol_of_the_paper(
    dataset: str, k_core: int, k: int, n_bits: int, factor_dim: int
) -> None:
    settings = plan_of(dataset).run("dgcn-bincf", 3).settings()
    assert settings["data"] == {"k_core": k_core}
    assert settings["split"] == {
        "strategy": "random", "at": None, "test": None, "by_validation": False,
    }  # fmt: skip
    assert (settings["k"], settings["seed"]) == (k, 3)
    assert settings["model"]["n_bits"] == 3 * settings["teacher"]["factor_dim"] == n_bits
    assert settings["teacher"]["factor_dim"] == factor_dim


def test_settings_of_the_paper_are_those_it_prints() -> None:
    settings = plan_of().run("dgcn-bincf", 0).settings()
    printed = {"alpha": 10, "temperature": 1, "tau": 0.2, "beta": 0.001, "nu": 0.001}
    assert {name: settings["model"][name] for name in printed} == printed
    assert settings["teacher"]["regularization"] == 0.001
    as_printed = plan_of().run("dgcn-bincf-eq17", 0).settings()["model"]
    assert (as_printed["binarizer"], as_printed["score_scale"]) == ("bernoulli", 1)


def test_five_random_splits_and_one_that_is_given() -> None:
    assert list(plan_of().seeds) == [0, 1, 2, 3, 4]
    given = plan_of("yelp2018")
    assert list(given.seeds) == [0]
    config = given.run("popularity", 0).config()
    assert (config.split.strategy, config.k, config.data.k_core) == ("given", 20, 0)


def test_key_is_of_all_that_decides_the_result_and_of_nothing_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plan = plan_of()
    run = plan.run("dgcn-bincf", 0)
    elsewhere = replace(run, source=replace(SOURCE, path="other/ratings.csv"))
    assert elsewhere.key() == run.key()
    spelled_out = {**run.model, "alpha": HASH_MODELS["dgcn-bincf"]().model_dump()["alpha"]}
    assert replace(run, model=spelled_out).key() == run.key()

    others = [
        plan.run("dgcn-bincf", 1),
        plan.run("dgcn-bincf", 0, model={"alpha": 3}),
        plan.run("dgcn-bincf", 0, teacher={"epochs": 3}),
        plan.run("dgcn-bincf", 0, by_validation=True),
        plan.run("bincf", 0),
        replace(run, source=replace(SOURCE, data_hash="abd")),
        plan_of("yelp2018").run("dgcn-bincf", 0),
    ]
    keys = {run.key(), *(other.key() for other in others)}
    assert len(keys) == 1 + len(others)
    for name in ("dgcn-bincf", "gcn-cf"):  # a teacher's version is its students' too
        raised = {**METHODS, name: replace(METHODS[name], version=2)}
        monkeypatch.setattr(runs, "METHODS", raised)
        assert run.key() not in keys
        keys.add(run.key())


def test_key_of_the_default_is_of_what_it_chooses_from(monkeypatch: pytest.MonkeyPatch) -> None:
    run = plan_of().run("auto", 0)
    before = run.key()
    monkeypatch.setattr(runs, "TEACHERS_OF_FEW_ITEMS", (("ease", {}),))
    assert run.key() != before


@pytest.mark.parametrize("effort", [FULL, FAST, QUICK], ids=lambda effort: effort.name)
def test_every_setting_that_is_written_down_exists(effort: Any) -> None:
    plan = plan_of(effort=effort)
    for name in METHODS:
        plan.run(name, 0).settings()  # an unknown setting is refused
        for setting in GRIDS.get(name, {}):
            for run in plan.trials(name, 0, setting, {}).values():
                assert run.settings()["split"]["by_validation"]
    for name in SWEEPS:
        for points in plan.sweep(name).values():
            assert all(run.settings()["split"]["by_validation"] for run in points)


def test_fast_runs_are_as_wide_as_full_ones() -> None:
    for settings in (*FAST.models.values(), *FAST.teachers.values()):
        assert not {"n_bits", "factor_dim", "factors"} & set(settings)


def test_every_hash_model_of_the_paper_and_every_figure_has_its_method() -> None:
    of_hashrec = {"least-squares", "listwise"}  # `auto` is listwise, its settings chosen
    assert {method.model for method in METHODS.values()} >= set(HASH_MODELS) - of_hashrec
    assert {figure.method for figure in PUBLISHED} - {None} <= set(METHODS)
    assert Listwise is HASH_MODELS["listwise"]


def test_value_in_force_is_among_those_to_choose_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(GRIDS, "dgcn-bincf", {"alpha": (1.0, 3.0)})
    trials = plan_of().trials("dgcn-bincf", 0, "alpha", {"tau": 0.5})
    assert [(value, run.model["alpha"]) for value, run in trials.items()] == [
        (1.0, 1.0), (3.0, 3.0), (10.0, 10.0),
    ]  # fmt: skip
    assert all(run.model["tau"] == 0.5 for run in trials.values())


def judged(run: Run, ndcg: float) -> dict[str, Any]:
    part = "validation" if run.by_validation else "test"
    figures = {"k": 100, "recall": ndcg / 2, "map": ndcg / 3, "ndcg": ndcg}
    return {
        "config": run.settings(),
        "data": {"n_users": 3, "n_items": 4, "n_held_out": 2},
        "metrics": {part: {"codes": figures}},
        "seconds": {"total": 2.0, "spent": 1.0, "processor": 1.0},
        "peak_memory_mb": 9.0,
        "curves": {},
        "environment": {"commit": "0123abc"},
    }


def test_chosen_settings_do_best_on_validation_and_judge_the_test_part_once(
    data: Path, tmp_path: Path
) -> None:
    made: list[Run] = []

    def perform(run: Run) -> dict[str, Any]:
        made.append(run)
        if run.method == "gcn-cf":
            return judged(run, 0.5 if run.teacher.get("regularization") == 0.01 else 0.4)
        settings = run.settings()["model"]
        tau_pays = settings["tau"] == 0.5 and run.seed == 1
        return judged(run, 0.3 - settings["beta"] + 0.1 * tau_pays)

    asked = request(data, figures=(2,), n_splits=2, select=True, effort=FULL)
    report = reproduce(asked, ResultStore(tmp_path), perform, lambda _: None)
    chosen = {(choice["method"], choice["seed"]): choice for choice in report["chosen"]}
    assert chosen["gcn-cf", 0]["regularization"] == 0.01
    assert [chosen["bincf", seed]["tau"] for seed in (0, 1)] == [0.1, 0.5]  # of equals the first
    assert chosen["dgcn-bincf", 0]["beta"] == 0.0001

    tests = [run for run in made if not run.by_validation]
    assert [(run.method, run.seed) for run in tests] == [
        ("bincf", 0), ("dgcn-bincf", 0), ("bincf", 1), ("dgcn-bincf", 1),
    ]  # fmt: skip
    for run in tests:
        of_run = chosen[run.method, run.seed]
        assert {name: run.model[name] for name in ("beta", "nu", "tau")} == {
            name: of_run[name] for name in ("beta", "nu", "tau")
        }
    students = [run for run in made if run.model]
    assert {run.teacher["regularization"] for run in students} == {0.01}  # chosen before theirs
    assert made[-4:] == tests  # nothing is chosen after a test part was looked at


def test_sweep_has_a_point_of_each_value_on_each_line(data: Path, tmp_path: Path) -> None:
    def perform(run: Run) -> dict[str, Any]:
        return judged(run, 0.2 + 0.1 * run.seed)

    asked = request(data, sweeps=tuple(SWEEPS), n_splits=2)
    report = reproduce(asked, ResultStore(tmp_path), perform, lambda _: None)
    for name, block in report["sweeps"].items():
        assert set(block["lines"]) == set(SWEEPS[name].lines)
        for points in block["lines"].values():
            assert [point["value"] for point in points] == list(SWEEPS[name].values)
            assert points[0]["ndcg"] == pytest.approx((0.25, 0.1 / 2**0.5))
    assert all(run["method"] == SWEPT_METHOD for run in report["runs"])

    text = publish(report, tmp_path / "out")
    assert "| relaxed | .2500 ± .0707 |" in text
    drawn = {f"sweep-{name}.{ending}" for name in SWEEPS for ending in ("svg", "png")}
    assert drawn < {path.name for path in (tmp_path / "out").iterdir()}


def test_empty_folder_is_answered_with_how_to_get_the_data(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="hashrec data fetch ml-1m"):
        find_source("Table 2", ("ml-1m",), tmp_path, None)


def test_missing_movielens_10m_is_named_with_the_way_to_get_it(data: Path, tmp_path: Path) -> None:
    for asked in ({"data": None, "home": tmp_path}, {"data": data_root(tmp_path, data)}):
        with pytest.raises(DataError, match=r"Table 3 needs MovieLens-10M.*data fetch ml-10m"):
            find_plans(request(**{"data": None, "tables": (3,), **asked}))


def data_root(folder: Path, data: Path) -> Path:
    """Make a folder of data sets that holds one."""
    (folder / "root" / "ml-1m").mkdir(parents=True)
    (folder / "root" / "ml-1m" / "interactions.csv").write_text(data.read_text())
    return folder / "root"


def test_data_are_found_by_file_by_folder_and_by_name(data: Path, tmp_path: Path) -> None:
    root = data_root(tmp_path, data)
    asked = ("Table 2", ("ml-1m",))
    found = [
        find_source(*asked, data, None),
        find_source(*asked, root / "ml-1m", None),
        find_source(*asked, root, None),
        find_source(*asked, None, root),
        find_source(*asked, Path("ml-1m"), root),
    ]
    assert len({source.data_hash for source in found}) == 1
    assert {source.dataset for source in found} == {"ml-1m"}
    assert {Path(source.path) for source in found[1:]} == {root / "ml-1m"}
    with pytest.raises(DataError, match=f"ml-1m: not in {tmp_path}; run"):
        find_source(*asked, Path("ml-1m"), tmp_path)


def test_invented_data_can_be_run_on() -> None:
    invented = find_source("Table 2", ("ml-1m",), Path("synthetic"), None)
    report = perform(Plan(invented, QUICK, 1).run("popularity", 0).config("cpu"))
    assert report["metrics"]["test"]["scores"]["ndcg"] > 0


def test_one_file_is_not_taken_for_two_data_sets(data: Path) -> None:
    with pytest.raises(ConfigError, match="Table 2 and Table 3 use different data"):
        find_plans(request(data, tables=(2, 3)))
    plans = find_plans(request(data, tables=(2,), figures=(1,)))
    assert len(plans) == 1


def test_yelp_with_a_test_part_is_judged_by_that(data: Path, tmp_path: Path) -> None:
    lines = [f"{user} {' '.join(str((user + i) % 30) for i in range(8))}" for user in range(30)]
    (tmp_path / "train.txt").write_text("\n".join(line[:-3] for line in lines))
    (tmp_path / "test.txt").write_text("0 12\n1 9\n")
    given = find_source("Table 4", ("yelp", "yelp2018"), tmp_path, None)
    report = perform(Plan(given, QUICK, 5).run("popularity", 0).config("cpu"))
    assert report["metrics"]["test"]["scores"]["k"] == 20
    assert report["data"]["n_held_out"] == 2
    assert given.dataset == "yelp2018"
    (tmp_path / "test.txt").write_text("0 12\n1 8\n")
    other = find_source("Table 4", ("yelp", "yelp2018"), tmp_path, None)
    assert other.data_hash != given.data_hash
    assert find_source("Table 4", ("yelp", "yelp2018"), data, None).dataset == "yelp"
