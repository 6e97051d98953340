from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import pytest

from hashrec.index.artifacts.store import Store
from hashrec.service.answers.caches import redis as redis_cache
from tests.service.faulty_proxy import FAULTS, FaultyProxy
from tests.service.serving import RedisServer, metric, serving, settings, wait_until

ASK_REDIS_ALWAYS = {"local_bytes": 1}


@pytest.fixture(autouse=True)
def quick_probes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look for a lost Redis every 50 ms instead of every second."""
    monkeypatch.setattr(redis_cache, "PROBE_INTERVAL_S", 0.05)


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def ask(client: httpx.Client) -> tuple[int, str, str | None]:
    reply = client.get("/recommend/u1")
    return reply.status_code, reply.headers["x-cache"], reply.headers.get("x-degraded")


def is_used(client: httpx.Client) -> bool:
    return ask(client) == (200, "redis", None)


def is_lost(client: httpx.Client) -> bool:
    return ask(client) == (200, "miss", "redis")


@pytest.mark.parametrize("fault", FAULTS)
def test_no_fault_of_redis_fails_a_request_and_a_healed_one_is_used_again(
    store: Store, redis_server: RedisServer, fault: str
):
    with FaultyProxy(redis_server.port) as proxy:
        url = f"redis://127.0.0.1:{proxy.port}/0"
        configured = settings(store.path, redis={"url": url}, cache=ASK_REDIS_ALWAYS)
        with serving(configured) as client:
            wait_until(lambda: is_used(client))
            proxy.fault = fault
            wait_until(lambda: is_lost(client))
            before = proxy.n_asked
            answers = {ask(client) for _ in range(200)}
            assert answers == {(200, "miss", "redis")}
            assert proxy.n_asked - before < 100, "every request asked the lost server"
            assert client.get("/readyz").json() == {"status": "degraded"}
            assert metric(client, "hashrec_degraded") == 1
            proxy.fault = None
            wait_until(lambda: is_used(client))
            wait_until(lambda: client.get("/readyz").json() == {"status": "ready"})
            wait_until(lambda: metric(client, "hashrec_degraded") == 0)


def test_a_server_that_answers_everything_with_nothing_is_no_cache():
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            if line.startswith(b"*"):  # a command begins
                writer.write(b"*0\r\n")
        writer.close()

    async def start() -> bool:
        async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            url = f"redis://127.0.0.1:{port}/0"
            cache = redis_cache.RedisCache(url, 2.0, lambda _: None, 60)
            await cache.start()
            available = cache.available
            await cache.close()
            return available

    assert not asyncio.run(start())


def test_a_redis_absent_at_the_start_is_used_when_it_comes(store: Store, tmp_path: Path):
    server = RedisServer(tmp_path)
    configured = settings(store.path, redis={"url": server.url}, cache=ASK_REDIS_ALWAYS)
    with serving(configured) as client:
        assert is_lost(client)
        ready = client.get("/readyz?verbose")
        assert (ready.status_code, ready.json()["redis"]) == (200, "unavailable")
        assert metric(client, "hashrec_cache_operations_total", outcome="unavailable") == 1
        server.start()
        wait_until(lambda: is_used(client))
        server.kill()


def test_a_redis_that_is_killed_again_and_again_leaves_nothing_open(
    store: Store, redis_server: RedisServer
):
    configured = settings(store.path, redis={"url": redis_server.url}, cache=ASK_REDIS_ALWAYS)
    with serving(configured) as client:
        wait_until(lambda: is_used(client))
        files = open_files()
        for _ in range(5):
            redis_server.kill()
            wait_until(lambda: is_lost(client))
            redis_server.start()
            wait_until(lambda: is_used(client))
        assert open_files() == files


def test_a_redis_out_of_memory_is_read_and_refused_writes_are_counted(
    store: Store, redis_server: RedisServer
):
    patient = {"url": redis_server.url, "timeout_ms": 5000}
    configured = settings(store.path, redis=patient, cache=ASK_REDIS_ALWAYS)
    with serving(configured) as client:
        wait_until(lambda: is_used(client))
        redis_server.command("CONFIG", "SET", "maxmemory", "1")
        assert client.get("/recommend/u2").headers["x-cache"] == "miss"
        assert is_used(client)
        labels = {"tier": "redis", "outcome": "refused"}
        wait_until(lambda: metric(client, "hashrec_cache_operations_total", **labels) == 1)


def test_a_wrong_password_leaves_the_service_degraded(store: Store, redis_server: RedisServer):
    redis_server.command("CONFIG", "SET", "requirepass", "right")
    wrong = redis_server.url.replace("//", "//:wrong@")
    with serving(settings(store.path, redis={"url": wrong})) as client:
        assert is_lost(client)
        assert client.get("/recommend/u1").headers["x-cache"] == "local"
    right = redis_server.url.replace("//", "//:right@")
    with serving(settings(store.path, redis={"url": right}, cache=ASK_REDIS_ALWAYS)) as client:
        wait_until(lambda: is_used(client))


def test_a_batch_goes_on_without_redis(store: Store, tmp_path: Path):
    server = RedisServer(tmp_path)  # not started
    with serving(settings(store.path, redis={"url": server.url})) as client:
        reply = client.post("/recommend/batch", json={"user_ids": ["u1", "u2"]})
        assert reply.status_code == 200
        assert reply.headers["x-degraded"] == "redis"
        assert len(reply.json()["results"]) == 2


def test_writes_beyond_the_bound_are_dropped_and_counted(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(redis_cache, "MAX_WAITING_WRITES", 3)
    outcomes: list[str] = []

    async def write() -> None:
        cache = redis_cache.RedisCache(redis_server.url, 2.0, outcomes.append, 60)
        await cache.start()
        for number in range(5):
            cache.set(f"bound:{number}", b"x", 60)
        await cache.get_many(["bound:0"])
        await cache.close()
        cache.set("bound:late", b"x", 60)

    asyncio.run(write())
    assert outcomes == ["dropped"] * 3
    assert redis_server.command("DBSIZE") == 3
