"""The gate in front of the routes: who asks, whether they may, and whether too often.

It stands before any body is read, and lets nothing by but what is open to all: a route that
somebody adds is guarded without a word. What changes something asks for more, in one line:

    @router.put("/items/{item_id}", dependencies=[Depends(require_admin)], ...)
"""

from __future__ import annotations

from ipaddress import IPv6Network
from typing import Annotated, Any

import structlog
from fastapi import Request, Security
from fastapi.security import APIKeyHeader, HTTPBearer
from starlette.types import ASGIApp, Receive, Send
from starlette.types import Scope as Connection

from hashrec.index.errors import ConfigError, HashrecError
from hashrec.service.access.keys import ApiKey, Keyring, presented_key
from hashrec.service.access.rate_limit import Limit, OwnBuckets, RateLimiter, SharedBuckets
from hashrec.service.errors import AdminOffError, NoKeyError, ScopeError
from hashrec.service.http.problems import documented, error_response
from hashrec.service.settings import KeySettings, Settings

# Who watches over the service has no key, and who wants one reads how it is sent.
OPEN_PATHS = frozenset({"/livez", "/readyz", "/docs", "/openapi.json"})
OPEN_ROUTERS = frozenset({"health", "docs"})
CALLER = "caller"  # in a request's state once it was admitted; None without keys
REFUSED = "refused"  # there once it was not

_KEY_HEADER = APIKeyHeader(
    name="X-API-Key",
    scheme_name="key",
    auto_error=False,
    description="Needed once keys are configured. The roles are scopes; `admin` includes `read`.",
)
_BEARER = HTTPBearer(scheme_name="bearer", auto_error=False, description="The same key.")

# What the OpenAPI document says of every route but those of OPEN_ROUTERS.
GUARDED: dict[str, Any] = {
    "dependencies": [Security(_KEY_HEADER, scopes=["read"]), Security(_BEARER, scopes=["read"])],
    "responses": documented(401, 429),
}

log = structlog.stdlib.get_logger("service.access")


class Access:
    """Admits requests, or does not.

    Attributes:
        guards: whether anything is configured that could refuse a request.
    """

    def __init__(self, settings: Settings) -> None:
        self._keys = _Keys(settings.keys)
        has_keys = len(self._keys.ring) > 0
        rate = settings.limits.key_rate if has_keys else settings.limits.address_rate
        self._limits = None if rate is None else _Limits(settings, rate)
        self.guards = has_keys or self._limits is not None

    @property
    def admin_is_on(self) -> bool:
        """Whether anybody could be known to be an administrator."""
        return len(self._keys.ring) > 0

    def refresh(self) -> None:
        """Take over a file of keys that has changed."""
        self._keys.refresh()

    async def close(self) -> None:
        """Close what was opened for limits."""
        if self._limits is not None:
            await self._limits.close()

    async def admit(self, request: Connection) -> None:
        """Decide once about a request, and note in its state who asks.

        Raises:
            NoKeyError: it has no key that is known.
            RateLimitError: whoever asks did so too often.
        """
        state: dict[str, Any] = request["state"]
        if REFUSED in state:
            raise state[REFUSED]
        if CALLER in state:
            return
        try:
            caller = self._identify(request)
            if self._limits is not None:
                await self._limits.admit(caller, request)
            state[CALLER] = caller
        except HashrecError as error:
            state[REFUSED] = error
            raise

    def _identify(self, request: Connection) -> ApiKey | None:
        if not len(self._keys.ring):
            return None
        presented = presented_key(request["headers"])
        caller = None if presented is None else self._keys.ring.find(presented)
        if caller is None:
            raise NoKeyError(given=presented is not None)
        return caller


class Gate:
    """The ASGI layer that answers for whoever is not admitted."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Connection, receive: Receive, send: Send) -> None:
        """Serve one request, or refuse it."""
        if scope["type"] == "http" and not _is_open(scope):
            try:
                await self._access.admit(scope)
            except HashrecError as error:
                await error_response(Request(scope), error)(scope, receive, send)
                return
        await self._app(scope, receive, send)


def _is_open(scope: Connection) -> bool:
    # OPTIONS asks what may be asked; a browser sends no key with it.
    path: str = scope["path"]
    return path.removeprefix("/v1") in OPEN_PATHS or scope["method"] == "OPTIONS"


async def require_admin(
    request: Request,
    _key: Annotated[object, Security(_KEY_HEADER, scopes=["admin"])],
    _bearer: Annotated[object, Security(_BEARER, scopes=["admin"])],
) -> ApiKey:
    """Let only keys with the scope admin by: a dependency of routes that change something.

    Raises:
        AdminOffError: no key is configured at all.
        ScopeError: the key is for reading.
    """
    if not request.state.services.access.admin_is_on:
        raise AdminOffError
    caller: ApiKey | None = getattr(request.state, CALLER, None)
    if caller is None or caller.scope != "admin":
        raise ScopeError("admin")
    return caller


class _Limits:
    """One limit for each key, or where there are none, for each client address."""

    def __init__(self, settings: Settings, rate: float) -> None:
        limit = Limit.of(rate, settings.limits.burst_s)
        own = OwnBuckets(limit.share(settings.workers))
        redis = settings.redis
        self._shared = (
            SharedBuckets(redis.url.get_secret_value(), redis.timeout_ms / 1000, limit, own)
            if redis.url is not None
            else None
        )
        self._limiter = RateLimiter(limit, self._shared or own)

    async def admit(self, caller: ApiKey | None, request: Connection) -> None:
        if caller is not None:
            subject = f"key {caller.name}"
        else:
            subject = f"address {_network(request['client'])}"
        await self._limiter.admit(subject)

    async def close(self) -> None:
        if self._shared is not None:
            await self._shared.close()


def _network(client: tuple[str, int] | None) -> str:
    """Return whose address it is: who has one of IPv6 has 2^64 of them."""
    host = client[0] if client else ""
    if ":" not in host:
        return host
    return str(IPv6Network((host.partition("%")[0], 64), strict=False))


class _Keys:
    """The keys in force, which follow their file: a key is revoked without a restart."""

    def __init__(self, settings: KeySettings) -> None:
        self._settings = settings
        self._seen = self._stamp()
        self.ring = Keyring.load(settings)

    def refresh(self) -> None:
        """Read the file again if it changed; one that cannot be read changes nothing."""
        stamp = self._stamp()
        if stamp == self._seen:
            return
        self._seen = stamp
        try:
            self.ring = Keyring.load(self._settings)
        except ConfigError as error:
            log.error("keys not taken over, the ones before stay in force", reason=str(error))
        else:
            log.info("keys taken over", keys=len(self.ring))

    def _stamp(self) -> tuple[int, int, int] | None:
        if self._settings.file is None:
            return None
        try:
            stat = self._settings.file.stat()
        except OSError:
            return None
        return stat.st_mtime_ns, stat.st_size, stat.st_ino
