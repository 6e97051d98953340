"""An A/B experiment: who gets the candidate, and how one can tell."""

from __future__ import annotations

import math
from pathlib import Path

import httpx
import pytest

from hashrec.index.artifacts.store import Store
from hashrec.index.ranking.recommender import Recommender
from hashrec.service.versions.experiment import arm
from tests.service.serving import RedisServer, metric, samples, serving, settings, wait_until

IDS = [f"u{row}" for row in range(60)]
EXPECTED = [
    f"u{row}" for row in (0, 4, 6, 8, 13, 14, 15, 18, 20, 26, 27, 28, 36, 40, 42, 48, 50, 59)
]
MANY = [f"user-{n}" for n in range(20_000)]


@pytest.fixture
def two(store: Store, artifacts: list[Path]) -> tuple[str, str]:
    """The served version, and a candidate."""
    return store.current(), store.publish(artifacts[1], activate=False)


def versions(client: httpx.Client, ids: list[str] = IDS, query: str = "") -> dict[str, str]:
    replies = {user_id: client.get(f"/recommend/{user_id}{query}") for user_id in ids}
    for reply in replies.values():
        assert reply.headers["x-model-version"] == reply.json()["model_version"]
    return {user_id: reply.json()["model_version"] for user_id, reply in replies.items()}


def running(client: httpx.Client) -> bool:
    return client.get("/readyz?verbose").json()["experiment"]["running"]


@pytest.mark.parametrize("share", [0.0, 0.01, 0.1, 0.5, 1.0])
def test_the_share_of_users_is_what_was_asked(share: float):
    has = arm("salt", share)
    deviation = math.sqrt(share * (1 - share) / len(MANY))
    assert abs(sum(map(has, MANY)) / len(MANY) - share) <= 4 * deviation


def test_a_larger_share_keeps_the_users_of_a_smaller_one():
    few, more = arm("salt", 0.1), arm("salt", 0.2)
    assert all(more(user_id) for user_id in MANY if few(user_id))


def test_another_salt_draws_independently():
    first, second = arm("one", 0.5), arm("two", 0.5)
    both = sum(first(user_id) and second(user_id) for user_id in MANY) / len(MANY)
    assert abs(both - 0.25) < 4 * math.sqrt(0.25 * 0.75 / len(MANY))


def test_who_gets_the_candidate_is_the_same_in_every_release():
    has = arm("20261124T060000Z-9b04e2", 0.25)
    assert [user_id for user_id in IDS if has(user_id)] == EXPECTED


def test_each_user_gets_the_lists_of_one_version_on_every_route(store: Store, two: tuple[str, str]):
    current, candidate = two
    has = arm(candidate, 0.3)
    expected = {user_id: candidate if has(user_id) else current for user_id in IDS}
    assert set(expected.values()) == set(two)
    ranked = {version: Recommender(store.open(version)) for version in two}
    configured = settings(store.path, experiment={"candidate": candidate, "share": 0.3})
    with serving(configured) as client:
        wait_until(lambda: running(client))
        for query in ("", "?strict=true", ""):  # both paths, and answers from the cache
            assert versions(client, query=query) == expected
        for user_id in IDS[:10]:
            items = client.get(f"/recommend/{user_id}").json()["items"]
            listed = ranked[expected[user_id]].recommend(user_id).items
            assert [item["item_id"] for item in items] == [item.item_id for item in listed]
            popular = client.get(f"/popular?user_id={user_id}").json()
            assert popular["model_version"] == expected[user_id]
        batch = client.post("/recommend/batch", json={"user_ids": IDS}).json()["results"]
        assert {one["user_id"]: one["model_version"] for one in batch} == expected
        for reply in (
            client.get("/popular"),
            client.get("/items/i1/similar"),
            client.post("/recommend", json={"positive": ["i1"]}),
        ):
            assert reply.json()["model_version"] == current


