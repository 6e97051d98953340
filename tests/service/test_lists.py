from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from urllib.parse import quote

import httpx
import numpy as np
import pytest

from hashrec.index.artifacts.store import Store
from hashrec.index.model.items import ItemTable
from hashrec.index.ranking.recommender import MAX_K, Options, Recommender
from tests.index.small_models import model_of, write
from tests.service.serving import listed, serving, settings

NOBODY = "somebody-new"


def test_a_user_gets_what_the_recommender_ranks(client: httpx.Client, recommender: Recommender):
    for row in range(60):
        user_id = f"u{row}"
        reply = client.get(f"/recommend/{user_id}").json()
        expected = recommender.recommend(user_id, 10)
        assert reply["items"] == listed(expected, recommender.title)
        assert reply["user_id"] == user_id
        assert reply["model_version"] == recommender.version
        assert (reply["source"], reply["count"]) == ("personal", len(expected.items))


def test_the_reply_has_exactly_the_agreed_members(client: httpx.Client):
    reply = client.get("/recommend/u1").json()
    assert list(reply) == [
        *("user_id", "model_version", "recommendation_id", "source", "items", "count"),
        "next_cursor",
    ]
    assert list(reply["items"][0]) == ["item_id", "rank", "score", "hamming", "source", "title"]


@pytest.mark.parametrize("prefix", ["", "/v1"])
@pytest.mark.parametrize(
    "path",
    [
        *("/recommend/u1", "/popular", "/items/i1/similar", "/livez", "/readyz", "/metrics"),
        *("/docs", "/openapi.json"),
    ],
)
def test_every_path_is_under_v1_too(client: httpx.Client, prefix: str, path: str):
    assert client.get(prefix + path).status_code == 200


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/readyz?verbose", "/v1/livez"])
def test_health_can_be_asked_for_without_a_body(client: httpx.Client, path: str):
    whole, head = client.get(path), client.head(path)
    assert (head.status_code, head.content) == (200, b"")
    for name in ("content-type", "content-length"):
        assert head.headers[name] == whole.headers[name]


@pytest.mark.parametrize(
    ("query", "k", "options"),
    [
        ("k=3", 3, Options()),
        ("n=3", 3, Options()),
        ("k=3&n=3", 3, Options()),
        (f"k={MAX_K}", MAX_K, Options()),
        ("exclude_seen=false", 10, Options(exclude_seen=False)),
        ("exclude=i0&exclude=i1&exclude=nothing", 10, Options(exclude=("i0", "i1", "nothing"))),
        ("category=Drama&category=Comedy", 10, Options(categories=("Drama", "Comedy"))),
        (
            "category=Drama&category=Comedy&category_mode=all",
            10,
            Options(categories=("Drama", "Comedy"), category_mode="all"),
        ),
        ("category=S%C3%A9ance&k=2", 2, Options(categories=("Séance",))),
        ("category=none-such", 10, Options(categories=("none-such",))),
        ("include=i1&include=i7&include=nothing", 10, Options(include=("i1", "i7", "nothing"))),
        ("diversity=0.5&k=7", 7, Options(diversity=0.5)),
        ("diversity=1", 10, Options(diversity=1)),
    ],
)
def test_options_reach_the_recommender(
    client: httpx.Client, recommender: Recommender, query: str, k: int, options: Options
):
    for user_id in ("u1", "u2", NOBODY):
        reply = client.get(f"/recommend/{user_id}?{query}")
        assert reply.status_code == 200
        expected = recommender.recommend(user_id, k, options)
        assert reply.json()["items"] == listed(expected, recommender.title)


@pytest.mark.parametrize(
    "query",
    [
        *("k=0", "k=-1", "k=501", "n=501", "k=1000000000", "k=", "k=ten", "k=1.5", "k=٣"),
        *("k=3&n=4", "exclude_seen=perhaps", "category_mode=some", "unheard_of=1", "strict=7"),
        *("k=2&k=3", "k=2&k=2", "n=2&n=3", "strict=1&strict=1", "%6b=2&k=3", "j=1&j=1"),
        *("exclude_seen=true&exclude_seen=false", "category_mode=any&category_mode=all"),
        "exclude=",
        "category=" + "x" * 513,
        "include=",
        *("diversity=-0.1", "diversity=1.1", "diversity=nan", "diversity=inf", "diversity=much"),
        *("diversity=0&diversity=1", "explain=7", "explain=1&explain=1", "cursor=a&cursor=a"),
        "k=" + "9" * 5000,
    ],
)
def test_options_out_of_range_are_refused_and_never_clamped(client: httpx.Client, query: str):
    reply = client.get(f"/recommend/u1?{query}")
    assert reply.status_code == 422
    location = reply.json()["errors"][0]["location"]
    assert location.startswith("query"), location


