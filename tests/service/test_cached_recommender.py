from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any, ClassVar, Self

import httpx
import pytest

from hashrec.index.artifacts.store import Store
from hashrec.index.errors import UnknownItemError, UnknownUserError
from hashrec.index.live.journal import Journal
from hashrec.index.ranking.recommender import Recommender
from hashrec.service.answers import cached_recommender
from hashrec.service.answers.cache_tiers import CacheTiers
from hashrec.service.answers.cached_recommender import CachedRecommender
from hashrec.service.answers.caches import LocalCache
from hashrec.service.answers.lists import RECOMMEND, SIMILAR
from hashrec.service.answers.wanted import Wanted
from hashrec.service.live.journal_state import JournalState
from hashrec.service.settings import CacheSettings, Settings
from hashrec.service.telemetry.metrics import Metrics
from hashrec.service.versions.served_models import ServedModels
from tests.index.small_models import model_of, write
from tests.service.serving import RedisServer, listed, metric, serving, settings, wait_until


class SlowCache:
    """A shared cache of this process: keeps what it gets, and answers when the test lets it."""

    name: ClassVar[str] = "redis"
    shared: ClassVar[bool] = True
    available = True

    def __init__(self) -> None:
        self.kept: dict[str, tuple[bytes, float]] = {}
        self.reads = 0
        self.open = asyncio.Event()

    @classmethod
    def create(cls, settings: Settings, report: Callable[[str], None]) -> Self:
        return cls()

    async def start(self) -> None:
        pass

    async def close(self) -> None:
        pass

    async def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        self.reads += len(keys)
        await self.open.wait()
        return [self.kept[key][0] if key in self.kept else None for key in keys]

    def set(self, key: str, value: bytes, lifetime_s: float) -> None:
        self.kept[key] = (value, lifetime_s)


class Rig:
    """A cached recommender over a store, and its parts."""

    def __init__(self, store: Store, lifetime_s: float = 100.0, jitter: float = 0.0) -> None:
        self.metrics = Metrics()
        self.journal: Journal | None = None
        self.models = ServedModels(store, self.metrics)
        self.local = LocalCache(1000, 1 << 20)
        self.shared = SlowCache()
        self.cached = CachedRecommender(
            self.models,
            CacheTiers(
                self.local,
                self.shared,
                self.metrics,
                CacheSettings(lifetime_s=lifetime_s, jitter=jitter),
                Random(1),
            ),
            JournalState(self, ()),
            self.metrics,
        )

    def searches(self) -> float:
        text = self.metrics.exposition().decode()
        lines = [line for line in text.splitlines() if line.startswith("hashrec_search_duration")]
        return float(next((x.split()[1] for x in lines if "_count" in x), "0"))


def run(store: Store, test: Callable[[Rig], Awaitable[Any]], **options: Any) -> None:
    async def started() -> None:
        rig = Rig(store, **options)
        await rig.models.look()
        await test(rig)

    asyncio.run(started())


def test_500_requests_for_one_cold_key_are_one_computation(store: Store):
    async def test(rig: Rig) -> None:
        wanted = Wanted(RECOMMEND, "u1", 10)
        requests = [asyncio.ensure_future(rig.cached.get(wanted)) for _ in range(500)]
        await asyncio.sleep(0)
        assert rig.shared.reads == 1
        rig.shared.open.set()
        answers = await asyncio.gather(*requests)
        assert len({answer.body for answer in answers}) == 1
        assert rig.searches() == 1
        assert (await rig.cached.get(wanted)).cache == "local"

    run(store, test)


def test_the_one_who_computes_may_leave_and_the_others_are_answered(store: Store):
    async def test(rig: Rig) -> None:
        wanted = Wanted(RECOMMEND, "u1", 10)
        first = asyncio.ensure_future(rig.cached.get(wanted))
        await asyncio.sleep(0)
        others = [asyncio.ensure_future(rig.cached.get(wanted)) for _ in range(5)]
        await asyncio.sleep(0)
        others[0].cancel()
        first.cancel()
        rig.shared.open.set()
        answers = await asyncio.gather(*others[1:])
        assert {answer.model_version for answer in answers} == {rig.models.get().version}
        assert rig.searches() == 1

    run(store, test)


