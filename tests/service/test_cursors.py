"""Pages over HTTP: what a cursor goes on with, and what it must be refused for."""

from __future__ import annotations

import base64
import random
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from hashrec.index.artifacts.store import Store
from hashrec.index.ranking.order import NEAR, POPULAR, RERANKED, Block, Bookmark, Head, Place
from hashrec.index.ranking.recommender import Options, Recommender
from hashrec.service.answers import cursor
from hashrec.service.answers.cursor import Cursor
from hashrec.service.errors import InvalidCursorError
from tests.service.serving import listed, serving, settings, wait_until

NOBODY = "somebody-new"
LIST = b"a list's"
KEY = b"k" * 32

places = st.builds(
    Place,
    st.sampled_from([RERANKED, NEAR, POPULAR]),
    st.integers(-(2**30), 2**30),
    st.integers(0, 4096),
    st.integers(-1, 2**31 - 1).map(lambda row: max(row, 0)),
)
blocks = st.builds(
    Block,
    st.integers(0, 10),
    places,
    st.lists(st.integers(0, 2**31 - 1), unique=True, max_size=50).map(
        lambda rows: tuple(sorted(rows))
    ),
)
bookmarks = st.builds(
    Bookmark,
    st.sampled_from(["personal", "fold_in", "popular"]),
    st.integers(0, 10**7),
    st.binary(max_size=512),
    st.none() | st.builds(Head, st.integers(0, 4097), st.integers(0, 2**31 - 1)),
    st.none() | places,
    st.none() | blocks,
)


@given(bookmarks)
def test_what_is_written_is_read(bookmark: Bookmark):
    text = cursor.write(bookmark, KEY, LIST)
    assert text.isascii()
    assert Cursor(text).is_of(KEY)
    assert not Cursor(text).is_of(b"another")
    assert Cursor(text).bookmark(KEY, LIST) == bookmark


@given(bookmarks, st.integers(0, 10_000), st.integers(1, 255))
def test_a_changed_byte_is_noticed(bookmark: Bookmark, position: int, change: int):
    whole = bytearray(base64.urlsafe_b64decode(cursor.write(bookmark, KEY, LIST) + "=="))
    whole[position % len(whole)] ^= change
    text = base64.urlsafe_b64encode(whole).decode().rstrip("=")
    try:
        changed = Cursor(text)
    except InvalidCursorError:
        return
    if changed.is_of(KEY):
        with pytest.raises(InvalidCursorError):
            changed.bookmark(KEY, LIST)


@given(st.text("abcdefgh_-019AZ", max_size=200) | st.text(max_size=60))
def test_any_other_text_is_no_cursor_of_this_model(text: str):
    try:
        found = Cursor(text)
    except InvalidCursorError:
        return
    assert not found.is_of(KEY)


def test_a_cursor_of_192_bits_is_short():
    bookmark = Bookmark("personal", 1000, b"x" * 24, None, Place(NEAR, 0, 70, 900_000), None)
    assert len(cursor.write(bookmark, KEY, LIST)) <= 90


def walk(client: httpx.Client, path: str, rng: random.Random, **query: Any) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    following: dict[str, str] = {}
    while True:
        reply = client.get(path, params={**query, **following, "k": rng.randint(1, 9)})
        assert reply.status_code == 200, reply.text
        items += reply.json()["items"]
        following = {"cursor": reply.json()["next_cursor"]}
        if following["cursor"] is None:
            return items


@hypothesis_settings(deadline=None, max_examples=25)
@given(
    seed=st.integers(0, 2**32),
    user_id=st.sampled_from(["u1", "u8", NOBODY]),
    query=st.fixed_dictionaries(
        {},
        optional={
            "category": st.just("Drama"),
            "exclude": st.just(["i3", "i4"]),
            "include": st.just([f"i{row}" for row in range(0, 40, 3)]),
            "exclude_seen": st.booleans(),
            "diversity": st.sampled_from([0, 0.5, 1]),
        },
    ),
)
def test_pages_of_random_lengths_walk_the_whole_catalogue(
    client: httpx.Client, recommender: Recommender, seed: int, user_id: str, query: dict[str, Any]
):
    found = walk(client, f"/recommend/{user_id}", random.Random(seed), **query)
    options = Options(
        exclude_seen=query.get("exclude_seen", True),
        exclude=tuple(query.get("exclude", ())),
        categories=("Drama",) if "category" in query else (),
        include=tuple(query.get("include", ())),
    )
    whole = listed(recommender.recommend(user_id, 500, options), recommender.title)
    if query.get("diversity"):
        assert [item["rank"] for item in found] == list(range(1, len(whole) + 1))
        plain, diverse = ([{**i, "rank": 0} for i in items] for items in (whole, found))
        assert sorted(map(repr, plain)) == sorted(map(repr, diverse))
    else:
        assert found == whole


def test_a_history_has_pages(client: httpx.Client, recommender: Recommender):
    body = {"positive": ["i3", "i9"], "negative": ["i5"], "k": 8}
    first = client.post("/recommend", json=body).json()
    more = {**body, "k": 30, "cursor": first["next_cursor"], "positive": ["i9", "i3", "i9"]}
    second = client.post("/recommend", json=more).json()
    whole = recommender.recommend_history(["i3", "i9"], ["i5"], 40)
    assert first["items"] + second["items"] == listed(whole, recommender.title)
    assert (second["next_cursor"], second["source"]) == (None, "fold_in")
    other = client.post("/recommend", json={**more, "negative": []})
    assert other.status_code == 422
    assert other.json()["type"] == "urn:hashrec:invalid-request"


