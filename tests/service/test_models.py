"""Versions over HTTP: what is there, and which is served."""

from __future__ import annotations

import threading
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import httpx
import pytest

from hashrec.index.artifacts.artifact import Artifact
from hashrec.index.artifacts.manifest import Manifest
from hashrec.index.artifacts.store import Store
from hashrec.index.ranking.comparison import compare
from hashrec.index.ranking.recommender import Recommender
from hashrec.service.access.keys import new_key
from tests.service.serving import serving, settings, wait_until

KEY, ENTRY = new_key("ops", "admin")
PAIRS = ("coverage", "personal_users")


@contextmanager
def administered(store: Store, **changes: object) -> Generator[httpx.Client]:
    """Serve a store to a client with an admin key."""
    configured = settings(store.path, keys={"entries": ENTRY.entry()}, **changes)
    with serving(configured) as client:
        client.headers["x-api-key"] = KEY
        yield client


@pytest.fixture
def two(store: Store, artifacts: list[Path]) -> tuple[str, str]:
    """Two published versions, the second of which is served."""
    return store.current(), store.publish(artifacts[1])


def test_versions_are_listed_with_the_served_one_marked(store: Store, two: tuple[str, str]):
    first, second = two
    with administered(store) as client:
        reply = client.get("/models").json()
        assert (reply["current"], reply["previous"], reply["loaded"]) == (second, [first], second)
        assert [v["version"] for v in reply["versions"]] == [second, first]
        assert [v["is_current"] for v in reply["versions"]] == [True, False]
        assert [v["is_previous"] for v in reply["versions"]] == [False, True]
        listed = reply["versions"][1]
        manifest = Manifest.read(store.folder(first))
        assert listed["metrics"] == {"test/ndcg@100": 0.25}
        assert listed["created_at"] == "2026-11-23T06:00:00Z"
        files = [file for file in store.folder(first).iterdir() if file.name != "manifest.json"]
        assert listed["n_bytes"] == sum(file.stat().st_size for file in files)
        assert (listed["n_bits"], listed["n_users"], listed["n_items"]) == (32, 60, 40)
        assert listed["model"] == manifest.model.name


def test_nothing_is_listed_before_the_first_publication(tmp_path: Path):
    (tmp_path / "store").mkdir()
    with administered(Store(tmp_path / "store")) as client:
        assert client.get("/models").json() == {
            "current": None,
            "previous": [],
            "loaded": None,
            "versions": [],
        }
        refused = client.post("/models/rollback")
        assert (refused.status_code, refused.json()["type"]) == (503, "urn:hashrec:not-ready")


def test_who_activates_a_version_gets_it_with_the_next_request(store: Store, two: tuple[str, str]):
    first, second = two
    with administered(store, poll_interval_s=3600) as client:
        assert client.get("/recommend/u1").json()["model_version"] == second
        reply = client.post(f"/models/{first}/activate")
        assert reply.json() == {"current": first, "previous": [second], "loaded": first}
        assert client.get("/recommend/u1").json()["model_version"] == first
        again = client.post(f"/models/{first}/activate")
        assert again.json() == reply.json()
        reply = client.post("/models/rollback")
        assert reply.json() == {"current": second, "previous": [], "loaded": second}
        assert client.get("/recommend/u1").json()["model_version"] == second
        refused = client.post("/models/rollback")
        assert (refused.status_code, refused.json()["type"]) == (
            409,
            "urn:hashrec:no-earlier-version",
        )
        assert store.current() == second


@pytest.mark.parametrize(
    "version", ["20261123T060000Z-000000", "latest", "..", "%00", "x" * 3000, "a%2Fb"]
)
def test_a_version_that_does_not_exist_is_not_activated(
    store: Store, two: tuple[str, str], version: str
):
    with administered(store) as client:
        refused = client.post(f"/models/{version}/activate")
        assert refused.status_code == 404
        assert len(refused.text) < 1000
    assert store.current() == two[1]


def test_a_damaged_version_is_not_activated(store: Store, two: tuple[str, str]):
    first, second = two
    (store.folder(first) / "index.bin").write_bytes(b"x")
    with administered(store) as client:
        for path in (f"/models/{first}/activate", "/models/rollback"):
            refused = client.post(path)
            assert refused.status_code == 409
            assert refused.json()["type"] == "urn:hashrec:version-damaged"
            assert "index.bin" in refused.json()["detail"]
            assert client.get("/recommend/u1").json()["model_version"] == second
    assert store.current() == second


def test_a_store_that_another_job_writes_to_is_busy(store: Store, two: tuple[str, str]):
    with administered(store) as client, store.writing():
        refused = client.post("/models/rollback")
        assert (refused.status_code, refused.json()["type"]) == (409, "urn:hashrec:store-busy")
    assert store.current() == two[1]


