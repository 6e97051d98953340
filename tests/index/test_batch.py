"""Everyone's lists are those that each of them is served."""

from __future__ import annotations

import bz2
import dataclasses
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest
from small_models import model_of, refiner_of, write
from typer.testing import CliRunner

from hashrec.index.artifacts.store import Store
from hashrec.index.commands.recommending import app
from hashrec.index.errors import DataError, MissingLibraryError
from hashrec.index.files.batch import USERS_AT_ONCE
from hashrec.index.files.user_files import read_user_ids
from hashrec.index.live.catalogue_state import journal_of, overlay_of
from hashrec.index.live.journal import Event, ItemChange, journal_beside, open_journal
from hashrec.index.live.model_overlay import ModelOverlay
from hashrec.index.model.items import ItemTable
from hashrec.index.ranking.recommender import Recommender

N_USERS = 2 * USERS_AT_ONCE + 7  # more than are ranked at once


def published(folder: Path, index_type: str = "flat", n_items: int = 80) -> Path:
    model = model_of(N_USERS, n_items, 32, seed=5)
    hidden = [{"hidden": row in (2, 11)} for row in range(n_items)]
    model = dataclasses.replace(
        model, refiner=refiner_of(n_items, 4, 20, seed=5), item_table=ItemTable.build(hidden)
    )
    write(folder / "run", model, index_type=index_type)
    Store(folder / "store").publish(folder / "run")
    return folder / "store"


def batch(store: Path, *options: object, form: str = ".jsonl") -> list[dict[str, Any]]:
    out = store.parent / f"lists{form}"
    command = ["batch-recommend", "--store", store, "--out", out, "-q", *options]
    done = CliRunner().invoke(app, [str(part) for part in command])
    assert done.exit_code == 0, done.output
    if form == ".parquet":
        return pq.read_table(out).to_pylist()
    if form == ".csv":
        return pl.read_csv(out, schema_overrides={"user_id": pl.String}).to_dicts()
    return [{"hamming": None} | json.loads(line) for line in out.read_text().splitlines()]


def served(store: Path, user_ids: list[str], k: int) -> list[dict[str, Any]]:
    """What the recommender answers, one user after the other."""
    artifact = Store(store).open()
    with journal_of(store, None) as journal:
        overlay = ModelOverlay(overlay_of(journal), artifact.model)
    recommender = Recommender(artifact)
    return [
        {
            "user_id": user_id, "rank": item.rank, "item_id": item.item_id, "score": item.score,
            "hamming": item.hamming, "source": item.source,
        }
        for user_id in user_ids
        for item in recommender.recommend(user_id, k, overlay=overlay.view(user_id)).items
    ]  # fmt: skip


EVERYONE = [f"u{row}" for row in range(N_USERS)]


@pytest.mark.parametrize("index_type", ["flat", "ivf"])
@pytest.mark.parametrize("form", [".jsonl", ".parquet", ".csv"])
def test_every_user_has_the_list_that_is_served(tmp_path: Path, index_type: str, form: str) -> None:
    store = published(tmp_path, index_type)
    lists = batch(store, "-k", 9, form=form)
    assert lists == served(store, EVERYONE, 9)
    assert {row["source"] for row in lists} == {"personal"}
    assert not {"i2", "i11"} & {row["item_id"] for row in lists}, "hidden"


def test_events_and_changes_of_the_catalogue_count(tmp_path: Path) -> None:
    store = published(tmp_path)
    first = [row["item_id"] for row in served(store, ["u3"], 3)]
    journal = open_journal(f"sqlite:{journal_beside(store)}")
    journal.append(
        [
            Event("u3", first[0], "click", 0.0, "e1"),
            Event("u3", first[1], "dislike", 0.0, "e2"),
            Event("newcomer", "i7", "click", 0.0, "e3"),
            ItemChange("i20", None, hidden=True),
            ItemChange("i2", None, hidden=False),
        ]
    )
    journal.close()
    lists = batch(store, "-k", 9)
    assert lists == served(store, [*EVERYONE, "newcomer"], 9)
    of_u3 = [row for row in lists if row["user_id"] == "u3"]
    assert {row["source"] for row in of_u3} == {"fold_in"}
    assert not {first[0], first[1]} & {row["item_id"] for row in of_u3}
    items = {row["item_id"] for row in lists}
    assert "i20" not in items
    assert "i2" in items
    assert batch(store, "-k", 9, "--negative-types", "click") != lists


def test_the_longest_lists_hold_all_that_is_allowed(tmp_path: Path) -> None:
    store = published(tmp_path)
    assert batch(store, "-k", 500) == served(store, EVERYONE, 500)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("users.txt", b"u9\n\nstranger\r\nu9\n"),
        ("users.jsonl", b'{"user_id": "u9"}\n{"user_id": "stranger", "age": 7}\n'),
        ("gorse.jsonl", b'{"UserId": "u9", "Labels": null}\n{"UserId": "stranger"}\n'),
        ("users.csv", b'user_id,age\nu9,7\n"stranger",\nu9,7\n'),
        ("one.csv", b"user_id\nu9\nstranger\n"),
        ("users.tsv", b"age\tuserId\n7\tu9\n8\tstranger\n"),
        ("users.user", b"user_id:token\tage:float\nu9\t7\nstranger\t8\n"),
        ("array.json", b'[{"user": "u9"},\n {"user": "stranger"}]'),
        ("users.bz2", bz2.compress(b"u9\nstranger\n")),
        ("utf16.txt", "u9\nstranger\n".encode("utf-16")),
        ("comment.txt", b"u9 \n  stranger\n"),
    ],
)
def test_users_may_be_named_by_a_file(tmp_path: Path, name: str, content: bytes) -> None:
    store = published(tmp_path)
    (tmp_path / name).write_bytes(content)
    lists = batch(store, "-k", 4, "--users", tmp_path / name)
    assert lists == served(store, ["u9", "stranger"], 4)
    assert lists[-1]["source"] == "popular"


