"""What every cache in CACHES must do, on a real server where it needs one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator
from pathlib import Path
from typing import Any

import pytest

from hashrec.index.errors import ConfigError
from hashrec.service.answers.caches import CACHES, Cache, RedisCache
from hashrec.service.settings import Settings
from tests.service.serving import RedisServer

Test = Callable[[Cache], Awaitable[Any]]


@pytest.fixture(scope="module")
def configured(tmp_path_factory: pytest.TempPathFactory) -> Generator[Settings]:
    """Settings with a real Redis behind them."""
    server = RedisServer(tmp_path_factory.mktemp("redis")).start()
    yield Settings(store=Path("unused"), redis={"url": server.url, "timeout_ms": 2000})
    server.kill()


@pytest.fixture(params=sorted(CACHES))
def run(request: pytest.FixtureRequest, configured: Settings) -> Callable[[Test], Any]:
    """Run an async test on a started cache of each kind, and close it."""

    def run_test(test: Test) -> Any:
        async def started() -> Any:
            cache = CACHES[request.param].create(configured, lambda outcome: None)
            await cache.start()
            try:
                return await test(cache)
            finally:
                await cache.close()

        return asyncio.run(started())

    return run_test


async def eventually(cache: Cache, key: str, expected: bytes | None) -> None:
    for _ in range(500):
        if await cache.get_many([key]) == [expected]:
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"{key} did not become {expected!r}")


def test_a_cache_is_known_by_its_name(run: Callable[[Test], Any]):
    async def test(cache: Cache) -> None:
        assert CACHES[cache.name] is type(cache)
        assert cache.available

    run(test)


def test_redis_without_an_address_is_refused_and_none_is_assumed():
    with pytest.raises(ConfigError, match="HASHREC_REDIS__URL"):
        RedisCache.create(Settings(store=Path("unused")), lambda outcome: None)


def test_a_value_comes_back_until_it_is_replaced(run: Callable[[Test], Any]):
    async def test(cache: Cache) -> None:
        cache.set("contract:a", b"\x00first\r\n", 60)
        await eventually(cache, "contract:a", b"\x00first\r\n")
        cache.set("contract:a", b"", 60)
        await eventually(cache, "contract:a", b"")

    run(test)


def test_values_come_in_the_order_of_their_keys(run: Callable[[Test], Any]):
    async def test(cache: Cache) -> None:
        for number in range(100):
            cache.set(f"contract:{number}", b"%d" % number, 60)
        await eventually(cache, "contract:99", b"99")
        keys = ["contract:7", "contract:absent", "contract:98", "contract:7"]
        assert await cache.get_many(keys) == [b"7", None, b"98", b"7"]
        assert await cache.get_many([]) == []

    run(test)


def test_a_value_is_gone_after_its_lifetime(run: Callable[[Test], Any]):
    async def test(cache: Cache) -> None:
        cache.set("contract:short", b"x", 0.05)
        cache.set("contract:long", b"x", 60)
        await eventually(cache, "contract:long", b"x")
        await eventually(cache, "contract:short", None)

    run(test)


def test_many_readers_at_once_each_get_their_own(run: Callable[[Test], Any]):
    async def test(cache: Cache) -> None:
        for number in range(50):
            cache.set(f"contract:{number}", b"%d" % number, 60)
        await eventually(cache, "contract:49", b"49")
        values = await asyncio.gather(
            *(cache.get_many([f"contract:{number}"]) for number in range(50))
        )
        assert values == [[b"%d" % number] for number in range(50)]

    run(test)


def test_a_reader_that_leaves_takes_nobody_with_it(run: Callable[[Test], Any]):
    async def test(cache: Cache) -> None:
        cache.set("contract:a", b"a", 60)
        await eventually(cache, "contract:a", b"a")
        leaving = asyncio.ensure_future(cache.get_many(["contract:a"]))
        staying = asyncio.ensure_future(cache.get_many(["contract:a"]))
        await asyncio.sleep(0)
        leaving.cancel()
        assert await staying == [b"a"]

    run(test)