@pytest.mark.parametrize("path", ["/recommend/u1", "/popular", "/items/i1/similar"])
def test_an_option_given_twice_is_refused_by_name(client: httpx.Client, path: str):
    reply = client.get(f"{path}?k=2&k=3")
    assert reply.status_code == 422
    assert reply.json()["detail"] == "query.k: give this option once"


def test_an_unknown_user_gets_popular_items(client: httpx.Client, recommender: Recommender):
    reply = client.get(f"/recommend/{NOBODY}").json()
    assert reply["source"] == "popular"
    assert reply["items"] == listed(recommender.popular(10), recommender.title)
    assert all(item["hamming"] is None for item in reply["items"])


def test_an_unknown_user_is_an_error_when_asked_strictly(client: httpx.Client):
    for _ in range(2):  # the second time from the cache
        reply = client.get(f"/recommend/{NOBODY}?strict=true")
        assert reply.status_code == 404
        assert reply.json()["type"] == "urn:hashrec:unknown-user"
    assert client.get("/recommend/u1?strict=true").status_code == 200


@pytest.mark.parametrize(
    "user_id", ["a/b", "a b", "100%", "Zoë", "?&#", "batch", "..x", "\x00", "0", "-1", "𝟛"]
)
def test_any_character_may_be_in_an_id(client: httpx.Client, user_id: str):
    reply = client.get(f"/recommend/{quote(user_id, safe='')}")
    assert reply.status_code == 200
    assert reply.json()["user_id"] == user_id


@pytest.mark.parametrize("user_id", ["", "x" * 513, "é" * 257])
def test_an_id_that_is_empty_or_too_long_is_refused(client: httpx.Client, user_id: str):
    reply = client.get(f"/recommend/{quote(user_id)}")
    assert reply.status_code == 422
    assert reply.json()["errors"][0]["location"] == "path.user_id"


def test_an_id_of_512_bytes_is_taken(client: httpx.Client):
    assert client.get("/recommend/" + quote("é" * 256)).status_code == 200


def test_similar_items_are_the_nearest_ones(client: httpx.Client, recommender: Recommender):
    reply = client.get("/items/i7/similar?k=5").json()
    assert reply["item_id"] == "i7"
    assert reply["source"] == "similar"
    assert reply["items"] == listed(recommender.similar_items("i7", 5), recommender.title)


def test_similar_users_are_the_nearest_ones(client: httpx.Client, recommender: Recommender):
    codes = recommender.artifact.model.user_codes
    for user in (0, 7, 59):
        reply = client.get(f"/users/u{user}/similar?k=5").json()
        distances = codes[user].hamming(codes)[0].tolist()
        others = sorted((d, row) for row, d in enumerate(distances) if row != user)[:5]
        assert reply["users"] == [
            {"user_id": f"u{row}", "rank": rank, "score": 1 - d / 32, "hamming": d}
            for rank, (d, row) in enumerate(others, 1)
        ]
        assert (reply["user_id"], reply["count"]) == (f"u{user}", 5)
        assert reply["model_version"] == recommender.version
    assert client.get("/users/u3/similar?k=500").json()["count"] == 59
    again = client.get("/users/u3/similar?n=500")
    assert again.headers["x-cache"] == "local"
    etag = {"if-none-match": again.headers["etag"]}
    assert client.get("/users/u3/similar?n=500", headers=etag).status_code == 304


def test_an_unknown_user_has_no_similar_ones(client: httpx.Client):
    for _ in range(2):
        reply = client.get(f"/users/{NOBODY}/similar")
        assert reply.status_code == 404
        assert reply.json()["type"] == "urn:hashrec:unknown-user"
    assert client.get("/users/u1/similar?k=0").status_code == 422
    assert client.get("/users/u1/similar?exclude=u2").status_code == 422