def test_requests_are_counted_by_version(store: Store, two: tuple[str, str]):
    candidate = two[1]
    configured = settings(store.path, experiment={"candidate": candidate, "share": 0.5})
    with serving(configured) as client:
        wait_until(lambda: running(client))
        got = list(versions(client).values())
        for version in two:
            counted = metric(client, "hashrec_experiment_requests_total", version=version)
            assert counted == got.count(version) > 0
        served = {labels["version"] for labels, _ in samples(client, "hashrec_model_info")}
        assert served == set(two)


def test_workers_agree_and_a_shared_cache_mixes_nothing(
    store: Store, two: tuple[str, str], redis_server: RedisServer
):
    experiment = {"candidate": two[1], "share": 0.5, "salt": "spring"}
    configured = settings(store.path, experiment=experiment, redis={"url": redis_server.url})
    with serving(configured) as first, serving(configured) as second:
        wait_until(lambda: running(first) and running(second))
        assert versions(first) == versions(second)
        shared = [second.get(f"/recommend/{user_id}?k=7") for user_id in IDS]
        again = [first.get(f"/recommend/{user_id}?k=7") for user_id in IDS]
        assert [reply.content for reply in shared] == [reply.content for reply in again]


def test_without_an_experiment_there_is_no_sign_of_one(client: httpx.Client):
    client.get("/recommend/u1")
    assert "experiment" not in client.get("/readyz?verbose").json()
    assert not samples(client, "hashrec_experiment_requests_total")


@pytest.mark.parametrize("fault", ["damaged", "missing"])
def test_a_candidate_that_does_not_verify_is_refused_and_everyone_gets_the_served(
    store: Store, two: tuple[str, str], fault: str
):
    current, candidate = two
    if fault == "damaged":
        (store.folder(candidate) / "index.bin").write_bytes(b"x")
    else:
        candidate = "20261124T060000Z-000000"
    configured = settings(store.path, experiment={"candidate": candidate, "share": 1.0})
    with serving(configured) as client:
        wait_until(lambda: client.get("/readyz?verbose").json()["experiment"]["refused"])
        assert set(versions(client).values()) == {current}
        ready = client.get("/readyz?verbose").json()
        assert (ready["status"], ready["experiment"]["running"]) == ("degraded", False)
        assert ("index.bin" if fault == "damaged" else "no such") in ready["experiment"]["refused"]
        assert metric(client, "hashrec_models_refused_total") == 1


def test_an_experiment_ends_when_its_candidate_is_activated(
    store: Store, two: tuple[str, str], artifacts: list[Path]
):
    candidate = two[1]
    configured = settings(store.path, experiment={"candidate": candidate, "share": 0.5})
    with serving(configured) as client:
        wait_until(lambda: running(client))
        assert set(versions(client).values()) == set(two)
        store.activate(candidate)
        wait_until(lambda: not running(client))
        assert set(versions(client).values()) == {candidate}
        served = {labels["version"] for labels, _ in samples(client, "hashrec_model_info")}
        assert served == {candidate}
        third = store.publish(artifacts[2])  # and begins anew when another one is served
        wait_until(lambda: running(client) and third in versions(client).values())
        assert set(versions(client).values()) == {candidate, third}


def test_both_versions_hide_what_a_user_did_since(store: Store, two: tuple[str, str]):
    configured = settings(store.path, experiment={"candidate": two[1], "share": 0.5})
    with serving(configured) as client:
        wait_until(lambda: running(client))
        first = {version: user_id for user_id, version in versions(client).items()}
        assert set(first) == set(two)
        for user_id in first.values():
            item_id = client.get(f"/recommend/{user_id}").json()["items"][0]["item_id"]
            event = {"user_id": user_id, "item_id": item_id, "type": "click", "timestamp": 1.0}
            assert client.post("/events", json={**event, "event_id": user_id}).status_code == 202
            items = client.get(f"/recommend/{user_id}").json()["items"]
            assert item_id not in [item["item_id"] for item in items]
