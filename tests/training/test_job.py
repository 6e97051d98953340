from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from hashrec.index.artifacts.artifact import Artifact
from hashrec.index.errors import ConfigError, DataError, EmptyDataError, TooManyBadRowsError
from hashrec.jobs import evaluate
from hashrec.training.data.cuts import at_of, iso
from hashrec.training.jobs.config import load_config
from hashrec.training.jobs.outputs import folder_of_run, load_held_out
from hashrec.training.jobs.report import Report, read_report
from hashrec.training.jobs.training import train
from hashrec.training.progress import QuietProgress
from tests.training.small_jobs import quick_config, small_interactions, write_csv


def run_job(run: Path, source: Path | str, **flags: object) -> Report:
    return train(quick_config(run.parent, source, **flags), run, QuietProgress(), lambda _: None)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_csv(tmp_path_factory.mktemp("data") / "clicks.csv", small_interactions())


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, data: Path) -> Path:
    run = tmp_path_factory.mktemp("job") / "run"
    run_job(run, data, k=10)
    return run


def test_a_run_leaves_an_artifact_that_opens_and_a_report_that_explains_it(
    run: Path, data: Path
) -> None:
    artifact = Artifact.open(run / "artifact")
    report = read_report(run)
    assert report["version"] == artifact.manifest.version
    assert report["config"]["seed"] == 0
    assert report["config"]["data"]["source"] == str(data)
    assert report["config"]["teacher"]["factor_dim"] == 16
    assert report["config"]["model"]["alpha"] == 10.0, "defaults are written out"
    assert report["data"]["sha256"] == small_interactions().data_hash()
    assert report["data"]["n_train"] + report["data"]["n_held_out"] == len(small_interactions())
    stages = {"read", "selection", "teacher", "model", "write", "evaluate", "total"}
    assert set(report["seconds"]) == stages
    assert report["peak_memory_mb"] > 50
    assert len(next(iter(report["curves"].values()))["loss"]) > 1


def test_published_figures_are_those_of_a_brute_force_ranking(run: Path) -> None:
    model = Artifact.open(run / "artifact").model
    held_out = load_held_out(run, len(model.users))
    distances = model.user_codes.hamming(model.item_codes)
    k, found = 10, []
    for user in range(len(model.users)):
        if not len(held_out[user]):
            continue
        allowed = [row for row in range(len(model.items)) if row not in model.seen[user]]
        ranked = sorted(allowed, key=lambda row: (distances[user, row], row))[:k]
        gains = [
            1 / np.log2(place + 2) for place, row in enumerate(ranked) if row in held_out[user]
        ]
        best = sum(1 / np.log2(place + 2) for place in range(min(k, len(held_out[user]))))
        found.append(sum(gains) / best)
    figures = read_report(run)["metrics"]["test"]
    assert figures["codes"]["ndcg"] == pytest.approx(np.mean(found))
    assert figures["codes"]["n_users"] == len(found)
    assert {"codes", "popularity", "teacher"} == set(figures)


def test_the_manifest_carries_the_figures(run: Path) -> None:
    metrics = Artifact.open(run / "artifact").manifest.metrics
    assert metrics["test/ndcg@10"] == read_report(run)["metrics"]["test"]["codes"]["ndcg"]


def test_a_report_judges_every_ranking_at_10_20_and_100_too(run: Path) -> None:
    for figures in read_report(run)["metrics"]["test"].values():
        for name in ("recall", "precision", "hit_rate", "map", "mrr", "ndcg"):
            assert figures[f"{name}@{figures['k']}"] == figures[name]
            assert 0 <= figures[f"{name}@20"] <= 1
        recall = [figures[f"recall@{k}"] for k in (10, 20, 100)]
        assert recall == sorted(recall)
        assert figures["precision@10"] > figures["precision@100"]
        assert figures["novelty"] > 0


def test_items_stand_in_descending_popularity_of_training(run: Path) -> None:
    model = Artifact.open(run / "artifact").model
    counted = np.bincount(model.seen.items, minlength=len(model.items))
    assert (np.diff(model.popularity) <= 0).all()
    assert (counted == model.popularity).all()


def test_the_same_seed_gives_the_same_codes_and_another_seed_others(
    tmp_path: Path, data: Path, run: Path
) -> None:
    run_job(tmp_path / "again", data, k=10)
    run_job(tmp_path / "other", data, k=10, seed=1)
    for name in ("user_codes.npy", "item_codes.npy"):
        first = (run / "artifact" / name).read_bytes()
        assert (tmp_path / "again" / "artifact" / name).read_bytes() == first
        assert (tmp_path / "other" / "artifact" / name).read_bytes() != first


def test_split_none_keeps_every_user_and_holds_nothing_out(tmp_path: Path, data: Path) -> None:
    report = run_job(tmp_path / "run", data, split__strategy="none")
    assert report.metrics == {}
    assert report.data["n_train"] == len(small_interactions())
    with pytest.raises(DataError, match="nothing was held out"):
        load_held_out(tmp_path / "run", 120)