def test_a_failure_is_each_requests_own_and_nothing_of_it_is_kept(store: Store):
    async def test(rig: Rig) -> None:
        wanted = Wanted(SIMILAR, "none such", 10)
        requests = [asyncio.ensure_future(rig.cached.get(wanted)) for _ in range(3)]
        await asyncio.sleep(0)
        rig.shared.open.set()
        results = await asyncio.gather(*requests, return_exceptions=True)
        assert [type(result) for result in results] == [UnknownItemError] * 3
        assert not rig.shared.kept
        assert not len(rig.local)

    run(store, test)


def test_strictness_does_not_depend_on_who_asked_first(store: Store):
    async def test(rig: Rig) -> None:
        rig.shared.open.set()
        wanted = Wanted(RECOMMEND, "nobody", 10)
        with pytest.raises(UnknownUserError):
            await rig.cached.get(wanted, strict=True)
        assert (await rig.cached.get(wanted)).fallback == "unknown_user"
        with pytest.raises(UnknownUserError):
            await rig.cached.get(wanted, strict=True)

    run(store, test)


def test_lifetimes_are_shortened_at_random_within_the_jitter(store: Store):
    async def test(rig: Rig) -> None:
        rig.shared.open.set()
        for row in range(60):
            await rig.cached.get(Wanted(RECOMMEND, f"u{row}", 10))
        lifetimes = [lifetime for _, lifetime in rig.shared.kept.values()]
        assert all(75 < lifetime <= 100 for lifetime in lifetimes)
        assert max(lifetimes) - min(lifetimes) > 15  # of 60 draws from a width of 25
        assert len(set(lifetimes)) == 60

    run(store, test, lifetime_s=100, jitter=0.25)


def test_every_version_has_keys_of_its_own(store: Store, artifacts: list[Path]):
    async def test(rig: Rig) -> None:
        rig.shared.open.set()
        wanted = Wanted(RECOMMEND, "u1", 10)
        first = await rig.cached.get(wanted)
        store.publish(artifacts[1])
        await rig.models.look()
        second = await rig.cached.get(wanted)
        assert (second.cache, second.model_version) == ("miss", store.current())
        assert second.recommendation_id != first.recommendation_id
        versions = {key.split(":")[1] for key in rig.shared.kept}
        assert versions == {first.model_version, second.model_version}

    run(store, test)


def test_a_batch_takes_what_each_tier_has_and_ranks_the_rest(store: Store):
    async def test(rig: Rig) -> None:
        rig.shared.open.set()
        users = [f"u{row}" for row in range(6)]
        lists = [Wanted(RECOMMEND, user, 5) for user in users]
        single = [(await rig.cached.get(wanted)).body for wanted in lists[:4]]
        await rig.local.close()  # loses everything
        await rig.cached.get(lists[0])
        model = rig.models.get()
        answers = await rig.cached.get_many(model, [*lists, lists[5]])
        assert [answer.cache for answer in answers] == [
            *("local", "redis", "redis", "redis", "miss", "miss", "miss"),
        ]
        assert [answer.body for answer in answers[:4]] == single
        assert rig.searches() == 6
        again = await rig.cached.get_many(model, lists)
        assert {answer.cache for answer in again} == {"local"}

    run(store, test)


def test_a_large_catalogue_is_ranked_in_a_thread_with_the_same_answer(
    store: Store, monkeypatch: pytest.MonkeyPatch
):
    async def test(rig: Rig) -> None:
        rig.shared.open.set()
        here = await rig.cached.get(Wanted(RECOMMEND, "u1", 10))
        await rig.local.close()
        rig.shared.kept.clear()
        monkeypatch.setattr(cached_recommender, "INLINE_ITEMS", 0)
        assert (await rig.cached.get(Wanted(RECOMMEND, "u1", 10))).body == here.body

    run(store, test)


def patient(server: RedisServer) -> dict[str, Any]:
    """Settings of a Redis that a busy test machine does not lose."""
    return {"url": server.url, "timeout_ms": 5000}


@pytest.fixture
def user_keys(store: Store, redis_server: RedisServer) -> list[bytes]:
    """Keys in Redis of the lists of u1 and u2, which a service has left there."""
    with serving(settings(store.path, redis=patient(redis_server))) as client:
        keys: list[bytes] = []
        for number, user in enumerate(("u1", "u2"), 1):
            client.get(f"/recommend/{user}")
            wait_until(lambda n=number: redis_server.command("DBSIZE") == n)
            keys += set(redis_server.command("KEYS", "*")) - set(keys)
    return keys


