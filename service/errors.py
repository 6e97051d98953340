"""The errors of the service; each class takes facts and builds its message."""

from __future__ import annotations

import math
from collections.abc import Mapping

from hashrec.index.errors import ConfigError, HashrecError


class InvalidCursorError(ConfigError):
    """A cursor is malformed, or belongs to another list."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"cursor: {reason}; start again without a cursor")


class StaleCursorError(HashrecError):
    """The model of a cursor is no longer served."""

    def __init__(self) -> None:
        super().__init__(
            "cursor: the model of this list is no longer served; start again without a cursor"
        )


class CacheUnavailableError(Exception):
    """A cache does not answer; the request continues without it."""


class RateLimitError(HashrecError):
    """A caller exceeds its rate limit.

    Attributes:
        wait_s: seconds until a request may be admitted.
    """

    def __init__(self, rate: float, wait_s: float) -> None:
        self.wait_s = wait_s
        super().__init__(
            f"more than {rate:g} requests a second; try again in {max(1, math.ceil(wait_s))} s"
        )


class NoKeyError(HashrecError):
    """A request has no API key, or an unknown one."""

    def __init__(self, *, given: bool) -> None:
        self.given = given
        super().__init__(
            "the API key is unknown"
            if given
            else "send an API key: `X-API-Key: KEY` or `Authorization: Bearer KEY`"
        )


class ScopeError(HashrecError):
    """An API key lacks the scope that a route needs."""

    def __init__(self, scope: str) -> None:
        self.scope = scope
        super().__init__(f"this route needs an API key with the scope {scope}")


class AdminOffError(HashrecError):
    """An admin route was called while no API key is configured."""

    def __init__(self) -> None:
        super().__init__("admin routes are off while no API key is configured; see docs/keys.md")


class EventsUnavailableError(HashrecError):
    """The journal cannot be written at the moment."""


class ServiceAwayError(HashrecError):
    """No service answers at the URL."""

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(f"{url}: {reason}; start `hashrec serve`, or correct the URL")


class FailedRequestsError(HashrecError):
    """A load test got replies that are not 2xx."""

    def __init__(self, failed: Mapping[str, int], n_requests: int) -> None:
        statuses = ", ".join(f"{n:,} x {status}" for status, n in failed.items())
        advice = (
            "pass a key with --key or HASHREC_KEY"
            if failed.keys() & {"401", "403"}
            else "the latencies include them; see the log of the service"
        )
        super().__init__(
            f"{sum(failed.values()):,} of {n_requests:,} replies are not 2xx ({statuses}); {advice}"
        )


class NotReadyError(HashrecError):
    """No verified model is in memory yet."""

    def __init__(self) -> None:
        super().__init__("no model is loaded yet; /readyz?verbose says why")


class VersionDamagedError(HashrecError):
    """A version that is to be served is damaged."""

    def __init__(self, version: str, reason: str) -> None:
        super().__init__(f"version {version} is damaged ({reason}); publish it again")


class ComparisonBusyError(HashrecError):
    """A comparison of versions is running: only one runs at a time, because each takes memory."""

    def __init__(self) -> None:
        super().__init__("this process is comparing versions; try again when the comparison ends")


class StoreNotWritableError(HashrecError):
    """The service cannot write to its store."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"the service cannot write to its store ({reason}): mount it writable, or run "
            "`hashrec activate` or `hashrec rollback` where it can be written"
        )


def reason_of(error: Exception) -> str:
    """Return the class of an error and the first line of its message, for a log line."""
    return f"{type(error).__name__}: {error}".splitlines()[0][:200]
