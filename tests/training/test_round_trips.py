"""What `hashrec export` writes is taken back by imports, training and lists of users, unchanged."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from hashrec.index.artifacts.store import Store
from hashrec.index.commands.exporting import app as export_app
from hashrec.index.files.user_files import read_user_ids
from hashrec.index.live.catalogue_state import items_now, journal_of, overlay_of
from hashrec.index.live.journal import Event, ItemChange, journal_beside, open_journal
from hashrec.index.model.items import ItemTable
from hashrec.training.commands.importing import app as import_app
from hashrec.training.commands.jobs import app as job_app
from hashrec.training.data.items import read_items
from tests.index.small_models import model_of, write

FORMATS = (".jsonl", ".parquet", ".csv")
ITEMS: list[dict[str, Any]] = [
    {"title": 'TV 32", "flat"', "categories": ["a|b", "c, d", 'e"f'], "price": 3.5},
    {"title": "two\nlines, one item", "timestamp": 1_795_478_400, "tags": ["x", 7, None]},
    {"title": "Amélie 🎬", "timestamp": 1_795_478_400.25, "about": {"deep": {"er": [1.5]}}},
    {"title": "007", "categories": ["unknown"], "code": "007", "empty": [], "gone": None},
    {"hidden": True, "in_stock": False, "note": ""},
    {},
    {"title": "[brackets]", "categories": ["Shoes & Jewelry, Watches"], "big": 2**64 - 1},
    {"title": " blanks ", "timestamp": 946_684_800, "attributes": {"of": "its own"}},
]


def published(folder: Path, items: list[dict[str, Any]]) -> Path:
    model = dataclasses.replace(
        model_of(5, len(items), 32, seed=3), item_table=ItemTable.build(items)
    )
    write(folder / "run", model)
    Store(folder / "store").publish(folder / "run")
    return folder / "store"


def run(app: Any, *arguments: object) -> str:
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert done.exit_code == 0, done.output + str(done.exception)
    return done.stdout


def exported(what: str, store: Path, form: str) -> Path:
    out = store.parent / f"{what}{form}"
    run(export_app, "export", what, "--store", store, "--out", out, "-q")
    return out


def catalogue(store: Path) -> list[tuple[str, dict[str, Any], bool]]:
    with journal_of(store, None) as journal:
        overlay = overlay_of(journal)
    now = items_now(Store(store).open().model, overlay)
    return [(item.item_id, dict(item.attributes), item.hidden) for item in now]


@pytest.mark.parametrize("form", FORMATS)
def test_exported_items_are_what_the_catalogue_knows_already(tmp_path: Path, form: str) -> None:
    store = published(tmp_path, ITEMS)
    out = exported("items", store, form)
    report = json.loads(run(import_app, "import", "items", out, "--store", store, "--json", "-q"))
    counts = {name: report[name] for name in ("rows", "bad", "merged", "known", "new")}
    assert counts == {"rows": 8, "bad": 0, "merged": 0, "known": 8, "new": 0}
    assert report["warnings"] == []


@pytest.mark.parametrize("form", FORMATS)
def test_exported_items_make_the_same_catalogue_in_another_store(tmp_path: Path, form: str) -> None:
    store = published(tmp_path / "a", ITEMS)
    other = published(tmp_path / "b", [{"title": "another"}] * len(ITEMS))
    run(import_app, "import", "items", exported("items", store, form), "--store", other, "-q")
    assert catalogue(other) == catalogue(store)


@pytest.mark.parametrize("form", FORMATS)
def test_a_model_is_trained_with_exported_items(tmp_path: Path, form: str) -> None:
    store = published(tmp_path, ITEMS)
    clicks = tmp_path / "clicks.csv"
    pairs = [f"u{user},i{item}" for user in range(12) for item in range(8) if (user + item) % 3]
    clicks.write_text("user_id,item_id\n" + "\n".join(pairs) + "\n")
    run(job_app, "train", "--data", clicks, "--items", exported("items", store, form),
        "--model", "dgcn-bincf", "--teacher", "popularity", "--split", "none", "--bits", "8",
        "--out", tmp_path / "again", "-q")  # fmt: skip
    Store(tmp_path / "new").publish(tmp_path / "again" / "artifact")
    assert sorted(catalogue(tmp_path / "new"), key=str) == sorted(catalogue(store), key=str)


@pytest.mark.parametrize("form", FORMATS)
def test_integers_beyond_64_bits_are_exported_and_come_back_as_text(
    tmp_path: Path, form: str
) -> None:
    store = published(tmp_path, [{"title": "Lamp", "serial": 10**30, "parts": [-(10**20)]}])
    out = exported("items", store, form)
    assert read_items(out).attributes.by_id == {
        "i0": {"title": "Lamp", "serial": str(10**30), "parts": [str(-(10**20))]}
    }
    (tmp_path / "written.jsonl").write_text(f'{{"item_id": 1, "serial": {10**30}}}')
    assert read_items(tmp_path / "written.jsonl").attributes.by_id == {"1": {"serial": str(10**30)}}


@pytest.mark.parametrize("form", FORMATS)
def test_exported_events_are_the_same_events_in_another_journal(tmp_path: Path, form: str) -> None:
    store = published(tmp_path, ITEMS)
    events = [
        Event("u1", "i1", "buy", 1_795_478_400.0, "e1"),
        Event("u,2", 'i"2', "view", 1_795_478_401.125, "e2", "list-1"),
        Event("007", "7.0", "hide", 1_795_478_402.875, "e3", "2"),
    ]
    with closing(open_journal(f"sqlite:{journal_beside(store)}")) as journal:
        journal.append([*events[:1], ItemChange("i1", None, hidden=True), *events[1:]])
    out = exported("events", store, form)
    (tmp_path / "empty").mkdir()
    said = run(import_app, "import", "events", out, "--store", tmp_path / "empty" / "store",
               "--journal", f"sqlite:{tmp_path}/other.sqlite", "-q")  # fmt: skip
    assert said == "3 rows: 3 events written, 0 already known\n"
    with closing(open_journal(f"sqlite:{tmp_path}/other.sqlite")) as other:
        assert [entry.record for entry in other.read()] == events


@pytest.mark.parametrize("form", FORMATS)
def test_exported_users_are_a_file_of_users(tmp_path: Path, form: str) -> None:
    store = published(tmp_path, ITEMS)
    assert read_user_ids(exported("users", store, form)) == [f"u{row}" for row in range(5)]


@pytest.mark.shared_data
@pytest.mark.parametrize("form", FORMATS)
def test_items_of_a_job_on_shared_data_round_trip(
    tmp_path: Path, shared_cases: Callable[[str], Path], form: str
) -> None:
    clicks = shared_cases("roundtrip-items/r.csv")
    items = tmp_path / "items.jsonl"
    items.write_text(
        "".join(json.dumps({"item_id": f"i{row}", **ITEMS[row % 8]}) + "\n" for row in range(30))
    )
    run(job_app, "train", "--data", clicks, "--items", items, "--model", "dgcn-bincf",
        "--teacher", "popularity", "--split", "none", "--bits", "8", "--out", tmp_path / "run",
        "-q")  # fmt: skip
    Store(tmp_path / "store").publish(tmp_path / "run" / "artifact")
    out = exported("items", tmp_path / "store", form)
    said = run(import_app, "import", "items", out, "--store", tmp_path / "store", "-q")
    assert said == "30 rows: 0 items written, 30 already known\n"
