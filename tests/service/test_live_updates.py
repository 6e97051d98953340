"""Two worker processes over one journal: what one accepts, both show in their next answer."""

from __future__ import annotations

import itertools
from collections.abc import Generator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest

from hashrec.index.artifacts.store import Store
from tests.index.small_models import model_of, write
from tests.service.serving import RedisServer, serving, settings, wait_until
from tests.service.worker_pair import worker_of, worker_pair

ROUNDS = 100
Pair = tuple[httpx.Client, httpx.Client]


@pytest.fixture(scope="module", params=["without Redis", "with Redis"])
def pair(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Generator[Pair]:
    """One pair for all tests here, each of which is about users of its own."""
    folder = tmp_path_factory.mktemp("pair")
    write(folder / "artifact", model_of(20, 300, 64, seed=6, seen_share=0.05))
    store = Store(folder / "store")
    store.publish(folder / "artifact")
    with ExitStack() as started:
        environment = {}
        if request.param == "with Redis":
            redis = RedisServer(folder).start()
            started.callback(redis.kill)
            environment["HASHREC_REDIS__URL"] = redis.url
        yield started.enter_context(worker_pair(store.path, **environment))


def shown(client: httpx.Client, path: str) -> list[str]:
    reply = client.get(path)
    assert reply.status_code == 200, reply.text
    return [item["item_id"] for item in reply.json()["items"]]


def test_after_202_the_next_answer_of_each_worker_lacks_the_item(pair: Pair):
    numbers = itertools.count()
    names = {worker_of(client.get("/livez")) for client in pair}
    assert len(names) == 2
    gone: dict[str, set[str]] = {"u1": set(), "nobody": set()}
    for number in range(ROUNDS):
        user = ("u1", "nobody")[number % 2]
        teller, other = pair if number % 4 < 2 else pair[::-1]
        item = shown(other, f"/recommend/{user}")[number % 10]
        assert item in shown(teller, f"/recommend/{user}")
        event = {
            "user_id": user,
            "item_id": item,
            "timestamp": 0,
            "event_id": f"e{next(numbers)}",
            "type": "skip" if number % 3 == 0 else "click",
        }
        told = teller.post("/events", json=event)
        assert told.status_code == 202, told.text
        gone[user].add(item)
        for client in (other, teller):
            reply = client.get(f"/recommend/{user}")
            ids = [item["item_id"] for item in reply.json()["items"]]
            assert not gone[user] & set(ids), number
            assert (len(ids), reply.headers["x-cache"]) in {(10, "miss"), (10, "redis")}
        if number > 4:
            assert reply.json()["source"] == "fold_in"
    assert names == {worker_of(client.get("/livez")) for client in pair}, "they did not stay apart"
    assert shown(pair[0], "/recommend/u2") == shown(pair[1], "/recommend/u2")


def test_a_user_without_events_keeps_cached_answers_while_others_have_events(pair: Pair):
    before: dict[str, Any] = {}
    for client in pair:
        before[worker_of(client.get("/recommend/u5"))] = client.get("/recommend/u5")
    event = {"user_id": "u6", "item_id": "i1", "type": "click", "timestamp": 0, "event_id": "e"}
    assert pair[0].post("/events", json=event).status_code == 202
    for client in pair:
        reply = client.get("/recommend/u5")
        assert reply.headers["x-cache"] == "local"
        assert reply.content == before[worker_of(reply)].content


def test_replicas_that_share_a_journal_in_redis_follow_each_other(
    store: Store, redis_server: RedisServer
):
    redis_server.command("CONFIG", "SET", "appendonly", "yes")
    redis_server.command("CONFIG", "SET", "appendfsync", "always")
    shared = settings(store.path, events={"url": redis_server.url})
    with serving(shared) as teller, serving(shared) as other:
        gone: set[str] = set()
        for number in range(10):
            item = shown(other, "/recommend/u1")[0]
            event = {"user_id": "u1", "item_id": item, "type": "click", "event_id": f"e{number}"}
            assert teller.post("/events", json=event).status_code == 202
            gone.add(item)
            assert not gone & set(shown(teller, "/recommend/u1")), "of its own, at once"
            wait_until(lambda: not gone & set(shown(other, "/recommend/u1")))
        redis_server.kill()
        for client in (teller, other):
            assert not gone & set(shown(client, "/recommend/u1")), "what is known stays known"