def test_a_store_that_cannot_be_written_is_left_to_the_command(store: Store, two: tuple[str, str]):
    (store.path / ".publication.lock").unlink()
    (store.path / ".publication.lock").mkdir()  # no file can be written there, not even by root
    with administered(store) as client:
        refused = client.post(f"/models/{two[0]}/activate")
        assert refused.status_code == 503
        assert refused.json()["type"] == "urn:hashrec:store-not-writable"
        assert "hashrec activate" in refused.json()["detail"]
        assert client.get("/recommend/u1").status_code == 200
    assert store.current() == two[1]


def test_a_candidate_is_compared_for_the_users_asked_for_recently(
    store: Store, artifacts: list[Path]
):
    served, candidate = store.current(), store.publish(artifacts[1], activate=False)
    recommenders = [Recommender(store.open(version)) for version in (candidate, served)]
    path = f"/models/{candidate}/compare"
    with administered(store) as client:
        anybody = client.post(path, json={"users": 20, "k": 5}).json()
        assert (anybody["sample"], anybody["n_users"], anybody["k"]) == ("random", 20, 5)
        asked = [f"u{user}" for user in range(0, 60, 7)]
        for user_id in asked * 2:
            client.get(f"/recommend/{user_id}")
        found = client.post(path, json={}).json()
        expected = asdict(compare(*recommenders, asked, 10))
        assert found.pop("sample") == "recent"
        for name, value in expected.items():
            assert found[name] == pytest.approx(list(value) if name in PAIRS else value)
        assert 0 < found["overlap"] < 1
        same = client.post(f"/models/{served}/compare", json={}).json()
        assert (same["overlap"], same["changed_users"], same["kendall_tau"]) == (1, 0, 1)
        (store.folder(candidate) / "index.bin").write_bytes(b"x")
        assert client.post(path, json={}).status_code == 409
        assert client.post("/models/latest/compare", json={}).status_code == 404
        assert client.post(path, json={"users": 2001}).status_code == 422
        assert client.get("/recommend/u1").json()["model_version"] == served


def test_one_comparison_at_a_time(
    store: Store, artifacts: list[Path], monkeypatch: pytest.MonkeyPatch
):
    candidate = store.publish(artifacts[1], activate=False)
    begun, go_on = threading.Event(), threading.Event()
    opened = Store.open

    def slowly(store: Store, version: str | None = None) -> Artifact:
        if threading.current_thread() is not threading.main_thread() and version == candidate:
            begun.set()
            go_on.wait(20)
        return opened(store, version)

    monkeypatch.setattr(Store, "open", slowly)
    with administered(store) as client, ThreadPoolExecutor(1) as pool:
        first = pool.submit(
            httpx.post,
            f"{client.base_url}/models/{candidate}/compare",
            json={},
            headers={"x-api-key": KEY},
        )
        assert begun.wait(20)
        second = client.post(f"/models/{candidate}/compare", json={})
        assert client.get("/recommend/u1").status_code == 200
        go_on.set()
        assert first.result().status_code == 200
        assert (second.status_code, second.json()["type"]) == (409, "urn:hashrec:comparison-busy")


def test_activations_and_rollbacks_under_load_fail_no_request(store: Store, artifacts: list[Path]):
    versions = [store.current(), store.publish(artifacts[1]), store.publish(artifacts[2])]
    expected = {
        version: [
            [item.item_id for item in recommender.recommend(f"u{user}").items] for user in range(60)
        ]
        for version in versions
        for recommender in [Recommender(Artifact.open(store.folder(version)))]
    }
    over = threading.Event()
    answered: list[tuple[int, int, dict]] = []

    def ask(base_url: httpx.URL, user: int) -> None:
        with httpx.Client(base_url=base_url, timeout=30, headers={"x-api-key": KEY}) as client:
            while not over.is_set():
                user = (user + 7) % 60
                # every second request goes through FastAPI
                reply = client.get(f"/recommend/u{user}{'?strict=true' if user % 2 else ''}")
                answered.append((user, reply.status_code, reply.json()))

    with administered(store) as client:
        threads = [threading.Thread(target=ask, args=(client.base_url, user)) for user in range(3)]
        for thread in threads:
            thread.start()
        try:
            wait_until(lambda: answered)
            for change in range(20):
                if change % 2:
                    reply = client.post("/models/rollback")
                else:
                    reply = client.post(f"/models/{versions[change // 2 % 2]}/activate")
                assert reply.status_code == 200
                served = reply.json()["loaded"]
                assert served == reply.json()["current"] == store.current()
                wait_until(lambda v=served: answered[-1][2].get("model_version") == v)
        finally:
            over.set()
            for thread in threads:
                thread.join()
    assert {status for _, status, _ in answered} == {200}
    assert {reply["model_version"] for _, _, reply in answered} == set(versions)
    for user, _, reply in answered:
        items = [item["item_id"] for item in reply["items"]]
        assert items == expected[reply["model_version"]][user]
