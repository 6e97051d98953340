"""Rate limits: token buckets that all workers and replicas share through Redis.

A bucket holds `burst` tokens, fills at `rate` tokens a second, and a request takes one. Its state
is in Redis, and one script changes it. A worker does not call Redis for each request: of a high
limit it takes a lease, the tokens of a tenth of a second; requests that arrive together are counted
together; and while a bucket is empty no worker calls before the next token is due. A lease leaves
the bucket when it is taken, so the workers together never admit more than the limit.

Without Redis, or while it is away, each worker limits by itself to its share: rate and burst
divided by the number of workers. Several replicas then admit up to one limit each.
"""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass, field
from hashlib import blake2b
from time import monotonic
from typing import Any, NamedTuple, Protocol

import structlog
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from hashrec.service.errors import RateLimitError, reason_of

LEASE_S = 0.1  # a lease holds the tokens of this time
LEASE_KEPT_S = 1.0  # then the rest of a lease is lost
RETRY_S = 1.0
MAX_CALLERS = 65_536  # remembered by a worker

log = structlog.stdlib.get_logger("service.rate_limit")


class Limit(NamedTuple):
    """A rate limit: `rate` requests a second, and `burst` at once (at least 1)."""

    rate: float
    burst: float

    @classmethod
    def of(cls, rate: float, burst_s: float) -> Limit:
        """Return the limit whose burst is `burst_s` seconds of the rate."""
        return cls(rate, max(1.0, rate * burst_s))

    def share(self, n: int) -> Limit:
        """Return the limit of one of n workers that count separately."""
        return Limit(self.rate / n, max(1.0, self.burst / n))

    @property
    def lease(self) -> int:
        """Tokens that a worker takes at once."""
        return max(1, int(min(self.rate * LEASE_S, self.burst * LEASE_S)))


class Taken(NamedTuple):
    """Tokens taken out of a bucket and, if fewer than wanted, the time until the next one."""

    granted: int
    wait_s: float


class Buckets(Protocol):
    """Storage of the buckets of all callers."""

    async def take(self, subject: str, want: int) -> Taken:
        """Take at most `want` tokens out of the bucket of a caller."""
        ...


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at: float

    def take(self, limit: Limit, want: int, now: float) -> Taken:
        self.tokens = min(limit.burst, self.tokens + (now - self.at) * limit.rate)
        self.at = now
        granted = min(want, math.floor(self.tokens + 1e-9))
        self.tokens -= granted
        return Taken(granted, 0.0 if granted == want else (1 - self.tokens) / limit.rate)


class OwnBuckets:
    """Buckets in the memory of this process."""

    def __init__(self, limit: Limit) -> None:
        self._limit = limit
        self._buckets: dict[str, _Bucket] = {}

    async def take(self, subject: str, want: int) -> Taken:
        """See `Buckets.take`."""
        now = monotonic()
        bucket = self._buckets.get(subject)
        if bucket is None:
            if len(self._buckets) >= MAX_CALLERS:
                del self._buckets[next(iter(self._buckets))]
            bucket = self._buckets[subject] = _Bucket(self._limit.burst, now)
        return bucket.take(self._limit, want, now)


# By the clock of the server: those of workers may differ. A full bucket expires.
_TAKE = """
local rate, burst, want = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
local kept = redis.call('HMGET', KEYS[1], 'tokens', 'at')
local tokens = burst
if kept[1] then
    tokens = math.min(burst, kept[1] + math.max(0, now - kept[2]) * rate)
end
local granted = math.min(want, math.floor(tokens + 1e-6))
tokens = tokens - granted
redis.call('HSET', KEYS[1], 'tokens', string.format('%.9f', tokens),
    'at', string.format('%.6f', now))
redis.call('PEXPIRE', KEYS[1], math.ceil(burst / rate * 1000) + 1000)
local wait = 0
if granted < want then
    wait = math.ceil((1 - tokens) / rate * 1000)
end
return {granted, wait}
"""


