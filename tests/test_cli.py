"""The commands as a shell runs them: exit codes, data on stdout, messages on stderr."""

from __future__ import annotations

import inspect
import json
import os
import pty
import re
import select
from pathlib import Path

import pytest

from tests.commands import Command, hashrec
from tests.index.small_models import model_of, write
from tests.training.small_jobs import quick_toml, small_interactions, write_csv


def output(*arguments: object) -> str:
    done = hashrec(*arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


class Workplace:
    """A folder with data, a finished run and a store that serves it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.toml = quick_toml(folder)
        self.data = write_csv(folder / "clicks.csv", small_interactions())
        self.run = folder / "run"
        self.store = folder / "store"
        self.trained = json.loads(
            output(
                "train", "--data", self.data, "--config", self.toml, "--out", self.run,
                "--k", 10, "--json", "--quiet",
            )
        )  # fmt: skip
        self.version = output("publish", self.run, "--store", self.store).strip()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    return Workplace(tmp_path_factory.mktemp("cli"))


def test_train_prints_its_report_and_publish_the_version(place: Workplace) -> None:
    assert place.trained["version"] == place.version
    assert place.trained["metrics"]["test"]["codes"]["k"] == 10
    assert place.trained == json.loads((place.run / "report.json").read_text())


def test_publish_says_that_a_model_to_compare_is_no_model_to_serve(
    place: Workplace, tmp_path: Path
) -> None:
    done = hashrec("publish", place.run, "--store", tmp_path / "store")
    assert "train with --split none to serve" in done.stderr


def test_every_option_of_a_job_sets_something() -> None:
    from hashrec.training.commands.jobs import retrain, train
    from hashrec.training.jobs.config import SETTING_OF_OPTION

    others = {"out", "store", "config", "preset", "columns", "as_json", "quiet", "max_drop", "once"}
    others |= {"fresh", "gate"}
    for command in (train, retrain):
        assert set(inspect.signature(command).parameters) <= {*SETTING_OF_OPTION, *others}


def test_metrics_are_printed_for_each_length_and_each_ranking(place: Workplace) -> None:
    figures = json.loads(output("evaluate", place.run, "--k", 5, "--json"))["codes"]
    header, *lines = output("evaluate", place.run, "--k", 5).split("\n\n")[0].splitlines()
    named = "k ranked by users recall precision hit rate map mrr ndcg coverage novelty"
    assert " ".join(header.split()) == named
    rows = [line.split() for line in lines]
    assert [row[:2] for row in rows] == [
        [str(k), what] for k in (5, 10, 20, 100) for what in ("codes", "popularity")
    ]
    of_codes = next(row for row in rows if row[:2] == ["20", "codes"])
    names = ("recall", "precision", "hit_rate", "map", "mrr", "ndcg", "coverage", "novelty")
    assert of_codes[3:] == [f"{figures[f'{name}@20']:.4f}" for name in names]


def test_lists_of_20_count_unless_another_length_is_given() -> None:
    from hashrec.jobs import evaluate as evaluate_in_python
    from hashrec.training.commands.jobs import evaluate
    from hashrec.training.jobs.config import JobConfig

    for function in (evaluate, evaluate_in_python):
        assert inspect.signature(function).parameters["k"].default == JobConfig().k == 20


def test_evaluate_repeats_the_report_and_takes_another_k(place: Workplace) -> None:
    figures = json.loads(output("evaluate", place.run, "--k", 10, "--json"))
    expected = place.trained["metrics"]["test"]
    diagnostics = figures.pop("diagnostics")
    assert figures == {name: expected[name] for name in ("codes", "popularity")}
    assert diagnostics["coverage"] == figures["codes"]["coverage"]
    assert diagnostics["users"]["n_codes"] == place.trained["data"]["n_users"]
    assert len(diagnostics["by_activity"]) == len(diagnostics["by_popularity"]) == 10
    table = output("evaluate", place.run, "--k", 5)
    for shown in ("ndcg@5", "popularity", "effective rank", "distance at 5", "Gini"):
        assert shown in table


def test_versions_marks_the_served_one(place: Workplace) -> None:
    listed = json.loads(output("versions", "--store", place.store, "--json"))
    assert [(entry["version"], entry["is_current"]) for entry in listed] == [(place.version, True)]
    assert place.version in output("versions", "--store", place.store)


def test_recommend_prints_a_table_or_json(place: Workplace) -> None:
    answer = json.loads(output("recommend", "1", "--store", place.store, "-k", 3, "--json"))
    assert answer["model_version"] == place.version
    assert answer["source"] == "personal"
    assert [item["rank"] for item in answer["items"]] == [1, 2, 3]
    assert all(item["title"] is None for item in answer["items"]), "clicks have no titles"
    table = output("recommend", "1", "--store", place.store, "-k", 3)
    assert all(item["item_id"] in table for item in answer["items"])


def test_recommend_gives_a_stranger_the_popular_items_unless_strict(place: Workplace) -> None:
    answer = json.loads(output("recommend", "stranger", "--store", place.store, "--json"))
    assert answer["source"] == "popular"
    refused = hashrec("recommend", "stranger", "--store", place.store, "--strict")
    assert refused.returncode == 1
    assert refused.stderr == "error: no user 'stranger' in this model\n"


def test_recommend_takes_a_history_in_place_of_a_user(place: Workplace) -> None:
    store = ("--store", place.store)
    first, second = (
        item["item_id"]
        for item in json.loads(output("recommend", "1", *store, "--json"))["items"][:2]
    )
    history = ("--positive", first, "--positive", "gone", "--negative", second)
    answer = json.loads(output("recommend", *history, *store, "--json"))
    assert (answer["user_id"], answer["source"], answer["n_unknown"]) == (None, "fold_in", 1)
    assert not {item["item_id"] for item in answer["items"]} & {first, second}
    told = hashrec("recommend", *history, *store)
    assert ", 1 ids of the history unknown" in told.stderr
    refused = hashrec("recommend", "--positive", "gone", *store, "--strict")
    assert refused.stderr == "error: none of the 1 positive items is in this model\n"


def test_a_version_is_named_for_machines_too(tmp_path: Path) -> None:
    def named(command: str, *arguments: object) -> str:
        made = json.loads(output(command, *arguments, "--store", tmp_path / "store", "--json"))
        assert list(made) == ["version"]
        return made["version"]

    for day in range(2):
        write(tmp_path / str(day) / "artifact", model_of(5, 5, 8, seed=1), day=day)
    first = named("publish", tmp_path / "0")
    second = named("publish", tmp_path / "1", "--no-activate")
    assert first != second
    assert named("activate", second) == second
    assert named("rollback") == first


def test_retrain_publishes_and_rollback_returns(place: Workplace, tmp_path: Path) -> None:
    store = tmp_path / "store"
    first = output("publish", place.run, "--store", store).strip()
    common = ("--data", place.data, "--config", place.toml, "--store", store, "--quiet")
    second = output("retrain", *common).splitlines()[-1]
    assert second != first
    assert output("rollback", "--store", store).strip() == first
    again = hashrec("rollback", "--store", store)
    assert again.returncode == 1
    assert "no earlier version than" in again.stderr


def test_retrain_once_leaves_a_store_that_serves(place: Workplace) -> None:
    done = hashrec("retrain", "--data", "/nowhere", "--store", place.store, "--once")
    assert done.returncode == 0
    assert f"serves {place.version} already" in done.stderr


def test_data_list_and_validate(place: Workplace) -> None:
    names = [known["name"] for known in json.loads(output("data", "list", "--json"))]
    assert {"synthetic", "ml-100k", "ml-1m", "ml-10m"} <= set(names)
    report = json.loads(output("data", "validate", place.data, "--json"))
    assert report["interactions"] == len(small_interactions())
    assert "interactions" in output("data", "validate", place.data)


def test_data_validate_takes_a_name_and_its_table_is_rounded() -> None:
    exact = json.loads(output("data", "validate", "synthetic", "--json"))
    assert (exact["users"], exact["items"]) == (1_000, 600)
    table = output("data", "validate", "synthetic")
    assert exact["density"] == 40_000 / 600_000
    assert re.search(r"^density +0\.0666667 *$", table, re.MULTILINE)


def test_the_paper_preset_sets_its_protocol_and_flags_go_before_it(place: Workplace) -> None:
    refused = hashrec(
        "train", "--data", place.data, "--preset", "paper", "--k-core", 300, "--out", "x"
    )
    assert "300 interactions each; lower --k-core" in refused.stderr
    trained = json.loads(
        output(
            "train", "--data", place.data, "--preset", "paper", "--config", place.toml,
            "--k-core", 5, "--out", place.folder / "paper", "--json", "--quiet",
        )
    )  # fmt: skip
    assert trained["config"]["data"]["k_core"] == 5
    assert trained["config"]["split"]["strategy"] == "random"
    assert trained["config"]["k"] == 100


def test_expanded_data_can_be_read_by_every_command(place: Workplace, tmp_path: Path) -> None:
    file = tmp_path / "larger.parquet"
    sizes = ("--users", 300, "--items", 150, "--interactions", 8_000)
    done = hashrec("data", "expand", place.data, *sizes, "--out", file)
    assert done.stdout == f"{file}\n"
    assert "expanding" in done.stderr
    report = json.loads(output("data", "validate", file, "--json"))
    assert (report["users"], report["items"], report["interactions"]) == (300, 150, 8_000)
    refused = hashrec("data", "expand", place.data, *sizes[:-1], 10**6, "--out", tmp_path / "none")
    assert "expands to at most" in refused.stderr
    assert not (tmp_path / "none").exists()


def test_columns_are_named_by_map(place: Workplace, tmp_path: Path) -> None:
    file = tmp_path / "orders.csv"
    file.write_text("day,buyer,sku\n1,a,x\n2,a,y\n3,b,x\n")
    report = json.loads(output("data", "validate", file, "--map", "user=buyer,item=sku", "--json"))
    assert (report["users"], report["items"]) == (2, 2)
    assert "user=COLUMN" in hashrec("data", "validate", file, "--map", "buyer").stderr


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("train",), 2, "--out"),
        (("nonsense",), 2, "nonsense"),
        (("recommend", "1", "-k", "0"), 2, "-k"),
        (("recommend",), 2, "give USER, or a history"),
        (("recommend", "1", "--positive", "2"), 2, "give USER, or a history"),
        (("train", "--data", "/no/such.csv", "--out", "x"), 1, "error: /no/such.csv: no such file"),
        (("train", "--bits", "12", "--out", "x"), 1, "multiple of 8"),
        (("train", "--device", "cuda", "--out", "x"), 1, "use --device cpu"),
        (("train", "--config", "/no/such.toml", "--out", "x"), 1, "cannot be read as TOML"),
        (("publish", "/no/run", "--store", "/tmp/none"), 1, "run `hashrec train --out /no/run`"),
        (("versions", "--store", "/no/store"), 1, "run `hashrec publish RUN"),
        (("rollback", "--store", "/no/store"), 1, "run `hashrec publish RUN"),
        (("train", "--out", "/dev/null"), 1, "/dev/null: File exists"),
        (("recommend", "1", "--store", "/no/store"), 1, "run `hashrec publish RUN"),
        (("evaluate", "/no/run"), 1, "/no/run"),
        (("data", "fetch", "nonsense"), 1, "no data set 'nonsense' to fetch"),
    ],
)  # fmt: skip
def test_a_failure_is_one_line_that_says_what_to_do(
    arguments: tuple[str, ...], code: int, says: str
) -> None:
    done = hashrec(*arguments)
    assert done.returncode == code
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    if code == 1:
        assert done.stderr.count("\n") == 1


def test_progress_is_on_stderr_and_plain_where_colour_is_unwanted(
    place: Workplace, tmp_path: Path
) -> None:
    done = hashrec(
        "train", "--data", place.data, "--config", place.toml, "--out", tmp_path / "run",
        "--split", "none", NO_COLOR="1",
    )  # fmt: skip
    assert done.returncode == 0
    assert done.stdout == ""
    stages = re.findall(r"^(\w+): [\d.]+ s$", done.stderr, re.MULTILINE)
    assert {"read", "teacher", "model", "write"} <= {*stages}
    assert len(stages) == len({*stages}), "one line a stage"
    assert "\x1b[" not in done.stderr


def test_on_a_terminal_every_loop_has_a_bar(place: Workplace, tmp_path: Path) -> None:
    terminal, standard_error = pty.openpty()
    options = ("--data", place.data, "--config", place.toml, "--split", "none")
    command = Command(
        "train", *options, "--out", tmp_path / "run", stderr=Path(os.ttyname(standard_error)),
        TERM="xterm", NO_COLOR="1",
    )  # fmt: skip
    shown = b""
    while command.poll() is None:
        if select.select([terminal], [], [], 0.1)[0]:
            shown += os.read(terminal, 65536)
    assert command.wait(1) == 0
    assert b"GCN-CF" in shown
    assert not re.search(rb"\x1b\[[\d;]*3\dm", shown), "no colours"
    os.close(terminal)
    os.close(standard_error)
