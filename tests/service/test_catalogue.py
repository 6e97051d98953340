"""The catalogue over HTTP: what is asked, what is changed, and that every list follows."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from hashrec.index.artifacts.store import Store
from hashrec.index.live.journal import Record, SqliteJournal
from hashrec.index.ranking.recommender import Recommender
from hashrec.service.access.keys import new_key
from tests.index.small_models import CATEGORIES
from tests.service.serving import metric, serving, settings

KEY, ENTRY = new_key("ops", "admin")
numbers = itertools.count()


@pytest.fixture(scope="module")
def client(
    tmp_path_factory: pytest.TempPathFactory, artifacts: list[Path]
) -> Generator[httpx.Client]:
    """An administrator's client of a service whose catalogue these tests change."""
    store = Store(tmp_path_factory.mktemp("catalogue") / "store")
    store.publish(artifacts[0])
    with serving(settings(store.path, keys={"entries": ENTRY.entry()})) as client:
        client.headers["x-api-key"] = KEY
        yield client


def ids(reply: httpx.Response) -> list[str]:
    assert reply.status_code == 200, reply.text
    return [item["item_id"] for item in reply.json()["items"]]


def pages(client: httpx.Client, k: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while True:
        reply = client.get("/items", params={"k": k, **cursor}).json()
        assert reply["count"] == len(reply["items"]) <= k
        found += reply["items"]
        if reply["next_cursor"] is None:
            return found
        cursor = {"cursor": reply["next_cursor"]}


def event(client: httpx.Client, user: str, item: str, kind: str = "click") -> None:
    body = {"user_id": user, "item_id": item, "type": kind, "event_id": f"e{next(numbers)}"}
    assert client.post("/events", json=body).status_code == 202


def test_an_item_is_described_with_whatever_it_has(client: httpx.Client):
    reply = client.get("/items/i1")
    assert reply.json() == {
        "item_id": "i1",
        "title": "Item 1",
        "categories": reply.json()["categories"],
        "hidden": False,
        "in_model": True,
    }
    assert set(reply.json()["categories"]) <= set(CATEGORIES)


@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
def test_an_item_that_is_not_there_is_a_problem(client: httpx.Client, method: str):
    body = {"json": {}} if method == "PATCH" else {}
    reply = client.request(method, "/items/no%20such", **body)
    assert (reply.status_code, reply.json()["type"]) == (404, "urn:hashrec:unknown-item")


def test_hidden_takes_effect_at_once_in_every_list_and_ends_at_once(client: httpx.Client):
    def lists() -> list[list[str]]:
        return [
            ids(client.get("/recommend/u7?k=20")),
            ids(client.get("/recommend/nobody?k=20")),
            ids(client.get("/popular?k=20")),
            ids(client.get("/latest?k=20")),
            ids(client.get("/items/i0/similar?k=20")),
            ids(client.post("/recommend", json={"positive": ["i1", "i2"], "k": 20})),
        ]

    before = lists()
    for item in (before[0][0], before[1][0], before[4][0]):
        reply = client.patch(f"/items/{item}", json={"hidden": True})
        assert (reply.status_code, reply.json()["hidden"]) == (200, True)
        after = lists()
        assert not [one for one in after if item in one]
        assert [len(one) for one in after] == [len(one) for one in before]
        assert client.get(f"/items/{item}").json()["hidden"] is True
        assert client.patch(f"/items/{item}", json={"hidden": False}).status_code == 200
        assert lists() == before


def test_a_patch_replaces_what_it_gives_and_null_takes_away(client: httpx.Client):
    client.put("/items/new-1", json={"title": "One", "year": 1999, "categories": ["Fresh"]})
    reply = client.patch("/items/new-1", json={"title": "Two", "year": None, "color": {"r": 1}})
    expected = {
        "item_id": "new-1",
        "title": "Two",
        "categories": ["Fresh"],
        "color": {"r": 1},
        "hidden": False,
        "in_model": False,
    }
    assert reply.json() == expected
    assert client.patch("/items/new-1", json={}).json() == expected
    assert client.get("/items/new-1").json() == expected


def test_a_put_replaces_everything_and_is_idempotent(client: httpx.Client):
    body = {"title": "New", "timestamp": "2026-11-23T06:00:00Z", "hidden": True}
    client.put("/items/new-2", json={"title": "Old", "year": 1})
    for _ in range(2):
        reply = client.put("/items/new-2", json=body)
        assert reply.status_code == 200
        assert client.get("/items/new-2").json() == reply.json()
    assert reply.json() == {
        "item_id": "new-2",
        "title": "New",
        "timestamp": 1795413600,
        "hidden": True,
        "in_model": False,
    }
    client.put("/items/new-2", json={"item_id": "new-2"})
    assert client.get("/items/new-2").json()["hidden"] is False


@pytest.mark.parametrize(
    "body",
    [
        {"item_id": "another"},
        {"categories": "Drama"},
        {"categories": [""]},
        {"timestamp": "yesterday"},
        {"timestamp": "Infinity"},
        {"hidden": "perhaps"},
        {"title": 3},
        {"blob": "x" * 70_000},
        {"number": 10**30},
        {"half": "\ud800"},
        [],
    ],
)
def test_what_cannot_be_kept_is_refused(client: httpx.Client, body: Any):
    content = repr(body) if body == {"half": "\ud800"} else None
    sent = {"content": '{"half": "\\ud800"}'} if content else {"json": body}
    reply = client.put("/items/bad", headers={"content-type": "application/json"}, **sent)
    assert (reply.status_code, reply.json()["type"]) == (422, "urn:hashrec:invalid-request")
    assert client.get("/items/bad").status_code == 404


def test_a_deleted_item_is_gone_from_the_catalogue_and_every_list(client: httpx.Client):
    item = ids(client.get("/popular?k=5"))[2]
    assert client.delete(f"/items/{item}").status_code == 204
    assert item not in ids(client.get("/popular?k=50"))
    assert client.get(f"/items/{item}").status_code == 404
    assert client.get(f"/items/{item}/similar").status_code == 404
    assert client.delete(f"/items/{item}").status_code == 404
    assert item not in [one["item_id"] for one in pages(client, 7)]
    assert client.put(f"/items/{item}", json={"title": "Back"}).status_code == 200
    assert client.get("/popular?k=5").json()["items"][2]["title"] == "Back"


def test_categories_change_at_once(client: httpx.Client):
    def shown(path: str, category: str | None = None) -> list[str]:
        wanted = {} if category is None else {"category": category}
        return ids(client.get(path, params={"k": 50, **wanted}))

    members = shown("/popular", CATEGORIES[0])
    others = [item for item in shown("/popular") if item not in members]
    assert client.patch(f"/items/{others[0]}", json={"categories": [CATEGORIES[0]]}).is_success
    assert client.patch(f"/items/{members[0]}", json={"categories": ["Unheard of"]}).is_success
    now = {*members[1:], others[0]}
    assert set(shown("/popular", CATEGORIES[0])) == now
    event(client, "u-new", members[1])
    for user in ("u9", "u-new"):
        taken = set(shown("/recommend/" + user))
        assert set(shown("/recommend/" + user, CATEGORIES[0])) == now & taken
        assert shown("/recommend/" + user, "Unheard of") == [members[0]] * (members[0] in taken)
    assert shown("/popular", "Unheard of") == [members[0]]


def test_the_catalogue_is_listed_page_by_page_hidden_items_too(client: httpx.Client):
    client.patch("/items/i3", json={"hidden": True})
    client.put("/items/zz", json={})
    whole = pages(client, 500)
    names = [item["item_id"] for item in whole]
    assert len(set(names)) == len(names)
    assert {f"i{row}" for row in range(40)} | {"zz"} <= set(names)
    assert {item["item_id"]: item["hidden"] for item in whole}["i3"] is True
    for k in (1, 3, 7, 39, 40, 41):
        assert pages(client, k) == whole
    for item in whole:
        assert client.get(f"/items/{item['item_id']}").json() == item
    client.patch("/items/i3", json={"hidden": False})


@pytest.mark.parametrize("cursor", ["AAAA", "eyJ9", "W10", "WzEsMiwzXQ", "_w", "WyJ2IiwtMSwiIl0"])
def test_a_cursor_that_is_none_is_refused(client: httpx.Client, cursor: str):
    assert client.get("/items", params={"cursor": cursor}).status_code in {410, 422}


def test_a_cursor_ends_with_its_model(store: Store, artifacts: list[Path]):
    with serving(settings(store.path)) as client:
        cursor = client.get("/items?k=3").json()["next_cursor"]
        version = store.publish(artifacts[1])
        while client.get("/items").json()["model_version"] != version:
            pass
        reply = client.get("/items", params={"cursor": cursor})
        assert (reply.status_code, reply.json()["type"]) == (410, "urn:hashrec:stale-cursor")


def test_a_new_item_is_in_latest_before_any_model_has_it(client: httpx.Client):
    client.put("/items/fresh", json={"title": "F", "timestamp": 4_000_000_000})
    reply = client.get("/latest?k=3")
    first = reply.json()["items"][0]
    assert first == {
        "item_id": "fresh",
        "rank": 1,
        "score": 0.0,
        "hamming": None,
        "source": "latest",
        "title": "F",
    }
    assert reply.json()["count"] == 3
    event(client, "u3", "fresh")
    assert "fresh" not in ids(client.get("/latest?k=3&user_id=u3"))
    assert ids(client.get("/latest?k=1&user_id=u4")) == ["fresh"]
    client.delete("/items/fresh")


def test_a_user_is_described_by_what_the_model_and_the_events_say(
    client: httpx.Client, recommender: Recommender
):
    model = recommender.artifact.model
    seen = model.seen[11].tolist()
    unseen = [row for row in range(40) if row not in seen]
    event(client, "u11", f"i{unseen[0]}")
    event(client, "u11", f"i{seen[0]}", "dislike")
    reply = client.get("/users/u11").json()
    assert reply["model_version"] == client.get("/recommend/u11").json()["model_version"]
    assert (reply["known"], reply["seen"]) == (True, len(seen))
    assert (reply["positive"], reply["negative"]) == (1, 1)
    counts: dict[str, int] = {}
    for row in (*seen[1:], unseen[0]):
        for name in client.get(f"/items/i{row}").json().get("categories", ()):
            counts[name] = counts.get(name, 0) + 1
    most = sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))[:5]
    assert [(one["category"], one["items"]) for one in reply["categories"]] == most
    nobody = client.get("/users/a%2Fb").json()
    assert (nobody["user_id"], nobody["known"], nobody["seen"]) == ("a/b", False, 0)
    assert nobody["categories"] == []