def test_explanations_say_which_own_items_agree(client: httpx.Client, recommender: Recommender):
    model = recommender.artifact.model
    reply = client.get("/recommend/u4?explain=true").json()
    assert len(reply["items"]) == 10
    for item in reply["items"]:
        explanation = item["explanation"]
        assert explanation["bits"] == 32
        assert explanation["agreeing_bits"] == 32 - item["hamming"]
        own = [int(entry["item_id"][1:]) for entry in explanation["because"]]
        assert len(own) == 3
        assert set(own) <= set(model.seen[4].tolist())
        code = model.item_codes[int(item["item_id"][1:])]
        agreeing = (32 - code.hamming(model.item_codes[np.array(own)])[0]).tolist()
        assert [entry["agreeing_bits"] for entry in explanation["because"]] == agreeing
        assert agreeing == sorted(agreeing, reverse=True)
        assert explanation["because"][0]["title"] == f"Item {own[0]}"
    body = {"positive": ["i3", "i9"], "explain": True}
    for item in client.post("/recommend", json=body).json()["items"]:
        assert {own["item_id"] for own in item["explanation"]["because"]} == {"i3", "i9"}
    assert "explanation" not in client.get(f"/recommend/{NOBODY}?explain=true").json()["items"][0]


def test_an_unknown_item_has_no_similar_ones(client: httpx.Client):
    reply = client.get("/items/none/such/similar")
    assert reply.status_code == 404
    assert reply.json()["type"] == "urn:hashrec:unknown-item"
    assert "'none/such'" in reply.json()["detail"]


def test_popular_items_can_leave_out_what_a_user_has_seen(
    client: httpx.Client, recommender: Recommender
):
    everyone = client.get("/popular").json()
    assert "user_id" not in everyone
    assert everyone["items"] == listed(recommender.popular(10), recommender.title)
    mine = client.get("/popular?user_id=u1&category=Drama").json()
    assert mine["user_id"] == "u1"
    expected = recommender.popular(10, Options(categories=("Drama",)), user_id="u1")
    assert mine["items"] == listed(expected, recommender.title)
    assert mine["source"] == "category_popular"


def test_a_batch_answers_as_single_requests_do_and_in_order(client: httpx.Client):
    users = ["u3", NOBODY, "u1", "u3", "u59"]
    body = {"user_ids": users, "k": 4, "category": ["Drama"], "exclude": ["i1"]}
    body |= {"diversity": 0.5, "explain": True, "include": [f"i{row}" for row in range(30)]}
    reply = client.post("/recommend/batch", json=body)
    assert reply.status_code == 200
    query = "k=4&category=Drama&exclude=i1&diversity=0.5&explain=true"
    query += "".join(f"&include=i{row}" for row in range(30))
    single = [client.get(f"/recommend/{user}?{query}").json() for user in users]
    assert reply.json()["results"] == single
    assert reply.headers["x-model-version"] == single[0]["model_version"]


def test_a_user_that_fails_spoils_only_its_own_place_in_a_batch(client: httpx.Client):
    body = {"user_ids": ["u1", NOBODY, "", "u2", "x" * 513, "\ud800"], "strict": True}
    headers = {"content-type": "application/json"}
    reply = client.post("/recommend/batch", content=json.dumps(body), headers=headers)
    results = reply.json()["results"]
    assert [result.get("status", 200) for result in results] == [200, 404, 422, 200, 422, 422]
    assert results[2]["detail"] == "body.user_ids.2: must not be empty"


def test_a_batch_takes_a_thousand_users(client: httpx.Client):
    users = [f"u{number}" for number in range(1000)]
    results = client.post("/recommend/batch", json={"user_ids": users, "k": 1}).json()["results"]
    assert [result["user_id"] for result in results] == users


