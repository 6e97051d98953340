"""The errors of the service: classes take facts and build the message."""

from __future__ import annotations

import math

from hashrec.index.errors import ConfigError, HashrecError


class InvalidCursorError(ConfigError):
    """A text is no cursor, or that of another list."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"cursor: {reason}; start again without one")


class StaleCursorError(HashrecError):
    """A cursor's model is not served any more."""

    def __init__(self) -> None:
        super().__init__(
            "cursor: the model that this list was made by is not served any more; "
            "start again without a cursor"
        )


class CacheUnavailableError(Exception):
    """A cache cannot answer at this moment; the request goes on without it."""


class RateLimitError(HashrecError):
    """A caller asks too often.

    Attributes:
        wait_s: seconds after which a request may be admitted.
    """

    def __init__(self, rate: float, wait_s: float) -> None:
        self.wait_s = wait_s
        super().__init__(
            f"more than {rate:g} requests a second; try again in {max(1, math.ceil(wait_s))} s"
        )


class NoKeyError(HashrecError):
    """A request came without a key, or with one that is not known."""

    def __init__(self, *, given: bool) -> None:
        self.given = given
        super().__init__(
            "this key is not known here"
            if given
            else "send a key: `X-API-Key: KEY` or `Authorization: Bearer KEY`"
        )


class ScopeError(HashrecError):
    """A key is not for what is asked."""

    def __init__(self, scope: str) -> None:
        self.scope = scope
        super().__init__(f"this needs a key with the scope {scope}")


class AdminOffError(HashrecError):
    """A change was asked for where nobody can prove that they may."""

    def __init__(self) -> None:
        super().__init__("admin routes are off while no key is configured; docs/keys.md says how")


class EventsUnavailableError(HashrecError):
    """The journal cannot be written right now."""


class ServiceAwayError(HashrecError):
    """Nothing answers where a service should be."""

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(f"{url}: {reason}; start `hashrec serve`, or mend the address")


class NotReadyError(HashrecError):
    """No verified model is in memory yet."""

    def __init__(self) -> None:
        super().__init__("no model is loaded yet; /readyz?verbose says why")


class VersionDamagedError(HashrecError):
    """A version that should be served does not verify."""

    def __init__(self, version: str, reason: str) -> None:
        super().__init__(f"version {version} is damaged ({reason}); publish it again")


class ComparisonBusyError(HashrecError):
    """Versions are being compared already: one comparison at a time takes memory enough."""

    def __init__(self) -> None:
        super().__init__("this process compares versions already; try again when it is done")


class StoreNotWritableError(HashrecError):
    """The service may read its store, and not change it."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"the service cannot write to its store ({reason}): mount it writable, or run "
            "`hashrec activate` or `hashrec rollback` where it can be written"
        )