def poisons(mine: bytes, of_another: bytes) -> dict[str, bytes]:
    return {
        "empty": b"",
        "garbage": b"\x00garbage" * 9,
        "huge": b"HRa1" * 500_000,
        "truncated": mine[:-1],
        "longer": mine + b"x",
        "another user's": of_another,
        "another user's under my id": mine[:20] + of_another[20:],
        "a changed body": mine[:-40] + b"evil" + mine[-36:],
        "an older format": b"HRa0" + mine[4:],
        "an unsealed body": mine[:22] + b'{"user_id":"u1","items":[]}',
        "plain JSON": b'{"user_id":"u1","items":[]}',
    }


def test_no_poisoned_value_is_served_and_each_is_replaced(
    store: Store, redis_server: RedisServer, user_keys: list[bytes], recommender: Recommender
):
    mine, of_another = (redis_server.command("GET", key) for key in user_keys)
    cache = {"local_bytes": 1}  # so that every request asks Redis
    with serving(settings(store.path, redis=patient(redis_server), cache=cache)) as client:
        assert client.get("/recommend/u1").headers["x-cache"] == "redis"
        expected = listed(recommender.recommend("u1"), recommender.title)
        for kind, value in poisons(mine, of_another).items():
            redis_server.command("SET", user_keys[0], value)
            reply = client.get("/recommend/u1")
            assert (reply.status_code, reply.headers["x-cache"]) == (200, "miss"), kind
            assert (reply.json()["user_id"], reply.json()["items"]) == ("u1", expected), kind
            wait_until(lambda: redis_server.command("GET", user_keys[0]) == mine)
        redis_server.command("DEL", user_keys[0])
        redis_server.command("LPUSH", user_keys[0], "not a string")
        assert client.get("/recommend/u1").json()["items"] == expected
        outcomes = len(poisons(mine, of_another))
        assert (
            metric(client, "hashrec_cache_operations_total", tier="redis", outcome="invalid")
            == outcomes
        )


def test_a_value_sealed_by_another_model_is_not_served(
    store: Store, artifacts: list[Path], redis_server: RedisServer, user_keys: list[bytes]
):
    old = redis_server.command("GET", user_keys[0])
    store.publish(artifacts[1])
    with serving(settings(store.path, redis=patient(redis_server))) as client:
        client.get("/recommend/u1")
        wait_until(lambda: redis_server.command("DBSIZE") == 3)
        (new,) = set(redis_server.command("KEYS", "*")) - set(user_keys)
        redis_server.command("SET", new, old)
    with serving(settings(store.path, redis=patient(redis_server))) as client:
        reply = client.get("/recommend/u1")
        assert reply.headers["x-cache"] == "miss"
        assert reply.json()["model_version"] == store.current()


def test_two_processes_share_what_one_has_computed(store: Store, redis_server: RedisServer):
    shared = settings(store.path, redis=patient(redis_server))
    with serving(shared) as one, serving(shared) as other:
        first = one.get("/recommend/u1")
        assert first.headers["x-cache"] == "miss"
        wait_until(lambda: redis_server.command("DBSIZE") == 1)

        def ask(client: httpx.Client) -> tuple[str, bytes]:
            reply = client.get("/recommend/u1")
            return reply.headers["x-cache"], reply.content

        assert ask(other) == ("redis", first.content)
        assert ask(other) == ("local", first.content)
        assert 0 < redis_server.command("PTTL", redis_server.command("KEYS", "*")[0]) <= 300_000


def test_a_list_that_popular_items_fill_up_is_counted(tmp_path: Path):
    store = Store(tmp_path / "store")
    write(tmp_path / "artifact", model_of(9, 1000, 32, 5, seen_share=0.3), index_type="ivf")
    store.publish(tmp_path / "artifact")
    with serving(settings(store.path)) as client:
        reply = client.get("/recommend/u1?k=500").json()
        assert reply["source"] == "personal"
        assert reply["count"] == 500
        assert reply["items"][-1]["source"] == "popular"
        assert metric(client, "hashrec_fallback_total", reason="too_few_found") == 1
