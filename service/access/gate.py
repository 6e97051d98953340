"""The gate in front of the routes: it identifies the caller and checks key, scope and rate limit.

It runs before a body is read, and guards every route that is not listed as open, so a new route is
guarded by default. A route that changes something also requires the scope admin:

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

# Open without a key: probes of load balancers, and the documentation, which says how to send one.
OPEN_PATHS = frozenset({"/livez", "/readyz", "/docs", "/openapi.json"})
OPEN_ROUTERS = frozenset({"health", "docs"})
CALLER = "caller"  # the caller in the state of an admitted request; None if no key is configured
REFUSED = "refused"  # the error in the state of a refused request

_KEY_HEADER = APIKeyHeader(
    name="X-API-Key",
    scheme_name="key",
    auto_error=False,
    description="Required if API keys are configured. The scope `admin` includes `read`.",
)
_BEARER = HTTPBearer(
    scheme_name="bearer", auto_error=False, description="The same API key, as a bearer token."
)

# OpenAPI entries of every route that is not in OPEN_ROUTERS.
GUARDED: dict[str, Any] = {
    "dependencies": [Security(_KEY_HEADER, scopes=["read"]), Security(_BEARER, scopes=["read"])],
    "responses": documented(401, 429),
}

log = structlog.stdlib.get_logger("service.access")


class Access:
    """Decides whether a request is admitted, by its key and its caller's rate limit.

    Attributes:
        guards: whether keys or a rate limit are configured, so that a request can be refused.
    """

    def __init__(self, settings: Settings) -> None:
        self._keys = _Keys(settings.keys)
        has_keys = len(self._keys.ring) > 0
        rate = settings.limits.key_rate if has_keys else settings.limits.address_rate
        self._limits = None if rate is None else _Limits(settings, rate)
        self.guards = has_keys or self._limits is not None

    @property
    def admin_is_on(self) -> bool:
        """Whether admin routes can be used: only if keys are configured."""
        return len(self._keys.ring) > 0

    def refresh(self) -> None:
        """Reload the file of keys if it has changed."""
        self._keys.refresh()

    async def close(self) -> None:
        """Close the connections of the rate limiter."""
        if self._limits is not None:
            await self._limits.close()

    async def admit(self, request: Connection) -> None:
        """Decide once about a request, and store the caller or the refusal in its state.

        Raises:
            NoKeyError: the request has no known key.
            RateLimitError: the caller exceeds its rate limit.
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
    """ASGI layer that answers requests that are not admitted."""

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
    # A browser sends no key with OPTIONS, which asks for the methods of a path.
    path: str = scope["path"]
    return path.removeprefix("/v1") in OPEN_PATHS or scope["method"] == "OPTIONS"


async def require_admin(
    request: Request,
    _key: Annotated[object, Security(_KEY_HEADER, scopes=["admin"])],
    _bearer: Annotated[object, Security(_BEARER, scopes=["admin"])],
) -> ApiKey:
    """Require a key with the scope admin: a dependency of routes that change something.

    Raises:
        AdminOffError: no key is configured.
        ScopeError: the key has only the scope read.
    """
    if not request.state.services.access.admin_is_on:
        raise AdminOffError
    caller: ApiKey | None = getattr(request.state, CALLER, None)
    if caller is None or caller.scope != "admin":
        raise ScopeError("admin")
    return caller


class _Limits:
    """A rate limit for each key or, if no key is configured, for each client address."""

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
    """Return the part of an address that names its owner: of IPv6, the first 64 bits."""
    host = client[0] if client else ""
    if ":" not in host:
        return host
    return str(IPv6Network((host.partition("%")[0], 64), strict=False))


class _Keys:
    """The keys in force, reloaded when their file changes, so that no restart is needed."""

    def __init__(self, settings: KeySettings) -> None:
        self._settings = settings
        self._seen = self._stamp()
        self.ring = Keyring.load(settings)

    def refresh(self) -> None:
        """Read the file again if it changed; keep the keys if it cannot be read."""
        stamp = self._stamp()
        if stamp == self._seen:
            return
        self._seen = stamp
        try:
            self.ring = Keyring.load(self._settings)
        except ConfigError as error:
            log.error("keys not reloaded, the previous keys stay in force", reason=str(error))
        else:
            log.info("keys reloaded", keys=len(self.ring))

    def _stamp(self) -> tuple[int, int, int] | None:
        if self._settings.file is None:
            return None
        try:
            stat = self._settings.file.stat()
        except OSError:
            return None
        return stat.st_mtime_ns, stat.st_size, stat.st_ino
