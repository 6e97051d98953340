"""The cache in a worker's own memory."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from time import monotonic
from typing import ClassVar, Self

from hashrec.service.settings import Settings


class LocalCache:
    """Keeps the most recently used values, bounded in number and in bytes.

    Only the event loop's thread uses it, so it takes no lock.
    """

    name: ClassVar[str] = "local"
    shared: ClassVar[bool] = False
    available = True

    def __init__(
        self, max_entries: int, max_bytes: int, clock: Callable[[], float] = monotonic
    ) -> None:
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._clock = clock
        self._n_bytes = 0
        self._kept: OrderedDict[str, tuple[bytes, float]] = OrderedDict()

    @classmethod
    def create(cls, settings: Settings, report: Callable[[str], None]) -> Self:
        """See `Cache.create`."""
        del report
        return cls(settings.cache.local_entries, settings.cache.local_bytes)

    def __len__(self) -> int:
        return len(self._kept)

    async def start(self) -> None:
        """See `Cache.start`."""

    async def close(self) -> None:
        """See `Cache.close`."""
        self._kept.clear()
        self._n_bytes = 0

    async def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        """See `Cache.get_many`; always available."""
        return [self.get(key) for key in keys]

    def get(self, key: str) -> bytes | None:
        """Return one value, or None where it is absent or its time is over."""
        entry = self._kept.get(key)
        if entry is None:
            return None
        value, expires = entry
        if expires <= self._clock():
            self._drop(key)
            return None
        self._kept.move_to_end(key)
        return value

    def set(self, key: str, value: bytes, lifetime_s: float) -> None:
        """See `Cache.set`."""
        self._drop(key)
        if len(value) > self._max_bytes:
            return
        self._kept[key] = (value, self._clock() + lifetime_s)
        self._n_bytes += len(value)
        while len(self._kept) > self._max_entries or self._n_bytes > self._max_bytes:
            self._drop(next(iter(self._kept)))

    def _drop(self, key: str) -> None:
        entry = self._kept.pop(key, None)
        if entry is not None:
            self._n_bytes -= len(entry[0])
