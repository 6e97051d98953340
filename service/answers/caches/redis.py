"""The cache that processes and machines share: a Redis server, which may go away at any time.

All requests of a process use one connection. While a round trip is under way, the keys and values
that come in are collected and go together in the next one, so under load a request costs a fraction
of a Redis command.

Requests never connect. A task looks after the connection once a second; when it is lost, or slower
than the timeout, the cache is unavailable until that task has it again. So a server that is away
costs the requests in flight one timeout, and later ones nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, ClassVar, Self, cast

import structlog
from redis.asyncio import ConnectionPool
from redis.exceptions import ResponseError

from hashrec.index.errors import ConfigError
from hashrec.service.errors import CacheUnavailableError, reason_of
from hashrec.service.settings import Settings
from hashrec.service.telemetry.spans import Spans, no_span

PROBE_INTERVAL_S = 1.0
MAX_WAITING_WRITES = 4096  # beyond it values are dropped: they can be computed again

_MGET = {"db.system.name": "redis", "db.operation.name": "MGET"}
_Write = tuple[bytes, str, int]  # value, PX, milliseconds

log = structlog.stdlib.get_logger("service.caches.redis")


class RedisCache:
    """See the module's docstring."""

    name: ClassVar[str] = "redis"
    shared: ClassVar[bool] = True

    def __init__(
        self,
        url: str,
        timeout_s: float,
        report: Callable[[str], None],
        probe_interval_s: float,
        span: Spans = no_span,
    ) -> None:
        pool: Any = ConnectionPool.from_url(  # pyright: ignore[reportUnknownMemberType]
            url, socket_timeout=None, socket_connect_timeout=timeout_s, protocol=2
        )
        # One connection of our own: the pool and the client cost more than the commands.
        self._connection: Any = pool.make_connection()
        self._timeout_s = timeout_s
        self._report = report
        self._probe_interval_s = probe_interval_s
        self._span = span
        self._available = False
        self._reads: list[tuple[Sequence[str], asyncio.Future[list[bytes | None]]]] = []
        self._writes: dict[str, _Write] = {}
        self._exchange: asyncio.Task[None] | None = None
        self._watch: asyncio.Task[None] | None = None

    @classmethod
    def create(
        cls, settings: Settings, report: Callable[[str], None], span: Spans = no_span
    ) -> Self:
        """See `Cache.create`.

        Raises:
            ConfigError: the settings name no server.
        """
        if settings.redis.url is None:
            raise ConfigError("no Redis server is named; set HASHREC_REDIS__URL")
        return cls(
            settings.redis.url.get_secret_value(),
            settings.redis.timeout_ms / 1000,
            report,
            PROBE_INTERVAL_S,
            span,
        )

    @property
    def available(self) -> bool:
        """See `Cache.available`."""
        return self._available

    async def start(self) -> None:
        """Try to connect once, then look after the connection."""
        await self._probe()
        if not self._available:
            log.warning("redis unavailable, serving without it")
        self._watch = asyncio.create_task(self._keep_connected())

    async def close(self) -> None:
        """See `Cache.close`."""
        for task in (self._watch, self._exchange):
            if task is not None:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
        self._available = False
        await self._disconnect()

    async def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        """See `Cache.get_many`."""
        if not self._available:
            raise CacheUnavailableError
        reply: asyncio.Future[list[bytes | None]] = asyncio.get_running_loop().create_future()
        self._reads.append((keys, reply))
        self._begin_exchange()
        with self._span("MGET", _MGET, remote=True):
            return await reply

    def set(self, key: str, value: bytes, lifetime_s: float) -> None:
        """See `Cache.set`."""
        if not self._available or len(self._writes) >= MAX_WAITING_WRITES:
            self._report("dropped")
            return
        self._writes[key] = (value, "PX", max(1, round(lifetime_s * 1000)))
        self._begin_exchange()

    def _begin_exchange(self) -> None:
        if self._exchange is None or self._exchange.done():
            # It starts at the loop's next turn, when all requests of this turn have added theirs.
            self._exchange = asyncio.create_task(self._exchange_all())

    async def _exchange_all(self) -> None:
        while self._reads or self._writes:
            reads, self._reads = self._reads, []
            writes, self._writes = self._writes, {}
            try:
                async with asyncio.timeout(self._timeout_s):
                    values = await self._round_trip([k for keys, _ in reads for k in keys], writes)
            except Exception as error:  # noqa: BLE001  whatever a server sends, requests go on
                await self._disconnect()  # first: from `_lose` on the watch may connect again
                self._lose(error, reads)
                return
            start = 0
            for keys, reply in reads:
                if not reply.done():
                    reply.set_result(values[start : start + len(keys)])
                start += len(keys)

    async def _round_trip(self, keys: list[str], writes: dict[str, _Write]) -> list[bytes | None]:
        read = ("MGET", *keys) if keys else ("PING",)
        commands = [read, *(("SET", key, *rest) for key, rest in writes.items())]
        await self._connection.send_packed_command(
            self._connection.pack_commands(commands), check_health=False
        )
        values: Any = await self._connection.read_response()
        for _ in writes:
            try:
                await self._connection.read_response()
            except ResponseError:  # out of memory, or a replica: it can still be read
                self._report("refused")
        if keys:
            return _require_values(values, len(keys))
        if values != b"PONG":
            raise TypeError("the reply to a ping is not PONG")
        return []

    def _lose(
        self,
        error: Exception,
        reads: list[tuple[Sequence[str], asyncio.Future[list[bytes | None]]]],
    ) -> None:
        """Open the breaker and let everyone who waits go on without the cache."""
        self._available = False
        log.warning("redis unavailable, serving without it", reason=reason_of(error))
        for _, reply in reads + self._reads:
            if not reply.done():
                reply.set_exception(CacheUnavailableError())
        self._reads, self._writes = [], {}

    async def _keep_connected(self) -> None:
        while True:
            await asyncio.sleep(self._probe_interval_s)
            if self._available:
                with suppress(CacheUnavailableError):
                    await self.get_many(())
            else:
                await self._probe()
                if self._available:
                    log.info("redis available again")

    async def _probe(self) -> None:
        try:
            # Connecting takes several round trips: name, socket, password, database.
            async with asyncio.timeout(4 * self._timeout_s):
                await self._connection.connect()
                await self._round_trip([], {})
        except Exception as error:  # noqa: BLE001
            log.debug("redis probe failed", reason=reason_of(error))
            await self._disconnect()
        else:
            self._available = True

    async def _disconnect(self) -> None:
        with suppress(Exception):
            await self._connection.disconnect(nowait=True)


def _require_values(reply: Any, n_keys: int) -> list[bytes | None]:
    """Check that a reply is what MGET returns: whatever a server sends, it goes no further."""
    if not isinstance(reply, list):
        raise TypeError("the reply is not a list")
    values = cast("list[Any]", reply)
    if len(values) != n_keys or not all(v is None or isinstance(v, bytes) for v in values):
        raise TypeError("the reply is not a list of the values asked for")
    return values
