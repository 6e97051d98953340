"""Requests that change nothing: every list, option, page, error and header."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any
from urllib.parse import quote

from benchmarks.compare_data import GENRES, ITEMS, ODD_ITEMS, ODD_USERS, USERS

KEYS = {"admin": "compare-admin", "read": "compare-read"}  # the keys by scope
JSON, NDJSON = "application/json", "application/x-ndjson"
NEWCOMER = "nobody knows me"
ASKED = (*USERS[:4], *ODD_USERS, NEWCOMER)
TAKEN = ITEMS[2:6]
ORIGIN = "https://shop.example"
UNKNOWN_VERSION = "20200101T000000Z-000000"
ALL = 50  # what ends a chain of pages that does not end


@dataclass(frozen=True)
class Request:
    """What is sent to both versions.

    `<NAME.cursor>`, `<NAME.etag>` and `<NAME.id>` in the target, the body or a header stand for
    what an earlier request that is kept as NAME was answered.

    Attributes:
        target: path and query, encoded.
        key: scope of the API key that is sent, or a key; None for none.
        kept: name for its answer.
        pages: how many further pages to ask for, each by the cursor of the one before.
        chunks: a body that is sent in pieces, without saying how long it is.
        announced: bytes of a body that is announced and never sent.
        own_id: False lets the service draw the id of the request.
        raw: bytes to send on a connection of their own, in place of all that.
    """

    method: str
    target: str
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    key: str | None = "admin"
    kept: str = ""
    pages: int = 0
    chunks: tuple[bytes, ...] = ()
    announced: int = 0
    own_id: bool = True
    raw: bytes = b""

    @property
    def name(self) -> str:
        """The request in a line."""
        if self.raw:
            return f"raw {self.raw[:40]!r}"
        body = self.body.decode(errors="replace")
        return f"{self.method} {self.target[:150]} {body[:90]}".strip()


def get(target: str, **options: Any) -> Request:
    """Return a GET request."""
    return Request("GET", target, **options)


def send(method: str, target: str, content: object, **options: Any) -> Request:
    """Return a request with a JSON body."""
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    headers = (("Content-Type", JSON), *options.pop("headers", ()))
    return Request(method, target, body, headers, **options)


def post(target: str, content: object, **options: Any) -> Request:
    """Return a POST request with a JSON body."""
    return send("POST", target, content, **options)


def path(kind: str, external_id: str, rest: str = "") -> str:
    """Return the path of a user or an item."""
    return f"/{kind}/{quote(external_id, safe='')}{rest}"


def query(name: str, values: Iterable[str]) -> str:
    """Return a query that gives an option several times."""
    return "&".join(f"{name}={quote(value)}" for value in values)


LIST_OPTIONS = (
    *("n=3", "k=1", "k=500", "fields=", "fields=title,categories,year,nested,timestamp,nothing"),
    *("exclude_seen=false", "strict=false", "diversity=0.5", "diversity=1&k=20", "explain=true"),
    *(query("category", GENRES[:1]), query("category", GENRES[1:3]) + "&category_mode=all"),
    *(query("exclude", ITEMS[:30]), query("include", ITEMS[4:12]), query("include", ["none"])),
    f"k=30&{query('category', GENRES[:2])}&diversity=0.7&explain=true&fields=title",
)
FILTERS = (
    *("", "k=3", "n=500", "fields=categories", query("category", GENRES[:2]), "category=none"),
    *(query("category", GENRES[:2]) + "&category_mode=all", query("exclude", ITEMS[:9])),
    *(query("include", ODD_ITEMS), *(f"user_id={quote(user)}" for user in (USERS[0], NEWCOMER))),
)


def everyones_lists(users: Sequence[str]) -> Iterator[Request]:
    """Yield a plain request for each user, and one of another length."""
    for place, user in enumerate(users):
        yield get(path("recommend", user))
        yield get(path("recommend", user, f"?k={5 + place % 40}"))


def list_options(users: Sequence[str] = ASKED) -> Iterator[Request]:
    """Yield requests for lists with each of the options."""
    for user in users:
        for options in LIST_OPTIONS:
            yield get(path("recommend", user, f"?{options}"))
    for options in FILTERS:
        yield from (get(f"/popular?{options}"), get(f"/latest?{options}"))
    for user in users:
        yield from (get(path("users", user, "/similar")), get(path("users", user)))
    yield get(path("users", USERS[1], "/similar?k=300"))


def similar_items(items: Sequence[str] = ITEMS) -> Iterator[Request]:
    """Yield requests for the items like each of some."""
    yield from (get(path("items", item, "/similar")) for item in items)
    for options in ("k=3", "k=500", "fields=title,year", "n=2"):
        yield get(path("items", ODD_ITEMS[0], f"/similar?{options}"))


def pages() -> Iterator[Request]:
    """Yield requests for lists that go on, page after page."""
    for user in (USERS[0], *ODD_USERS[:2], NEWCOMER):
        plain = path("recommend", user)
        yield get(f"{plain}?k=7", pages=4)
        yield get(f"{plain}?k=90", pages=ALL)
        yield get(f"{plain}?k=9&{query('category', GENRES[:2])}", pages=ALL)
        yield get(f"{plain}?k=11&diversity=0.8", pages=4)
        yield get(f"{plain}?k=6&explain=true&exclude_seen=false", pages=2)
    yield post("/recommend", {"positive": TAKEN, "k": 8}, pages=4)
    yield post("/recommend", {"positive": ["unheard of"], "k": 100}, pages=ALL)
    yield get("/items?k=33", pages=ALL)
    yield get("/items")


def histories() -> Iterator[Request]:
    """Yield requests for someone new, and for many at once."""
    bodies: list[dict[str, Any]] = [
        *({"positive": [item]} for item in (*ITEMS[:12], *ODD_ITEMS)),
        {"positive": TAKEN, "negative": ITEMS[20:24], "k": 25},
        {"positive": TAKEN[::-1], "explain": True, "diversity": 0.4, "fields": "title,year"},
        {"positive": [*TAKEN, "unheard of"], "category": GENRES[:2], "exclude": ITEMS[:20]},
        {"positive": TAKEN, "exclude_seen": False, "include": ITEMS[:9], "n": 4},
        *({"positive": ["unheard of"], "strict": strict} for strict in (False, True)),
        *({}, {"negative": ITEMS[:3]}, {"positive": TAKEN, "negative": TAKEN[:1]}),
    ]
    yield from (post("/recommend", body) for body in bodies)
    everyone = [*USERS, NEWCOMER]
    batches: list[dict[str, Any]] = [
        *({"user_ids": everyone}, {"user_ids": everyone, "k": 33, "explain": True}),
        {"user_ids": list(ASKED), "category": GENRES[:1], "diversity": 0.5, "fields": "year"},
        {"user_ids": ["", USERS[0], "x" * 600, NEWCOMER, "\ud800"], "strict": True},
        {"user_ids": [USERS[0], USERS[0]], "exclude_seen": False, "include": ITEMS[:40]},
    ]
    yield from (post("/recommend/batch", body) for body in batches)


def catalogue(items: Sequence[str] = (*ITEMS[:20], *ODD_ITEMS, "unheard of")) -> Iterator[Request]:
    """Yield requests for what is known of items and users."""
    yield from (get(path("items", item)) for item in items)
    yield from (get(path("users", user)) for user in ASKED)


def headers_and_methods(templates: Sequence[str]) -> Iterator[Request]:
    """Yield conditional, packed, cross-origin, HEAD and OPTIONS requests.

    Args:
        templates: of every path, as the OpenAPI document names them.
    """
    for place, plain in enumerate((path("recommend", USERS[3]), "/popular?k=20", "/latest")):
        kept = f"list{place}"
        etag = f"<{kept}.etag>"
        gzip = (("Accept-Encoding", "gzip"),)
        yield get(plain, kept=kept)
        for condition in (etag, f"W/{etag}", f'"other", {etag}', "*", '"other"'):
            yield get(plain, headers=(("If-None-Match", condition),))
            yield get(plain, headers=(("If-None-Match", condition), *gzip))
        yield from (get(plain, headers=gzip), Request("HEAD", plain))
        yield get(f"{plain}{'&' if '?' in plain else '?'}n=60", headers=gzip)
    for template in (*templates, "/docs", "/openapi.json", "/nothing"):
        target = template.format(user_id=USERS[0], item_id=ITEMS[0], version=UNKNOWN_VERSION)
        asks = (("Access-Control-Request-Method", "GET"),)
        yield from (Request(method, target) for method in ("HEAD", "OPTIONS", "TRACE"))
        yield get(target, headers=(("Origin", ORIGIN),))
        yield Request("OPTIONS", target, headers=(("Origin", ORIGIN), *asks), key=None)
        yield Request("OPTIONS", target, headers=(("Origin", "https://other.example"), *asks))
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        yield from (Request(method, target) for target in ("/popular", "/livez", "/nothing", "/"))
    yield from (get("/popular", own_id=False), get("/nothing", own_id=False))
    yield from (get("/livez"), get("/readyz"), get("/readyz?verbose"), get("/docs"))


def errors() -> Iterator[Request]:
    """Yield requests that are refused: 400, 404, 405, 410, 413, 414, 422 and 431."""
    plain = path("recommend", USERS[0])
    for options in (
        *("k=0", "k=501", "k=x", "k=1&k=2", "k=1&n=2", "n=0", "unknown=1", "diversity=2"),
        *("diversity=nan", "explain=maybe", "strict=7", "category_mode=some", "cursor=!"),
        *("cursor=", "cursor=AAAA", f"cursor={'A' * 60}", "exclude=", f"exclude={'x' * 513}"),
        *(query("exclude", [f"e{n}" for n in range(1001)]), "fields=" + "x" * 1001),
        *(query("category", [f"c{n}" for n in range(51)]), "&".join(f"x{n}=1" for n in range(60))),
    ):
        yield get(f"{plain}?{options}")
    yield get(path("recommend", NEWCOMER, "?strict=true"))
    yield get(f"{plain}?k=5", kept="page")
    yield get(path("recommend", USERS[1], "?k=5&cursor=<page.cursor>"))
    yield get(f"{plain}?k=5&explain=true&cursor=<page.cursor>")
    yield get(f"{plain}?k=5&cursor=<page.cursor>x")
    yield from (get(f"/items?{options}") for options in ("k=0", "cursor=AAAA", "cursor=W10", "x=1"))
    yield get("/items?cursor=<page.cursor>")
    yield get(f"{plain}%00")
    for target in ("/recommend/", "/recommend", "/users/", "/items//similar", "/recommend/%FF"):
        yield get(target)
    yield from (get(path(kind, "unheard of", "/similar")) for kind in ("items", "users"))
    yield get("/items/" + "x" * 600 + "/similar")
    yield from (get(f"/popular?{options}") for options in ("k=0", "user_id=", "strict=true"))
    yield from (get("/readyz?verbose=1&verbose=2"), get("/readyz?other=1"), get("/metrics?x=1"))
    for body in (
        *(b"", b"{", b"[]", b"\xff", b"null", b'{"positive": "i1"}', b'{"unknown": 1}'),
        *(b'{"positive": [1]}', b'{"positive": ["i1"], "k": 0}', b'{"cursor": "AAAA"}'),
        json.dumps({"positive": [f"p{n}" for n in range(1001)]}).encode(),
        json.dumps({f"m{n}": 1 for n in range(60)}).encode(),
        b'{"positive": ["i1"], "\\ud800": 1}',
    ):
        yield post("/recommend", body)
        yield Request("POST", "/recommend", body)
    for batch in ({}, {"user_ids": []}, {"user_ids": ["x"] * 1001}, {"user_ids": "u1"}):
        yield post("/recommend/batch", batch)
    yield post("/recommend/batch", {"user_ids": [f"u{n}" for n in range(200)], "k": 400})
    for target in ("/recommend", "/recommend/batch", "/events"):
        yield post(target, b"", announced=1_048_577)
        yield post(target, b" " * 1_000_000 + b"{}")
    many = tuple(b" " * 100_000 for _ in range(11))
    yield post("/recommend", b"", chunks=many)
    head = b"GET /popular HTTP/1.1\r\nHost: compare\r\nConnection: close\r\n"
    for raw in (
        *(b"NONSENSE\r\n\r\n", b"GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n"),
        b"GET /" + b"x" * 70_000 + b" HTTP/1.1\r\nHost: compare\r\nConnection: close\r\n\r\n",
        head + b"".join(b"X-%d: 1\r\n" % n for n in range(250)) + b"\r\n",
        head + b"X-API-Key: compare-admin\r\nX-Request-ID: compare\r\n\r\n",
    ):
        yield Request("GET", "raw", raw=raw)


def access() -> Iterator[Request]:
    """Yield requests with all kinds of keys, to a service that has some."""
    for target in ("/popular", "/items", path("users", USERS[0]), "/metrics", "/livez", "/models"):
        for key in (None, "wrong", "read"):
            yield get(target, key=key)
    for key in ("compare-read", "compare-admin", "wrong", ""):
        for scheme in ("Bearer", "bearer", "Basic"):
            yield get("/models", key=None, headers=(("Authorization", f"{scheme} {key}"),))
    for key in (None, "wrong", "read"):
        yield from changes_refused(key)


def changes_refused(key: str | None) -> Iterator[Request]:
    """Yield requests that only an administrator may make."""
    yield from (get("/models", key=key), post("/models/rollback", b"", key=key))
    yield post(f"/models/{UNKNOWN_VERSION}/activate", b"", key=key)
    yield post(f"/models/{UNKNOWN_VERSION}/compare", {}, key=key)
    yield send("PUT", "/items/refused", {"title": "Refused"}, key=key)
    yield send("PATCH", "/items/i0", {"title": "Refused"}, key=key)
    yield Request("DELETE", "/items/i0", key=key)


def reading(templates: Sequence[str], users: Sequence[str]) -> Iterator[Request]:
    """Yield every request of this module but those about keys.

    Args:
        templates: of every path, as the OpenAPI document names them.
        users: whose plain lists are asked for.
    """
    return chain(
        everyones_lists((*users, NEWCOMER)), list_options(), similar_items(), pages(),
        histories(), catalogue(), headers_and_methods(templates), errors(),
    )  # fmt: skip