def test_the_gauge_of_items_counts_those_in_the_index(client: httpx.Client):
    client.put("/items/counted", json={})
    assert metric(client, "hashrec_index_items") == 40


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
def test_without_an_admin_key_nothing_changes(client: httpx.Client, method: str):
    for key, status in ((None, 401), ("wrong", 401)):
        headers = {} if key is None else {"x-api-key": key}
        reply = httpx.request(
            method, f"{client.base_url}/items/i1", json={"hidden": True}, headers=headers
        )
        assert reply.status_code == status
    assert client.get("/items/i1").json()["hidden"] is False


def test_changes_are_there_after_a_restart(store: Store):
    with serving(settings(store.path, keys={"entries": ENTRY.entry()})) as client:
        client.headers["x-api-key"] = KEY
        client.patch("/items/i1", json={"hidden": True})
        client.put("/items/kept", json={"title": "Kept", "timestamp": 5})
    with serving(settings(store.path)) as client:
        assert client.get("/items/i1").json()["hidden"] is True
        assert "i1" not in ids(client.get("/popular?k=50"))
        assert ids(client.get("/latest?k=1")) == ["kept"]


def test_without_a_journal_the_catalogue_can_be_read_and_not_changed(tmp_path: Path, store: Store):
    (store.path / "state").write_text("in the way of the journal")
    with serving(settings(store.path, keys={"entries": ENTRY.entry()})) as client:
        client.headers["x-api-key"] = KEY
        assert client.get("/items/i1").json()["item_id"] == "i1"
        assert client.get("/items?k=2").json()["count"] == 2
        assert client.get("/users/u1").json()["positive"] == 0
        for method in ("PUT", "PATCH"):
            reply = client.request(method, "/items/i1", json={"hidden": True})
            assert (reply.status_code, reply.json()["type"]) == (
                503,
                "urn:hashrec:events-unavailable",
            )


