"""What the service asks of a cache."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar, Protocol, Self

from hashrec.service.settings import Settings


class Cache(Protocol):
    """Bytes by key, each with a lifetime.

    A cache may lose anything at any time. It never decides whether a value is right: the cached
    recommender does, which gets back what it put in, something else, or nothing.

    Attributes:
        name: the tier's label in metrics and headers.
        shared: other processes can write to it, so what it returns is not to be trusted.
    """

    name: ClassVar[str]
    shared: ClassVar[bool]

    @classmethod
    def create(cls, settings: Settings, report: Callable[[str], None]) -> Self:
        """Make a cache as the settings say. It connects to nothing before `start`.

        Args:
            settings: all settings of the service.
            report: takes the outcome of a write that failed, for the metrics.
        """
        ...

    @property
    def available(self) -> bool:
        """Tell whether the cache answers, as far as is known."""
        ...

    async def start(self) -> None:
        """Begin background work. A server that is away is no error."""
        ...

    async def close(self) -> None:
        """End background work and close connections."""
        ...

    async def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        """Return the values of the keys in order, None where there is none.

        Raises:
            CacheUnavailableError: the cache cannot answer.
        """
        ...

    def set(self, key: str, value: bytes, lifetime_s: float) -> None:
        """Keep a value for a time. Returns at once; a failure loses the value and nothing else."""
        ...
