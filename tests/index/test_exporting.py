"""What is exported is what there is, in a form that can be read again."""

from __future__ import annotations

import csv
import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from small_models import model_of, write
from typer.testing import CliRunner

from hashrec.index.arrays.codes import BinaryCodes
from hashrec.index.artifacts import durable
from hashrec.index.artifacts.store import Store
from hashrec.index.commands.exporting import app
from hashrec.index.live.journal import Event, ItemChange, journal_beside, open_journal
from hashrec.index.model.items import ItemTable
from hashrec.index.model.model import Model

FORMATS = (".jsonl", ".parquet", ".csv")


@pytest.fixture
def model() -> Model:
    items = [
        {"title": "Lamp", "categories": ["Light"], "timestamp": 1_795_478_400, "price": 3.5},
        {"title": "Bed", "hidden": True},
        {},
        {"title": "Gone"},
    ]
    return dataclasses.replace(model_of(5, 4, 32, seed=3), item_table=ItemTable.build(items))


@pytest.fixture
def store(model: Model, tmp_path: Path) -> Path:
    write(tmp_path / "run", model)
    Store(tmp_path / "store").publish(tmp_path / "run")
    return tmp_path / "store"


def run(*arguments: object) -> str:
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert done.exit_code == 0, done.output
    return done.stdout


def rows_of(path: Path) -> list[dict[str, Any]]:
    """Read a table; what is not there is left out, and JSON in a text is taken out of it."""
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text().splitlines()]
    if path.suffix == ".csv":
        with path.open(newline="") as file:
            rows: list[dict[str, Any]] = [dict(row) for row in csv.DictReader(file, strict=True)]
        texts = ("categories", "attributes", "timestamp", "hidden", "n_items", "n_bits")
    else:
        rows, texts = pq.read_table(path).to_pylist(), ("attributes",)
    return [
        {
            name: json.loads(value) if name in texts else value
            for name, value in row.items()
            if value not in (None, "")
        }
        for row in rows
    ]


def exported(what: str, store: Path, form: str, *options: object) -> list[dict[str, Any]]:
    out = store.parent / f"{what}{form}"
    assert run("export", what, "--store", store, "--out", out, "-q", *options) == f"{out}\n"
    return rows_of(out)


@pytest.mark.parametrize("form", FORMATS)
def test_items_are_exported_as_they_are_now(store: Path, form: str) -> None:
    lamp = {
        "item_id": "i0", "title": "Lamp", "categories": ["Light"], "timestamp": 1_795_478_400,
        "hidden": False, "attributes": {"price": 3.5},
    }  # fmt: skip
    bed = {"item_id": "i1", "title": "Bed", "hidden": True}
    assert exported("items", store, form) == [
        lamp, bed, {"item_id": "i2", "hidden": False},
        {"item_id": "i3", "title": "Gone", "hidden": False},
    ]  # fmt: skip
    journal = open_journal(f"sqlite:{journal_beside(store)}")
    journal.append(
        [
            ItemChange("i1", None, hidden=False),
            ItemChange("i2", {"title": "Rug", "tags": ["red"]}, None),
            ItemChange("i3", None, None, deleted=True),
            ItemChange("new", {"title": "Vase"}, hidden=True),
        ]
    )
    journal.close()
    assert exported("items", store, form) == [
        lamp,
        bed | {"hidden": False},
        {"item_id": "i2", "title": "Rug", "hidden": False, "attributes": {"tags": ["red"]}},
        {"item_id": "new", "title": "Vase", "hidden": True},
    ]


@pytest.mark.parametrize("form", FORMATS)
def test_exported_items_are_a_file_for_items(store: Path, form: str) -> None:
    from hashrec.training.data.items import read_items

    exported("items", store, form)
    assert read_items(store.parent / f"items{form}").attributes.by_id == {
        "i0": {
            "title": "Lamp", "categories": ["Light"], "timestamp": 1_795_478_400, "price": 3.5,
        },
        "i1": {"title": "Bed", "hidden": True},
        "i2": {},
        "i3": {"title": "Gone"},
    }  # fmt: skip