@pytest.mark.parametrize("form", [".jsonl", ".parquet", ".csv"])
def test_users_of_a_batch_can_name_those_of_the_next(tmp_path: Path, form: str) -> None:
    store = published(tmp_path)
    lists = batch(store, "-k", 2, form=form)
    named = (tmp_path / f"lists{form}").rename(tmp_path / f"named{form}")
    assert read_user_ids(named) == EVERYONE
    assert batch(store, "-k", 2, "--users", named) == [{"hamming": None} | row for row in lists]


def test_the_column_of_users_can_be_named_and_is_reported(tmp_path: Path) -> None:
    store = published(tmp_path)
    path = tmp_path / "people.csv"
    path.write_text("name;who\nAda;u9\nCy;\nBob;stranger\n;u9\n")
    command = ["batch-recommend", "--store", str(store), "--out", str(tmp_path / "lists.csv"),
               "-k", "2", "--users", str(path)]  # fmt: skip
    assert "no user column" in str(
        CliRunner().invoke(app, [*command, "--separator", ";"]).exception
    )
    done = CliRunner().invoke(app, [*command, "--map", "user=who", "--max-bad", "1"])
    assert done.exit_code == 0, done.output
    assert "column who: user, named by --map" in done.stderr
    assert "not used: name" in done.stderr
    assert "4 rows: 1 bad, 1 repeated, 2 users" in done.stderr
    written = pl.read_csv(tmp_path / "lists.csv").get_column("user_id").to_list()
    assert written == ["u9", "u9", "stranger", "stranger"]


def test_users_come_on_standard_input(tmp_path: Path) -> None:
    store = published(tmp_path)
    out = tmp_path / "lists.csv"
    command = ["batch-recommend", "--store", str(store), "--out", str(out), "-k", "1", "-q"]
    done = CliRunner().invoke(app, [*command, "--users", "-"], input="u9\nu3\n")
    assert done.exit_code == 0, done.output
    assert pl.read_csv(out).get_column("user_id").to_list() == ["u9", "u3"]


def test_a_file_of_users_without_polars_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "users").write_text("u9\n")
    monkeypatch.setitem(sys.modules, "polars", None)
    for name in [name for name in sys.modules if name.startswith("hashrec.index.reading.r")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(MissingLibraryError, match=r"polars: pip install 'hashrec\[files\]'"):
        read_user_ids(tmp_path / "users")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "one id a line"),
        (b"u1\n{'no'}\n", "line 2: no id but an object"),
        (b'u1\n{"name": "u2"}\n', "line 2: no id but an object"),
        (b'{"name": "u2"}\n', "no user column among name.*--map user=COLUMN"),
        (b'{"user_id": ["u2"]}\n', "line 1: user_id is neither a string nor a number"),
        (b"kind,id\nuser,u1\n", "it begins 'kind,id'.*name the columns with --map user=COLUMN$"),
        (b"7,1\n8,2\n", "2 columns without a header.*for example --map user=1$"),
        (b"\xff\n", r"not UTF-8 text \(line 1\)"),
        (b"u" * 513, "line 1: user id over 512 bytes"),
        (b"PAR1 nothing", "damaged Parquet"),
    ],
)
def test_a_file_that_names_no_users_is_refused(tmp_path: Path, content: bytes, says: str) -> None:
    (tmp_path / "users").write_bytes(content)
    with pytest.raises(DataError, match=says):
        read_user_ids(tmp_path / "users")


ENDLESS = """
import sys
from pathlib import Path
from hashrec.index.files.tables import writing_table
with writing_table(Path(sys.argv[1]), {"user_id": "text", "rank": "int"}) as append:
    while True:
        append({"user_id": ["u"] * 10_000, "rank": [1] * 10_000})
"""


@pytest.mark.parametrize("form", [".jsonl", ".parquet", ".csv"])
def test_a_batch_that_is_killed_leaves_the_earlier_file(tmp_path: Path, form: str) -> None:
    store = published(tmp_path)
    before = batch(store, "-k", 2, form=form)
    out = tmp_path / f"lists{form}"
    killed = subprocess.Popen([sys.executable, "-c", ENDLESS, str(out)], env=os.environ)
    leftover = tmp_path / f".{out.name}.{killed.pid}.tmp"
    deadline = time.monotonic() + 30
    while not (leftover.exists() and leftover.stat().st_size > 4) and time.monotonic() < deadline:
        time.sleep(0.01)
    killed.kill()
    killed.wait()
    assert leftover.exists()
    assert read_user_ids(out) == EVERYONE
    assert batch(store, "-k", 2, form=form) == before
    assert not leftover.exists()


def test_parquet_without_pyarrow_says_what_to_install_and_json_lines_need_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = published(tmp_path)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.delitem(sys.modules, "pyarrow.parquet", raising=False)
    command = ["batch-recommend", "--store", str(store), "--out", str(tmp_path / "lists.parquet")]
    done = CliRunner().invoke(app, command)
    assert str(done.exception) == "Parquet needs pyarrow: pip install 'hashrec[files]'"
    assert len(batch(store, "-k", 1)) == N_USERS


def test_scores_are_those_of_an_answer_to_the_last_bit(tmp_path: Path) -> None:
    store = published(tmp_path)
    scores = np.array([row["score"] for row in batch(store, "-k", 5, form=".parquet")])
    hamming = np.array([row["hamming"] for row in served(store, EVERYONE, 5)])
    assert scores.tolist() == [1 - distance / 32 for distance in hamming.tolist()]
