"""Check of Redis: reachable, and configured for its use as cache or journal."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from redis import Redis
from redis.exceptions import RedisError

from hashrec.service.doctor.finding import Deployment, Finding, clock_skew, size, without_password

CHECK = "redis"
TIMEOUT_S = 3.0
MAX_SKEW_S = 2.0


def check_redis(deployment: Deployment) -> Iterator[Finding]:
    """Check the cache and, if it is in Redis, the journal."""
    settings = deployment.settings
    events = settings.events.url
    journal = None if events is None else events.get_secret_value()
    if journal is not None and not journal.startswith("redis"):
        journal = None
    cache = None if settings.redis.url is None else settings.redis.url.get_secret_value()
    if cache is None:
        yield Finding(CHECK, "ok", "no shared cache is configured: each worker has its own")
    else:
        yield from _of_cache(cache, settings.redis.timeout_ms, for_journal_too=cache == journal)
    if journal is not None:
        yield from _of_journal(journal)


def _of_cache(url: str, timeout_ms: int, *, for_journal_too: bool) -> Iterator[Finding]:
    shown = without_password(url)
    try:
        about, seconds = _ask(url)
    except (RedisError, OSError, ValueError) as error:
        yield Finding(
            CHECK, "warning", f"cache {shown}: {_reason(error)}",
            "start it, or correct HASHREC_REDIS__URL; the service works without it, but slower",
        )  # fmt: skip
        return
    yield Finding(
        CHECK, "ok",
        f"cache {shown}: Redis {about['redis_version']} answers in {seconds * 1000:.1f} ms",
    )  # fmt: skip
    yield from clock_skew(shown, about["skew_s"], MAX_SKEW_S)
    if seconds * 1000 > timeout_ms:
        yield Finding(
            CHECK, "warning", f"cache {shown}: slower than its timeout, {timeout_ms} ms",
            "run it nearer to the service, or raise HASHREC_REDIS__TIMEOUT_MS",
        )  # fmt: skip
    if for_journal_too:
        return  # a journal needs the opposite of the following
    limit, policy = int(about.get("maxmemory", 0)), str(about.get("maxmemory_policy", ""))
    if not limit:
        yield Finding(
            CHECK, "warning", f"cache {shown}: its memory has no limit",
            "set maxmemory, and maxmemory-policy allkeys-lru",
        )  # fmt: skip
    elif policy == "noeviction":
        yield Finding(
            CHECK, "warning", f"cache {shown}: refuses writes at {size(limit)} (noeviction)",
            "set maxmemory-policy allkeys-lru",
        )  # fmt: skip
    else:
        yield Finding(CHECK, "ok", f"cache {shown}: at most {size(limit)}, then {policy}")


def _of_journal(url: str) -> Iterator[Finding]:
    shown = without_password(url)
    try:
        about, _ = _ask(url)
    except (RedisError, OSError, ValueError) as error:
        yield Finding(
            "journal", "problem", f"{shown}: {_reason(error)}",
            "start it, or correct HASHREC_EVENTS__URL: until then POST /events answers 503",
        )  # fmt: skip
        return
    yield from clock_skew(shown, about["skew_s"], MAX_SKEW_S)
    complaints = 0
    if not int(about.get("aof_enabled", 0)):
        complaints += 1
        yield Finding(
            "journal", "problem", f"{shown}: no append-only file: a restart loses events",
            "set appendonly yes and appendfsync always",
        )  # fmt: skip
    elif about.get("appendfsync") not in ("always", None):
        complaints += 1
        yield Finding(
            "journal", "warning",
            f"{shown}: appendfsync {about['appendfsync']}: a crash loses the last events",
            "set appendfsync always",
        )  # fmt: skip
    policy = str(about.get("maxmemory_policy", "noeviction"))
    if int(about.get("maxmemory", 0)) and policy.startswith("allkeys"):
        complaints += 1
        yield Finding(
            "journal", "problem", f"{shown}: {policy} may evict the journal",
            "set maxmemory-policy noeviction, and use another server for the cache",
        )  # fmt: skip
    if not complaints:
        yield Finding("journal", "ok", f"{shown}: every write is on disk before its reply")


def _ask(url: str) -> tuple[dict[str, Any], float]:
    """Return the information that a server gives about itself, and the seconds of a round trip."""
    options: dict[str, Any] = {"socket_timeout": TIMEOUT_S, "socket_connect_timeout": TIMEOUT_S}
    server: Any = Redis.from_url(url, **options)  # pyright: ignore[reportUnknownMemberType]
    with server:
        server.ping()
        start = time.perf_counter()
        server.ping()
        seconds = time.perf_counter() - start
        about: dict[str, Any] = dict(server.info())
        whole, microseconds = server.time()
        about["skew_s"] = whole + microseconds / 1e6 - time.time()
        with suppress(RedisError):  # managed servers forbid it
            about |= server.config_get("appendfsync")
        return about, seconds


def _reason(error: Exception) -> str:
    return without_password(str(error).splitlines()[0][:200]) if str(error) else repr(error)
