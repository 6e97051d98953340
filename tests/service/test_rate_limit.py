"""Rate limits: the bucket, its state in a real Redis, and what holds while that is away."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack

import httpx
import pytest

from hashrec.index.artifacts.store import Store
from hashrec.service.access import rate_limit
from hashrec.service.access.gate import _network
from hashrec.service.access.keys import new_key
from hashrec.service.access.rate_limit import Limit, OwnBuckets, RateLimiter, SharedBuckets, Taken
from hashrec.service.errors import RateLimitError
from tests.service.serving import RedisServer, logged, serving, settings

SLOW = 1e-4  # a token in hours: within a test, only the burst counts
KEYS = {name: new_key(name, "read") for name in ("shop", "app")}
ENTRIES = " ".join(entry.entry() for _, entry in KEYS.values())


class Clock:
    """A clock that the test turns."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(rate_limit, "monotonic", clock)
    return clock


def run_with(limiter: RateLimiter, subjects: list[str]) -> list[float]:
    """Ask for each in turn; 0 where admitted, else the seconds to wait."""

    async def ask_all() -> list[float]:
        waits: list[float] = []
        for subject in subjects:
            try:
                await limiter.admit(subject)
            except RateLimitError as error:
                waits.append(error.wait_s)
            else:
                waits.append(0.0)
        return waits

    return asyncio.run(ask_all())


def own(rate: float, burst: float) -> RateLimiter:
    limit = Limit(rate, burst)
    return RateLimiter(limit, OwnBuckets(limit))


def test_a_bucket_lets_its_burst_through_and_then_its_rate(clock: Clock):
    limiter = own(rate=2, burst=3)
    assert run_with(limiter, ["a"] * 5) == [0, 0, 0, 0.5, 0.5]
    clock.now += 0.25
    assert run_with(limiter, ["a"]) == [0.25]
    clock.now += 0.25
    assert run_with(limiter, ["a", "a"]) == [0, 0.5]
    clock.now += 100  # no more than the burst is saved up
    assert run_with(limiter, ["a"] * 4) == [0, 0, 0, 0.5]


def test_each_caller_has_a_bucket(clock: Clock):
    assert run_with(own(rate=1, burst=1), ["a", "b", "a", "b"]) == [0, 0, 1, 1]


def test_a_lease_is_forfeit_when_it_is_old(clock: Clock):
    limit = Limit(rate=100, burst=20)
    buckets = OwnBuckets(limit)
    assert limit.lease == 2
    assert run_with(RateLimiter(limit, buckets), ["a"] * 19) == [0] * 19
    kept = RateLimiter(limit, buckets)
    clock.now += 0.01  # one token
    assert run_with(kept, ["a", "a"]) == [
        0,
        pytest.approx(0.01),
    ]  # the first limiter holds the twentieth


def test_who_comes_while_a_lease_is_taken_gets_of_it_and_no_token_is_lost(clock: Clock):
    limit = Limit(rate=100, burst=100)
    buckets = OwnBuckets(limit)

    class Far:
        """Buckets that answer later, as those in Redis do."""

        async def take(self, subject: str, want: int) -> Taken:
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            return await buckets.take(subject, want)

    async def come_one_after_the_other() -> None:
        limiter = RateLimiter(limit, Far())
        coming: list[asyncio.Task[None]] = []
        for _ in range(limit.lease):
            coming.append(asyncio.create_task(limiter.admit("a")))
            await asyncio.sleep(0)
        await asyncio.gather(*coming)

    asyncio.run(come_one_after_the_other())
    left = asyncio.run(buckets.take("a", 1000)).granted
    assert left == limit.burst - limit.lease


@pytest.mark.parametrize(
    ("rate", "burst_s", "expected"),
    [(10, 1, (10, 10)), (0.1, 1, (0.1, 1)), (10, 0, (10, 1)), (10, 6, (10, 60))],
)
def test_a_burst_is_seconds_of_the_rate_and_at_least_a_request(
    rate: float, burst_s: float, expected: tuple[float, float]
):
    assert Limit.of(rate, burst_s) == expected


def test_a_share_divides_rate_and_burst():
    assert Limit(10, 30).share(3) == (10 / 3, 10)
    assert Limit(10, 2).share(4) == (2.5, 1)


