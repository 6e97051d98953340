"""A journal in a stream of a Redis server, for replicas of the service on several machines.

    {hashrec:journal}:entries    the stream; the first half of an entry's id is its position
    {hashrec:journal}:event-ids  a set of 16-byte digests, for idempotence

A write is one script, which Redis runs as a whole or not at all. It is durable where the server
writes its append-only file and flushes it before each reply, which is for its operator to set; what
is missing is in `weakness`.
"""

from __future__ import annotations

import threading
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from hashlib import blake2b
from typing import Any, ClassVar, Self, cast
from urllib.parse import urlsplit

from hashrec.index.errors import (
    InvalidRecordError,
    JournalCorruptError,
    JournalError,
    JournalUnavailableError,
)
from hashrec.index.live.journal.records import Entry, Event, Record, from_json, to_json

STREAM = "{hashrec:journal}:entries"
EVENT_IDS = "{hashrec:journal}:event-ids"
TIMEOUT_S = 5.0
_BLOCK_MS = 250
_RETRY_S = 0.5

# A position is the microsecond of its writing, or one more than the last: above all that was there
# before it, even where a server has lost what it held.
_APPEND = """
local position = 0
if redis.call('EXISTS', KEYS[1]) == 1 then
    local facts = redis.call('XINFO', 'STREAM', KEYS[1])
    for i = 1, #facts, 2 do
        if facts[i] == 'last-generated-id' then
            position = tonumber(string.match(facts[i + 1], '^%d+'))
        end
    end
end
local now = redis.call('TIME')
local new = {}
local first = math.max(position + 1, now[1] * 1000000 + now[2])
for i = 1, #ARGV, 2 do
    local is_new = ARGV[i] == '' and 1 or redis.call('SADD', KEYS[2], ARGV[i])
    if is_new == 1 then
        position = first
        first = first + 1
        redis.call('XADD', KEYS[1], string.format('%.0f-0', position), 'r', ARGV[i + 1])
    end
    new[#new + 1] = is_new
end
return {string.format('%.0f', position), new}
"""


class RedisStreamsJournal:
    """See the module's docstring.

    Attributes:
        weakness: what the server's settings leave open; None if it keeps what it accepts.
    """

    near: ClassVar[bool] = False

    def __init__(self, url: str) -> None:
        """Connect to a server.

        Raises:
            JournalUnavailableError: it is away.
            JournalCorruptError: something else has the journal's name there.
        """
        # Here alone: whoever keeps no journal in Redis does without the client.
        from redis import Redis  # noqa: PLC0415
        from redis.backoff import NoBackoff  # noqa: PLC0415
        from redis.retry import Retry  # noqa: PLC0415

        address = urlsplit(url)
        self._name = f"{address.scheme}://{address.hostname or ''}{address.path}"  # no password
        self._redis: Any = Redis.from_url(  # pyright: ignore[reportUnknownMemberType]
            url,
            socket_timeout=TIMEOUT_S,
            socket_connect_timeout=TIMEOUT_S,
            protocol=2,
            retry=Retry(NoBackoff(), 1),  # on a new connection, where the old one is dead
        )
        self._append: Any = self._redis.register_script(_APPEND)
        self._position = 0
        self._position_lock = threading.Lock()
        self._closing = threading.Event()
        self._follower: threading.Thread | None = None
        try:
            with self._told():
                self._advance(self._last())
                self.weakness = self._find_weakness()
        except BaseException:
            self._redis.close()
            raise

    @classmethod
    def open(cls, url: str) -> Self:
        """Open the journal that a URL such as `redis://events:6379/0` names.

        Raises:
            JournalError: see the constructor.
        """
        return cls(url)

    def append(self, records: Sequence[Record]) -> list[bool]:
        """See `Journal.append`. All records are one script."""
        if not records:
            return []
        arguments: list[bytes] = []
        for record in records:
            is_event = isinstance(record, Event)
            arguments.append(_digest(record.event_id) if is_event else b"")
            arguments.append(to_json(record))
        with self._told():
            position, new = self._append(keys=(STREAM, EVENT_IDS), args=arguments)
        self._advance(int(position))
        return [is_new == 1 for is_new in new]

    def position(self) -> int:
        """See `Journal.position`. From the first call on a thread waits for others' entries."""
        if self._follower is None:
            self._follow()
        return self._position

    def read(self, after: int = 0, limit: int = 10_000) -> list[Entry]:
        """See `Journal.read`."""
        with self._told():
            rows: list[tuple[bytes, dict[bytes, bytes]]] = self._redis.xrange(
                STREAM, min=f"{after + 1}-0", count=limit
            )
        return [self._entry(name, fields) for name, fields in rows]

    def close(self) -> None:
        """See `Journal.close`."""
        self._closing.set()
        if self._follower is not None:
            self._follower.join()
        self._redis.close()

    def _follow(self) -> None:
        with self._position_lock:
            if self._follower is None:
                self._follower = threading.Thread(
                    target=self._wait_for_entries, name="journal-follower", daemon=True
                )
                self._follower.start()

    def _wait_for_entries(self) -> None:
        while not self._closing.is_set():
            try:
                with self._told():
                    found = self._redis.xread({STREAM: f"{self._position}-0"}, block=_BLOCK_MS)
            except JournalError:  # requests go on with what they know; writers say what is wrong
                self._closing.wait(_RETRY_S)
                continue
            for _, rows in found:
                self._advance(_position(rows[-1][0]))

    def _advance(self, position: int) -> None:
        with self._position_lock:
            self._position = max(self._position, position)

    def _last(self) -> int:
        rows: list[tuple[bytes, Any]] = self._redis.xrevrange(STREAM, count=1)
        return _position(rows[0][0]) if rows else 0

    def _find_weakness(self) -> str | None:
        from redis.exceptions import ResponseError  # noqa: PLC0415

        try:
            given = cast("dict[str, str]", self._redis.config_get("*"))
        except ResponseError:  # hosted servers hide it
            return "the server does not tell whether it keeps what it accepts"
        wrong = [
            f"{name} is {given.get(name)}"
            for name, right in (("appendonly", "yes"), ("appendfsync", "always"))
            if given.get(name) != right
        ]
        policy = given.get("maxmemory-policy", "")
        if given.get("maxmemory") != "0" and policy.startswith("allkeys"):
            wrong.append(f"maxmemory-policy is {policy}, which can evict the journal")
        return ", ".join(wrong) or None

    def _entry(self, name: bytes, fields: dict[bytes, bytes]) -> Entry:
        try:
            return Entry(_position(name), from_json(fields[b"r"]))
        except (KeyError, ValueError, InvalidRecordError) as error:
            raise JournalCorruptError(self._name, f"entry {name!r}: not a record") from error

    @contextmanager
    def _told(self) -> Generator[None]:
        """Turn the errors of the client into ours."""
        from redis.exceptions import RedisError, ResponseError  # noqa: PLC0415

        try:
            yield
        except (RedisError, OSError) as error:
            reason = str(error).partition("\n")[0]
            if isinstance(error, ResponseError) and "WRONGTYPE" in reason:
                raise JournalCorruptError(self._name, f"{STREAM} is something else") from error
            raise JournalUnavailableError(self._name, reason) from error


def _digest(event_id: str) -> bytes:
    return blake2b(event_id.encode(), digest_size=16).digest()


def _position(name: bytes) -> int:
    return int(name.partition(b"-")[0])