class SharedBuckets:
    """Buckets in Redis; while Redis is away, those of this process, with its share of the limit."""

    def __init__(self, url: str, timeout_s: float, limit: Limit, own: OwnBuckets) -> None:
        self._timeout_s = timeout_s
        self._limit = limit
        self._own = own
        self._away = False
        self._retry_at = 0.0
        self._redis: Any = Redis.from_url(  # pyright: ignore[reportUnknownMemberType]
            url,
            socket_timeout=timeout_s,
            socket_connect_timeout=timeout_s,
            retry=Retry(NoBackoff(), 0),
            protocol=2,
        )
        self._take: Any = self._redis.register_script(_TAKE)

    async def take(self, subject: str, want: int) -> Taken:
        """See `Buckets.take`."""
        now = monotonic()
        if self._away:
            if now < self._retry_at:
                return await self._own.take(subject, want)
            self._retry_at = now + RETRY_S  # only one request tries Redis again
        try:
            async with asyncio.timeout(4 * self._timeout_s):
                granted, wait_ms = await self._take(keys=[_key(subject)], args=[*self._limit, want])
            taken = Taken(int(granted), int(wait_ms) / 1000)
        except Exception as error:  # noqa: BLE001  whatever Redis sends, requests go on
            self._retry_at = monotonic() + RETRY_S
            if not self._away:
                self._away = True
                log.warning(
                    "redis unavailable, each worker limits to its share",
                    reason=reason_of(error),
                )
            return await self._own.take(subject, want)
        if self._away:
            self._away = False
            log.info("redis available again, limits are shared")
        return taken

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.aclose()


@dataclass(slots=True)
class _Caller:
    """The state of one caller in a worker.

    Attributes:
        tokens: tokens left of the lease, which ends at `until`.
        empty_until: time before which the bucket holds no token.
        waiting: requests that need a token; each gets its wait in seconds, 0 if it is admitted.
    """

    tokens: int = 0
    until: float = 0.0
    empty_until: float = 0.0
    waiting: list[asyncio.Future[float]] = field(default_factory=list["asyncio.Future[float]"])
    asking: asyncio.Task[None] | None = None


class RateLimiter:
    """Admits requests of callers that all have the same limit."""

    def __init__(self, limit: Limit, buckets: Buckets) -> None:
        self._limit = limit
        self._buckets = buckets
        self._callers: dict[str, _Caller] = {}

    async def admit(self, subject: str) -> None:
        """Take a token out of the bucket of a caller.

        Raises:
            RateLimitError: the bucket is empty.
        """
        caller = self._callers.get(subject) or self._remember(subject)
        now = monotonic()
        if caller.tokens and now < caller.until:
            caller.tokens -= 1
            return
        wait_s = caller.empty_until - now
        if wait_s <= 0:
            answer: asyncio.Future[float] = asyncio.get_running_loop().create_future()
            caller.waiting.append(answer)
            if caller.asking is None:
                caller.asking = asyncio.create_task(self._ask(subject, caller))
            wait_s = await answer
        if wait_s > 0:
            raise RateLimitError(self._limit.rate, wait_s)

    async def _ask(self, subject: str, caller: _Caller) -> None:
        """Take tokens for all waiting requests, and a lease."""
        try:
            while caller.waiting:
                asked = len(caller.waiting)
                want = max(asked, self._limit.lease)
                granted, wait_s = await self._buckets.take(subject, want)
                now = monotonic()
                # Requests that arrived meanwhile get tokens of the lease, too.
                n_answered = max(asked, granted)
                waiting = caller.waiting[:n_answered]
                caller.waiting = caller.waiting[n_answered:]
                for answer in waiting:
                    if not answer.done():  # its client has closed the connection
                        answer.set_result(0.0 if granted else wait_s)
                        granted = max(0, granted - 1)
                caller.tokens, caller.until = granted, now + LEASE_KEPT_S
                caller.empty_until = now + wait_s if not granted else 0.0
        finally:
            caller.asking = None

    def _remember(self, subject: str) -> _Caller:
        if len(self._callers) >= MAX_CALLERS:
            for oldest, caller in list(self._callers.items())[: MAX_CALLERS // 16]:
                if caller.asking is None:
                    del self._callers[oldest]
        found = self._callers[subject] = _Caller()
        return found


def _key(subject: str) -> str:
    """Return the key of a bucket in Redis, a hash that hides the address."""
    return f"hashrec:limit:{blake2b(subject.encode(), digest_size=12).hexdigest()}"