def test_the_memory_of_callers_is_bounded(clock: Clock, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(rate_limit, "MAX_CALLERS", 32)
    limiter = own(rate=1, burst=1)
    assert set(run_with(limiter, [str(n) for n in range(1000)])) == {0}
    assert len(limiter._callers) <= 32
    assert len(limiter._buckets._buckets) <= 32


def test_workers_share_a_bucket_in_redis_and_admit_exactly_its_burst(redis_server: RedisServer):
    limit = Limit(SLOW, burst=20)

    async def ask() -> Counter[bool]:
        buckets = [SharedBuckets(redis_server.url, 1.0, limit, OwnBuckets(limit)) for _ in range(2)]
        workers = [RateLimiter(limit, one) for one in buckets]
        waits: list[float] = []

        async def admitted(worker: RateLimiter) -> bool:
            try:
                await worker.admit("a")
            except RateLimitError as error:
                waits.append(error.wait_s)
                return False
            return True

        results = await asyncio.gather(*(admitted(workers[n % 2]) for n in range(60)))
        for one in buckets:
            await one.close()
        assert all(9000 < wait_s <= 10_000 for wait_s in waits)
        return Counter(results)

    assert asyncio.run(ask()) == {True: 20, False: 40}


def test_a_bucket_in_redis_fills_at_its_rate_and_is_forgotten_when_full(
    redis_server: RedisServer,
):
    limit = Limit(rate=50, burst=2)

    async def ask() -> None:
        buckets = SharedBuckets(redis_server.url, 1.0, limit, OwnBuckets(limit))
        assert await buckets.take("a", 2) == (2, 0.0)
        begun = time.monotonic()
        taken = 0
        while taken < 10:
            taken += (await buckets.take("a", 1)).granted
        assert time.monotonic() - begun >= 10 / 50 - 0.02
        await buckets.close()

    asyncio.run(ask())
    (key,) = redis_server.command("KEYS", "hashrec:limit:*")
    assert len(key) == len("hashrec:limit:") + 24
    assert 0 < redis_server.command("PTTL", key) <= 1040


def statuses(client: httpx.Client, n: int, **headers: str) -> list[int]:
    """Ask, by turns on the fast path and through FastAPI."""
    paths = ("/recommend/u1", "/popular")
    return [client.get(paths[i % 2], headers=headers).status_code for i in range(n)]


def test_a_caller_who_asks_too_often_is_told_when_to_come_again(store: Store):
    limits = {"address_rate": 0.02, "burst_s": 150}
    with serving(settings(store.path, limits=limits)) as client:
        assert statuses(client, 3) == [200] * 3
        for path in ("/recommend/u1", "/popular", "/nothing"):
            refused = client.get(path)
            assert refused.status_code == 429
            assert refused.headers["content-type"] == "application/problem+json"
            assert refused.json()["type"] == "urn:hashrec:rate-limit"
            assert 40 <= int(refused.headers["retry-after"]) <= 50
            assert f"in {refused.headers['retry-after']} s" in refused.json()["detail"]
        for path in ("/livez", "/readyz", "/docs", "/openapi.json", "/v1/livez"):
            assert client.get(path).status_code == 200


def test_each_key_has_its_own_limit_and_a_wrong_one_takes_from_none(store: Store):
    configured = settings(
        store.path, keys={"entries": ENTRIES}, limits={"key_rate": SLOW, "burst_s": 2 / SLOW}
    )
    shop, app = ({"x-api-key": key} for key, _ in KEYS.values())
    with serving(configured) as client:
        assert statuses(client, 5, **{"x-api-key": "other"}) == [401] * 5
        assert statuses(client, 3, **shop) == [200, 200, 429]
        assert statuses(client, 3, **app) == [200, 200, 429]


def test_a_request_the_fast_path_passes_on_takes_one_token(store: Store, tmp_path):
    (tmp_path / "empty").mkdir()
    limits = {"address_rate": SLOW, "burst_s": 4 / SLOW}
    with serving(settings(tmp_path / "empty", limits=limits)) as client:
        answers = [client.get("/recommend/u1").status_code for _ in range(6)]
    assert answers == [503] * 4 + [429] * 2


def test_services_share_limits_and_keep_to_their_share_while_redis_is_away(
    store: Store,
    redis_server: RedisServer,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
):
    configured = settings(
        store.path,
        redis={"url": redis_server.url, "timeout_ms": 500},
        limits={"address_rate": SLOW, "burst_s": 8 / SLOW},
        workers=2,  # as far as the policy is concerned
    )
    with ExitStack() as stack:
        first, second = (stack.enter_context(serving(configured)) for _ in range(2))

        def asked(n: int) -> Callable[[httpx.Client], int]:
            return lambda client: statuses(client, n).count(200)

        assert [asked(6)(first), asked(6)(second), asked(1)(first)] == [6, 2, 0]
        redis_server.kill()
        assert [asked(9)(first), asked(9)(second)] == [0, 0], "nobody asks before there can be more"
        monkeypatch.setattr(rate_limit, "monotonic", lambda: time.monotonic() + 30_000)
        assert [asked(9)(first), asked(9)(second)] == [4, 4], "each its share: 8 over 2 workers"
        said = logged(capfd.readouterr().err, "redis unavailable, each worker limits to its share")
        assert len(said) == 2
        redis_server.start()  # it has forgotten everything
        monkeypatch.setattr(rate_limit, "monotonic", lambda: time.monotonic() + 90_000)
        assert [asked(6)(first), asked(6)(second), asked(1)(first)] == [6, 2, 0]


def test_an_ipv6_client_is_its_network():
    assert _network(("2001:db8:1:2:3:4:5:6", 1)) == _network(("2001:db8:1:2::9", 1))
    assert _network(("2001:db8:1:2::", 1)) != _network(("2001:db8:1:3::", 1))
    assert _network(("fe80::1%eth0", 1)) == "fe80::/64"
    assert _network(("10.0.0.1", 1)) == "10.0.0.1"
    assert _network(None) == ""