def test_users_times_k_bound_a_batch(client: httpx.Client):
    def ask(n_users: int, **length: int) -> httpx.Response:
        users = [f"u{number}" for number in range(n_users)]
        return client.post("/recommend/batch", json={"user_ids": users, **length})

    assert len(ask(100, k=500).json()["results"]) == 100
    for reply in (ask(101, k=500), ask(101, n=500)):
        assert reply.status_code == 422
        assert reply.json()["detail"] == (
            "body: 101 users times k=500 is 50500 items and at most 50000 are given; "
            "ask for fewer users at once, or for a smaller k"
        )


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"user_ids": []},
        {"user_ids": ["u"] * 1001},
        {"user_ids": "u1"},
        {"user_ids": [1]},
        {"user_ids": ["u1"], "k": 0},
        {"user_ids": ["u1"], "unheard_of": 1},
        {"user_ids": ["u1"], "cursor": "abc"},
        {"user_ids": ["u1"], "diversity": 2},
        [],
        None,
    ],
)
def test_a_batch_that_is_not_one_is_refused(client: httpx.Client, body: object):
    assert client.post("/recommend/batch", json=body).status_code == 422


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"\xff", b'{"user_ids":["u1"],"\\ud800":1}', b"[" * 100_000],
)
def test_a_body_that_is_not_json_is_refused(client: httpx.Client, content: bytes):
    headers = {"content-type": "application/json"}
    reply = client.post("/recommend/batch", content=content, headers=headers)
    assert reply.status_code in (400, 422)
    assert reply.headers["content-type"] == "application/problem+json"


def test_the_same_list_has_the_same_id_and_another_list_another(client: httpx.Client):
    def id_of(path: str) -> str:
        return client.get(path).json()["recommendation_id"]

    assert id_of("/recommend/u1") == id_of("/v1/recommend/u1?k=10&strict=true")
    assert id_of("/recommend/u1?exclude=i1&exclude=i2") == id_of(
        "/recommend/u1?exclude=i2&exclude=i1&exclude=i2"
    )
    ids = [
        id_of(path)
        for path in (
            *("/recommend/u1", "/recommend/u2", "/recommend/u1?k=9", "/popular?user_id=u1"),
            *("/recommend/u1?exclude=u2", "/recommend/u1?category=u2", "/items/i1/similar"),
            *("/recommend/u1?exclude=i1&exclude=i2", "/recommend/u1?exclude=i1i2"),
            *("/recommend/u1?include=i1", "/recommend/u1?diversity=1", "/recommend/u1?explain=1"),
            *("/recommend/u1?exclude=%22%2C%22", "/recommend/u1?exclude=%22&exclude=%22%2C"),
        )
    ]
    assert len(set(ids)) == len(ids)


def test_a_client_that_has_the_list_gets_304(client: httpx.Client):
    first = client.get("/recommend/u1")
    etag = first.headers["etag"]
    assert etag == f'"{first.json()["recommendation_id"]}"'
    for sent in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        again = client.get("/recommend/u1", headers={"if-none-match": sent})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == etag
    other = client.get("/recommend/u2", headers={"if-none-match": etag})
    assert other.status_code == 200


def test_headers_tell_about_the_reply(client: httpx.Client):
    reply = client.get("/recommend/u5", headers={"x-request-id": "abc-123"})
    assert reply.headers["x-request-id"] == "abc-123"
    assert reply.headers["x-model-version"] == reply.json()["model_version"]
    assert reply.headers["server-timing"].startswith("app;dur=")
    assert "x-degraded" not in reply.headers
    assert client.get("/recommend/u5").headers["x-cache"] == "local"


@pytest.mark.parametrize("unfit", ["a b", "x" * 129, "<script>", "é"])
def test_an_unfit_request_id_is_replaced(client: httpx.Client, unfit: str):
    for path in ("/recommend/u1", "/popular"):
        made = client.get(path, headers={"x-request-id": unfit.encode()}).headers["x-request-id"]
        assert made != unfit
        assert client.get(path).headers["x-request-id"] not in ("", made)


def test_an_item_without_a_title_is_shown_without(tmp_path: Path):
    model = model_of(3, 5, 32, seed=1)
    untitled = dataclasses.replace(model, item_table=ItemTable.build([{}] * 5))
    write(tmp_path / "artifact", untitled)
    store = Store(tmp_path / "store")
    store.publish(tmp_path / "artifact")
    with serving(settings(store.path)) as client:
        assert "title" not in client.get("/popular").json()["items"][0]