def test_attributes_that_are_asked_for_are_given_with_each_item(client: httpx.Client):
    client.patch("/items/i6", json={"year": 1999, "rank": "an attribute", "title": "Six"})
    for path, params in (
        ("/popular", {"k": 40}),
        ("/recommend/u12", {"k": 40, "exclude_seen": False}),
        ("/items/i0/similar", {"k": 40}),
        ("/latest", {"k": 40}),
    ):
        plain = {one["item_id"]: one for one in client.get(path, params=params).json()["items"]}
        reply = client.get(path, params={**params, "fields": "year, categories,,nothing,rank"})
        given = {one["item_id"]: one for one in reply.json()["items"]}
        assert list(given) == list(plain)
        assert given["i6"]["year"] == 1999
        assert given["i6"]["rank"] == plain["i6"]["rank"]
        assert given["i8"]["categories"] == client.get("/items/i8").json()["categories"]
        assert "title" in plain["i6"]
        assert not [one for one in given.values() if "title" in one or "nothing" in one]
    body = {"positive": ["i1"], "k": 40, "fields": "title,year"}
    found = client.post("/recommend", json=body).json()["items"]
    assert {(one["item_id"], one["title"]) for one in found} >= {("i6", "Six")}
    batch = {"user_ids": ["nobody"], "k": 3, "fields": ""}
    (one,) = client.post("/recommend/batch", json=batch).json()["results"]
    assert not [item for item in one["items"] if "title" in item]
    assert client.get("/popular?k=2&fields=title").json()["items"][0]["title"]


def test_a_change_of_some_attributes_does_not_undo_one_that_is_being_kept(
    client: httpx.Client, monkeypatch: pytest.MonkeyPatch
):
    client.put("/items/both", json={"title": "before"})
    writing, may_end = threading.Event(), threading.Event()
    append = SqliteJournal.append

    def slow(journal: SqliteJournal, records: Sequence[Record]) -> list[bool]:
        writing.set()
        may_end.wait(10)
        return append(journal, records)

    monkeypatch.setattr(SqliteJournal, "append", slow)
    with ThreadPoolExecutor(2) as pool:
        put = pool.submit(client.put, "/items/both", json={"title": "after"})
        writing.wait(10)
        patch = pool.submit(client.patch, "/items/both", json={"year": 2001})
        time.sleep(0.1)  # for the change to come this far
        may_end.set()
        assert (put.result().status_code, patch.result().status_code) == (200, 200)
    found = client.get("/items/both").json()
    assert (found["title"], found["year"]) == ("after", 2001)