@pytest.mark.parametrize(
    "path",
    [
        "/recommend/u2?k=5",
        "/recommend/u1?exclude=i1",
        "/recommend/u1?category=Drama",
        "/recommend/u1?include=i1",
        "/recommend/u1?exclude_seen=false",
        "/recommend/u1?diversity=0.1",
        "/recommend/u1?explain=true",
    ],
)
def test_a_cursor_of_another_list_is_refused(client: httpx.Client, path: str):
    following = client.get("/recommend/u1?k=5").json()["next_cursor"]
    assert client.get(f"/recommend/u1?k=7&strict=true&cursor={following}").status_code == 200
    reply = client.get(path + ("&" if "?" in path else "?") + f"cursor={following}")
    assert reply.status_code == 422
    assert "start again without a cursor" in reply.json()["detail"]


@pytest.mark.parametrize(
    "text", ["a", "abc", "AAAA", "A" * 8192, "A" * 8193, "", "%00", "%20", "a.b", "AQ" + "x" * 90]
)
def test_what_is_no_cursor_is_refused(client: httpx.Client, text: str):
    reply = client.get(f"/recommend/u1?cursor={text}")
    assert reply.status_code in (410, 422)  # a name of a model may be any eight bytes
    assert reply.headers["content-type"] == "application/problem+json"
    if not text.startswith("AQ"):
        assert reply.status_code == 422


def test_a_page_is_cached_and_has_an_id_of_its_own(client: httpx.Client):
    first = client.get("/recommend/u6?k=4").json()
    path = f"/recommend/u6?k=4&cursor={first['next_cursor']}"
    second = client.get(path)
    assert second.json()["recommendation_id"] != first["recommendation_id"]
    assert client.get(path).headers["x-cache"] == "local"
    assert client.get(path, headers={"if-none-match": second.headers["etag"]}).status_code == 304


def test_after_another_model_is_served_a_cursor_is_gone_and_back_with_its_model(
    store: Store, artifacts: list[Path]
):
    with serving(settings(store.path)) as client:
        first = client.get("/recommend/u1?k=4").json()
        path = f"/recommend/u1?k=4&cursor={first['next_cursor']}"
        second = client.get(path).json()
        store.publish(artifacts[1])
        wait_until(
            lambda: client.get("/recommend/u1").json()["model_version"] != first["model_version"]
        )
        gone = client.get(path)
        assert gone.status_code == 410
        assert gone.json()["type"] == "urn:hashrec:stale-cursor"
        assert "start again" in gone.json()["detail"]
        store.rollback()
        wait_until(
            lambda: client.get("/recommend/u1").json()["model_version"] == first["model_version"]
        )
        assert client.get(path).json() == second


def test_in_an_experiment_a_list_goes_on_by_the_model_that_began_it(
    store: Store, artifacts: list[Path]
):
    users = [f"u{row}" for row in range(12)]
    with serving(settings(store.path)) as client:
        begun = {user: client.get(f"/recommend/{user}?k=4").json() for user in users}
        paths = {
            user: f"/recommend/{user}?k=4&cursor={first['next_cursor']}"
            for user, first in begun.items()
        }
        second = {user: client.get(path).json() for user, path in paths.items()}
    candidate = store.publish(artifacts[1], activate=False)
    configured = settings(store.path, experiment={"candidate": candidate, "share": 0.5})
    with serving(configured) as client:
        wait_until(lambda: client.get("/readyz?verbose").json()["experiment"]["running"])
        now = {client.get(f"/recommend/{user}").json()["model_version"] for user in users}
        assert now == {store.current(), candidate}
        assert {user: client.get(path).json() for user, path in paths.items()} == second
        tried = next(
            reply
            for user in users
            if (reply := client.get(f"/recommend/{user}?k=4").json())["model_version"] == candidate
        )
        following = f"/recommend/{tried['user_id']}?k=4&cursor={tried['next_cursor']}"
        assert client.get(following).json()["model_version"] == candidate


def test_events_between_pages_hide_their_items_and_move_no_other(store: Store):
    with serving(settings(store.path)) as client:
        before = client.get("/recommend/u1?k=500").json()["items"]
        order = [item["item_id"] for item in before]
        found: list[str] = []
        following: dict[str, str] = {}
        taken: list[str] = []
        while following.get("cursor", "") is not None:
            reply = client.get("/recommend/u1", params={"k": 4, **following}).json()
            assert reply["source"] == "personal"
            found += [item["item_id"] for item in reply["items"]]
            following = {"cursor": reply["next_cursor"]}
            left = [item_id for item_id in order if item_id not in found]
            # One item that was given, and one that would have been, but for the first page's.
            for item_id in (found[-1], *left[-1:]) if len(found) > 4 else ():
                event = {"user_id": "u1", "item_id": item_id, "type": "buy"}
                event |= {"timestamp": 1_800_000_000, "event_id": f"e{len(taken)}"}
                assert client.post("/events", json=event).status_code == 202
                taken.append(item_id)
        assert len(set(found)) == len(found)
        assert set(order) - set(found) == set(taken) - set(found) != set()
        assert found == [item_id for item_id in order if item_id in found]
        assert client.get("/recommend/u1?k=5").json()["source"] == "fold_in"


def test_another_process_understands_a_cursor(store: Store):
    with serving(settings(store.path)) as client:
        following = client.get("/recommend/u1?k=4").json()["next_cursor"]
        second = client.get(f"/recommend/u1?k=4&cursor={following}").json()
    with serving(settings(store.path)) as client:
        assert client.get(f"/recommend/u1?k=4&cursor={following}").json() == second