@pytest.mark.parametrize("form", FORMATS)
def test_users_are_exported_with_how_much_they_have_taken(
    store: Path, model: Model, form: str
) -> None:
    assert exported("users", store, form) == [
        {"user_id": f"u{row}", "n_items": len(model.seen[row])} for row in range(5)
    ]


@pytest.mark.parametrize("form", FORMATS)
def test_events_are_exported_in_order_and_can_be_learned_from(store: Path, form: str) -> None:
    from hashrec.training.data.reading import read_interactions

    assert exported("events", store, form) == []
    events = [
        Event("u1", "i1", "click", 1_795_478_400.5, "e1"),
        Event("new", "i2", "buy", 1_795_478_401.0, "e2", "list"),
        Event("u1", "i1", "hide", 1_795_478_402.0, "e3"),
    ]
    journal = open_journal(f"sqlite:{journal_beside(store)}")
    journal.append([*events[:2], ItemChange("i1", None, hidden=True), *events[2:]])
    journal.close()
    assert exported("events", store, form) == [
        {name: value for name, value in dataclasses.asdict(event).items() if value is not None}
        for event in events
    ]
    data = read_interactions(store.parent / f"events{form}").interactions
    assert (data.users.ids([0]), data.items.ids([0]), len(data)) == (["new"], ["i2"], 1)


@pytest.mark.parametrize("form", FORMATS)
def test_codes_come_back_from_their_export_with_numpy_alone(
    store: Path, model: Model, form: str
) -> None:
    rows = exported("codes", store, form)
    assert [(row["kind"], row["id"]) for row in rows] == [
        *(("user", f"u{row}") for row in range(5)), *(("item", f"i{row}") for row in range(4)),
    ]  # fmt: skip
    assert {row["n_bits"] for row in rows} == {32}
    packed = np.stack([np.frombuffer(bytes.fromhex(row["code"]), np.uint8) for row in rows])
    bits = np.unpackbits(packed, axis=1, bitorder="little").astype(np.int8)
    signs = np.concatenate([model.user_codes.to_signs(), model.item_codes.to_signs()])
    np.testing.assert_array_equal(2 * bits - 1, signs)
    np.testing.assert_array_equal(BinaryCodes(packed[5:]).packed, model.item_codes.packed)
    assert [row["id"] for row in exported("codes", store, form, "--of", "items")] == [
        "i0", "i1", "i2", "i3",
    ]  # fmt: skip


def test_a_file_of_another_name_is_refused_before_anything_is_read(store: Path) -> None:
    done = CliRunner().invoke(app, ["export", "users", "--store", str(store), "--out", "a.txt"])
    assert "name the file .jsonl, .csv or .parquet" in str(done.exception)


def test_a_table_that_fails_leaves_the_earlier_one_and_nothing_else(tmp_path: Path) -> None:
    from hashrec.index.files.tables import writing_table

    out = tmp_path / "a.jsonl"
    out.write_text("before\n")

    def fail() -> None:
        with writing_table(out, {"a": "int"}) as append:
            append({"a": [1]})
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert [path.name for path in tmp_path.iterdir()] == ["a.jsonl"]
    assert out.read_text() == "before\n"


def test_what_a_killed_process_left_is_removed_and_what_a_live_one_writes_is_not(
    tmp_path: Path,
) -> None:
    ended, alive = tmp_path / ".a.jsonl.4194305.tmp", tmp_path / ".a.jsonl.1.tmp"
    other = tmp_path / ".b.jsonl.4194305.tmp"
    for path in (ended, alive, other):  # no process has a number above 4194304
        path.touch()
    with durable.replacing(tmp_path / "a.jsonl") as temporary:
        temporary.write_text("now\n")
    assert {path.name for path in tmp_path.iterdir()} == {"a.jsonl", alive.name, other.name}
