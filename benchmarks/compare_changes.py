"""Requests that change something, and what is asked for after each change."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

from benchmarks.compare_data import ITEMS, ODD_ITEMS, ODD_USERS, USERS
from benchmarks.compare_requests import (
    ASKED,
    NDJSON,
    NEWCOMER,
    UNKNOWN_VERSION,
    Request,
    catalogue,
    everyones_lists,
    get,
    histories,
    list_options,
    pages,
    path,
    post,
    send,
    similar_items,
)

SECOND = 1_750_000_000
ACTIVE = (*USERS[:3], ODD_USERS[0], NEWCOMER, "came later")  # users with events


def event(number: int, **changes: Any) -> dict[str, Any]:
    """Return an event that can be kept."""
    made = {
        "user_id": ACTIVE[number % len(ACTIVE)],
        "item_id": ITEMS[number * 13 % len(ITEMS)],
        "type": ("click", "like", "dislike", "hide", "own_type")[number % 5],
        "timestamp": SECOND + number,
        "event_id": f"compare-{number}",
    }
    return {name: value for name, value in (made | changes).items() if value is not None}


def events() -> Iterator[Request]:
    """Yield events in each form of body, kept ones, repeated ones and ones that are refused."""
    for number in range(4):
        yield post("/events", event(number), key="read")
        yield get(path("recommend", ACTIVE[number % len(ACTIVE)]), kept="seen")
    yield post("/events", event(0))
    yield post("/events", event(4, recommendation_id="<seen.id>"))
    for timestamp in ("2026-11-23T06:00:00Z", "2026-11-23", SECOND * 1000, 0, 1.5):
        yield post("/events", event(5, event_id=None, timestamp=timestamp))
    yield post("/events", [event(number) for number in range(3, 30)])
    refused: list[Any] = [
        *(None, 7, [], "event", {}, event(40, user_id=""), event(41, item_id="x" * 513)),
        *(event(42, type="no type"), event(43, type=None), event(44, timestamp=-1)),
        *(event(45, timestamp="yesterday"), event(46, other=1), event(47, event_id="")),
        *(event(48, user_id=7), {f"m{n}": 1 for n in range(60)}, event(49, timestamp=1e40)),
    ]
    yield from (post("/events", content) for content in refused)
    yield post("/events", [event(50), *refused, event(51)])
    yield from (post("/events", body) for body in (b"", b"{", b"[", b"\xff", b"[]"))
    yield post("/events", [{}] * 1100)
    lines = [json.dumps(event(number)).encode() for number in range(50, 80)]
    broken = [b"", b"{", b"\xff", b'"text"', b"x" * 70_000, b"   "]
    for media_type in (NDJSON, "application/jsonl; charset=utf-8"):
        yield _lines(b"\n".join([*lines[:20], *broken, lines[20]]), media_type)
    yield _lines(b"")
    yield _lines(b"", chunks=tuple(line[:30] for line in lines[:2]))
    pieces = b"\r\n".join(lines)
    yield _lines(b"", chunks=tuple(pieces[n : n + 97] for n in range(0, len(pieces), 97)))
    yield _lines(b"", announced=67_108_865)
    yield Request("POST", "/events", b"".join(lines), (("Content-Type", "text/plain"),))


def _lines(body: bytes, media_type: str = NDJSON, **options: Any) -> Request:
    return Request("POST", "/events", body, (("Content-Type", media_type),), **options)


def afterwards() -> Iterator[Request]:
    """Yield what shows events and changes of the catalogue."""
    changed = (*ITEMS[:6], *ODD_ITEMS, "new", "new/ö", "never was")
    yield from everyones_lists((*ACTIVE, *ASKED))
    yield from list_options(ACTIVE[:4])
    yield from pages()
    yield from histories()
    yield from catalogue(changed)
    yield from similar_items(changed)
    yield from (get(path("users", user)) for user in ACTIVE)
    yield from (get("/readyz?verbose"), get("/latest?k=500&fields=title,hidden,timestamp,price"))


def catalogue_changes() -> Iterator[Request]:
    """Yield changes of items, those included that are refused."""
    put, patch = "PUT", "PATCH"
    new = {"title": "New", "categories": ["Drama", "Fresh"], "timestamp": SECOND, "price": 9.5}
    yield send(put, path("items", "new"), new)
    yield get("/latest?k=3")
    yield send(put, path("items", "new/ö"), {"timestamp": "2026-01-02T03:04:05+01:00", "x": None})
    yield send(put, path("items", ITEMS[0]), {"title": "Replaced", "item_id": ITEMS[0]})
    yield send(put, path("items", ODD_ITEMS[1]), {**new, "hidden": True, "deep": {"a": [1, {}]}})
    yield send(patch, path("items", ITEMS[1]), {"title": "Patched", "categories": None})
    yield send(patch, path("items", ITEMS[2]), {"hidden": True})
    yield send(patch, path("items", ITEMS[3]), {})
    yield send(patch, path("items", "new"), {"price": 7.25, "in_model": 7})
    yield send(patch, path("items", ITEMS[3]), {"price": 2**70})
    yield from (get("/popular?k=50&fields=title,price"), get(path("items", ITEMS[3])))
    yield send(patch, path("items", ITEMS[3]), {"price": None})  # no file can hold that number
    yield Request("DELETE", path("items", ITEMS[4]))
    yield Request("DELETE", path("items", ITEMS[4]))
    yield send(patch, path("items", ITEMS[4]), {"title": "Gone"})
    yield send(put, path("items", ITEMS[5]), {"title": "Back soon"})
    yield Request("DELETE", path("items", ITEMS[5]))
    yield send(put, path("items", ITEMS[5]), {"title": "Back"})
    wrong: list[Any] = [
        *(b"", b"{", b"[]", b"null", {"title": 7}, {"title": "x" * 2001}, {"hidden": "perhaps"}),
        *({"categories": "Drama"}, {"categories": [""]}, {"categories": ["c"] * 101}),
        *({"timestamp": "soon"}, {"timestamp": -5}, {"timestamp": 1e300}, {"item_id": "other"}),
        *({"large": "x" * 70_000}, {f"m{n}": n for n in range(1100)}, {"": 1}),
    ]
    for method in (put, patch):
        yield from (send(method, path("items", "new"), body) for body in wrong)
        yield send(method, path("items", "new"), b"", announced=1_048_577)
        yield Request(method, path("items", "x" * 513), b"{}")
    yield send(patch, path("items", "never was"), {"title": "Nothing"})
    yield Request("DELETE", path("items", "never was"))


def comparisons(candidate: str) -> Iterator[Request]:
    """Yield comparisons of versions, while it is known for whom lists were asked."""
    target = f"/models/{candidate}/compare"
    yield post(target, {"users": 100, "k": 10})
    yield post(target, {})
    yield get(path("recommend", USERS[0]))
    yield post(target, {"users": 5, "k": 5})
    yield post(f"/models/{UNKNOWN_VERSION}/compare", {})
    bodies = (b"", b"{", {"users": 0}, {"k": 101}, {"other": 1}, [])
    yield from (post(target, body) for body in bodies)
    yield post(target, b"", announced=1_048_577)


def version_changes(versions: Mapping[str, str]) -> Iterator[Request]:
    """Yield changes of the served version, and lists of each.

    Args:
        versions: `served`, `reranked`, `clustered` and `damaged`, in the order of publication.
    """
    yield get("/models")
    yield get(path("recommend", USERS[0], "?k=4"), kept="old")
    yield get("/items?k=4", kept="items")
    for name in ("reranked", "clustered", "damaged", "reranked"):
        yield post(f"/models/{versions[name]}/activate", b"")
        yield get("/models")
        yield get("/readyz?verbose")
        yield get(path("recommend", USERS[0], "?k=4&cursor=<old.cursor>"))
        yield get("/items?k=4&cursor=<items.cursor>")
        yield from chain(everyones_lists(USERS[::5]), similar_items(ITEMS[::9]))
        yield from chain(list_options((USERS[0], NEWCOMER)), histories())
    yield from pages()
    yield post(f"/models/{versions['reranked']}/activate", b"")
    for version in (UNKNOWN_VERSION, "no-version", "..%2F..", "%00"):
        yield post(f"/models/{version}/activate", b"")
    yield post(f"/models/{versions['damaged']}/compare", {})
    for _ in range(6):  # back to the first, and on
        yield post("/models/rollback", b"")
        yield get(path("recommend", USERS[0]))
    yield get("/models")


def changing(versions: Mapping[str, str]) -> Sequence[Request]:
    """Return every request of this module but comparisons."""
    return [
        *events(), *afterwards(), *catalogue_changes(), *afterwards(), *version_changes(versions),
    ]  # fmt: skip