def test_a_given_test_file_is_what_is_held_out(tmp_path: Path) -> None:
    train_file, test_file = tmp_path / "train.txt", tmp_path / "test.txt"
    lines = [f"{u} {u % 5} {5 + u % 7} {12 + u % 3}\n" for u in range(40)]
    train_file.write_text("".join([*lines, "40 1 2\n"]))  # of one length they could be columns
    test_file.write_text("".join(f"{u} {(u + 1) % 5}\n" for u in range(40)) + "40\n")
    report = run_job(tmp_path / "run", train_file, split__strategy="given", k=5)
    assert report.data["n_held_out"] == 40


def test_a_split_by_time_is_told_in_the_report_and_judged_beside_what_was_popular_lately(
    tmp_path: Path,
) -> None:
    made = small_interactions()
    assert made.timestamps is not None
    cut = int(np.sort(made.timestamps)[len(made) * 3 // 4])
    source, said = write_csv(tmp_path / "clicks.csv", made, times=True), list[str]()
    config = quick_config(tmp_path, source, split__strategy="time", split__at=iso(cut), k=10)
    report = train(config, tmp_path / "run", QuietProgress(), said.append)
    before = made.timestamps < cut
    known = np.isin(made.user_rows, made.user_rows[before])
    known &= np.isin(made.item_rows, made.item_rows[before])
    n_cold = int((~before & ~known).sum())
    assert report.data["n_train"] == before.sum()
    assert report.data["n_held_out"] == (~before & known).sum()
    assert report.split["cut"] == iso(cut)
    assert report.split["cold"]["n_pairs"] == n_cold
    assert any(line.startswith(f"cut at {iso(cut)}: {before.sum():,} inter") for line in said)
    model = Artifact.open(tmp_path / "run" / "artifact").model
    assert len(model.seen.items) == before.sum()
    assert model.recent is not None
    assert model.recent.until == cut
    week = before & (made.timestamps >= cut - 7 * 86_400)
    assert model.recent.of_window(7, len(model.items)).sum() == week.sum()
    figures = report.metrics["test"]
    assert list(figures) == ["codes", "popularity", "popularity_7d", "popularity_30d", "teacher"]
    again = evaluate(tmp_path / "run", k=10)
    assert all(again[name] == figures[name] for name in ("popularity_7d", "popularity_30d"))


def test_a_row_without_a_time_is_bad_where_a_split_needs_it(tmp_path: Path) -> None:
    source = write_csv(tmp_path / "clicks.csv", small_interactions(), times=True)
    with source.open("a") as file:
        file.write("u1,i1,\n")
    with pytest.raises(TooManyBadRowsError, match="timestamp"):
        run_job(tmp_path / "run", source, split__strategy="time")


def test_a_moment_in_a_toml_file_may_be_a_date(tmp_path: Path) -> None:
    path = tmp_path / "job.toml"
    path.write_text('[split]\nstrategy = "time"\nat = 2026-10-01T18:00:00Z\n')
    moment = load_config(path, {}).split.at
    assert moment is not None
    assert iso(int(at_of(moment))) == "2026-10-01T18:00:00Z"


def test_a_split_that_leaks_the_future_says_so(tmp_path: Path) -> None:
    source, said = write_csv(tmp_path / "clicks.csv", small_interactions(), times=True), list[str]()
    config = quick_config(tmp_path, source, split__strategy="temporal")
    report = train(config, tmp_path / "run", QuietProgress(), said.append)
    assert "leaks the future" in report.split["note"]
    assert [line for line in said if line.startswith("--split temporal leaks the future")]


def test_more_places_than_items_is_no_error(tmp_path: Path, data: Path) -> None:
    report = run_job(tmp_path / "run", data, k=5_000)
    assert report.metrics["test"]["codes"]["recall"] == 1
    assert report.metrics["test"]["popularity"]["coverage"] == 1


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        ({"model__name": "nonsense"}, "no model 'nonsense'; there are .*dgcn-bincf"),
        ({"teacher__name": "nonsense"}, "no teacher 'nonsense'; there are .*gcn-cf"),
        ({"model__n_bits": 63}, "multiple of 8"),
        ({"model__speed": 3}, "no setting 'speed'"),
        ({"nonsense": 3}, "no setting 'nonsense'"),
        ({"index": "nonsense"}, "no index 'nonsense'; there are flat"),
        ({"split__test": "/no/such.csv"}, "--test FILE goes with --split given"),
        ({"split__strategy": "given"}, "--split given needs --test FILE"),
        (
            {"split__strategy": "temporal"},
            "no timestamp column, which is needed; name it with --map",
        ),
        ({"split__strategy": "time"}, "no timestamp column, which is needed; name it with --map"),
        ({"split__at": "0.2"}, "--at goes with --split time"),
        ({"split__at": 2}, "--at '2' is neither a share"),
        ({"data__k_core": 500}, "lower --k-core"),
    ],
)
def test_a_wrong_setting_says_what_is_right_and_writes_nothing(
    tmp_path: Path, data: Path, flags: dict[str, object], says: str
) -> None:
    with pytest.raises((ConfigError, DataError), match=says):
        run_job(tmp_path / "run", data, **flags)
    assert not (tmp_path / "run").exists()


def test_a_failed_job_leaves_a_folder_that_was_there_and_removes_those_it_made(
    tmp_path: Path, data: Path
) -> None:
    config = load_config(None, {"data.source": str(data), "data.k_core": 500})
    (tmp_path / "mine").mkdir()
    for run in (tmp_path / "mine", tmp_path / "mine" / "a" / "b"):
        with pytest.raises(DataError, match="lower --k-core"):
            train(config, run, QuietProgress(), lambda _: None)
    assert list(tmp_path.glob("**/*")) == [tmp_path / "mine"]


def test_a_failed_job_keeps_a_folder_with_something_in_it(tmp_path: Path) -> None:
    def fail() -> None:
        (tmp_path / "run" / "checkpoint").touch()
        raise OSError("disk")

    with pytest.raises(OSError, match="disk"), folder_of_run(tmp_path / "run"):
        fail()
    assert (tmp_path / "run" / "checkpoint").exists()


def test_a_run_that_holds_nothing_out_replaces_one_that_did_with_all_its_figures(
    tmp_path: Path, data: Path
) -> None:
    run_job(tmp_path / "run", data)
    run_job(tmp_path / "run", data, split__strategy="none")
    with pytest.raises(DataError, match="nothing was held out"):
        load_held_out(tmp_path / "run", 120)


def test_too_little_data_to_hold_out_is_said_and_not_scored_as_zero(tmp_path: Path) -> None:
    file = tmp_path / "one-each.csv"
    file.write_text("user_id,item_id\na,x\nb,y\nc,z\n")
    with pytest.raises(EmptyDataError, match="use --split none"):
        run_job(tmp_path / "run", file)


def test_settings_are_chosen_by_a_part_of_training_while_test_is_left_alone(
    tmp_path: Path, data: Path, run: Path
) -> None:
    report = run_job(tmp_path / "run", data, k=10, split__by_validation=True)
    assert set(report.metrics) == {"validation"}
    judged = load_held_out(tmp_path / "run", 120)
    test = load_held_out(run, 120)
    model, tested = (Artifact.open(r / "artifact").model for r in (tmp_path / "run", run))
    for user in range(120):
        ids = set(model.items.ids(judged[user]))
        assert not ids & set(tested.items.ids(test[user]))
        assert ids <= set(tested.items.ids(tested.seen[user]))


def test_a_given_test_file_is_read_by_the_rules_of_the_data(tmp_path: Path) -> None:
    train_file, test_file = tmp_path / "train.csv", tmp_path / "test.csv"
    rows = [f"{u},{i},5\n" for u in range(30) for i in ((u % 5), 5 + u % 7, 12 + u % 3)]
    train_file.write_text("user_id,item_id,rating\n" + "".join(rows))
    held_out = [f"{u},{(u + 1) % 5},{5 if u < 10 else 1}\n" for u in range(30)]
    test_file.write_text("user_id,item_id,rating\nnobody,0,5\n" + "".join(held_out))
    said: list[str] = []
    config = quick_config(
        tmp_path, train_file, split__strategy="given", split__test=test_file, data__min_value=4, k=5
    )
    report = train(config, tmp_path / "run", QuietProgress(), said.append)
    assert report.data["n_held_out"] == 10
    assert any("1 of users or items that training lacks" in line for line in said)


def test_a_failed_run_leaves_the_earlier_one(tmp_path: Path, data: Path) -> None:
    run_job(tmp_path / "run", data)
    before = (tmp_path / "run" / "report.json").read_bytes()
    with pytest.raises(ConfigError):
        run_job(tmp_path / "run", data, model__n_bits=60)
    assert (tmp_path / "run" / "report.json").read_bytes() == before
    assert Artifact.open(tmp_path / "run" / "artifact").manifest.n_bits == 64


def test_a_section_that_is_no_table_is_refused(tmp_path: Path) -> None:
    toml = tmp_path / "job.toml"
    toml.write_text("data = 3\n")
    with pytest.raises(ConfigError, match=r"\[data\] must be a table, got 3"):
        load_config(toml, {"data.k_core": 5})


def test_a_report_is_plain_json(run: Path) -> None:
    assert json.loads((run / "report.json").read_text())["environment"]["torch"].startswith("2.")


def test_a_folder_without_a_report_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="not a finished run"):
        read_report(tmp_path)
