"""`POST /recommend`: someone new, by what they took and refused."""

from __future__ import annotations

import dataclasses
import threading
from pathlib import Path
from typing import Any

import httpx
import jsonschema_rs
import pytest

from hashrec.index.arrays.ids import IdMap
from hashrec.index.artifacts.store import Store
from hashrec.index.ranking.recommender import Options, Recommender
from hashrec.service.answers import cached_recommender
from hashrec.service.app import create_app
from hashrec.service.routes.schemas import MAX_HISTORY, MAX_MEMBERS
from hashrec.service.settings import Settings
from tests.index.small_models import CATEGORIES, model_of, write
from tests.service.serving import RedisServer, listed, metric, serving, settings

HISTORY = {"positive": ["i3", "i9", "i17"], "negative": ["i5"]}


def test_a_history_gets_what_the_recommender_ranks(client: httpx.Client, recommender: Recommender):
    for first in range(20):
        positive, negative = [f"i{first}", f"i{first + 7}"], [f"i{first + 1}"]
        reply = client.post("/recommend", json={"positive": positive, "negative": negative})
        expected = recommender.recommend_history(positive, negative, 10)
        assert reply.json()["items"] == listed(expected, recommender.title)
        assert reply.json()["source"] == expected.source == "fold_in"


def test_the_reply_has_the_members_of_a_users_and_says_how_many_ids_are_unknown(
    client: httpx.Client,
):
    users = client.get("/recommend/u1").json()
    response = client.post("/recommend", json={"positive": ["i3", "gone", "gone", "lost"]})
    reply = response.json()
    assert list(reply) == [*users, "unknown_ids"]
    assert (reply["user_id"], reply["unknown_ids"], reply["count"]) == (None, 2, 10)
    assert response.headers["x-model-version"] == reply["model_version"]
    assert response.headers["etag"] == f'"{reply["recommendation_id"]}"'


@pytest.mark.parametrize(
    ("given", "k", "options"),
    [
        ({"k": 3}, 3, Options()),
        ({"n": 3}, 3, Options()),
        ({"exclude_seen": False}, 10, Options(exclude_seen=False)),
        ({"exclude": ["i0", "i1", "nothing"]}, 10, Options(exclude=("i0", "i1", "nothing"))),
        (
            {"category": [CATEGORIES[0], CATEGORIES[1]], "category_mode": "all"},
            10,
            Options(categories=CATEGORIES[:2], category_mode="all"),
        ),
    ],
)
def test_options_mean_what_they_mean_for_a_user(
    client: httpx.Client, recommender: Recommender, given: dict[str, Any], k: int, options: Options
):
    reply = client.post("/recommend", json={**HISTORY, **given}).json()
    expected = recommender.recommend_history(HISTORY["positive"], HISTORY["negative"], k, options)
    assert reply["items"] == listed(expected, recommender.title)


@pytest.mark.parametrize("body", [{}, {"positive": ["gone"]}, {"negative": ["i5"]}])
def test_a_history_of_nothing_known_gets_popular_items_or_404_when_asked_strictly(
    client: httpx.Client, body: dict[str, Any]
):
    before = metric(client, "hashrec_fallback_total", reason="unknown_history")
    reply = client.post("/recommend", json=body).json()
    assert reply["source"] == "popular"
    assert "i5" not in [item["item_id"] for item in reply["items"]] or "negative" not in body
    refused = client.post("/recommend", json={**body, "strict": True})
    assert refused.status_code == 404
    assert refused.json()["type"] == "urn:hashrec:unknown-history"
    assert metric(client, "hashrec_fallback_total", reason="unknown_history") == before + 2


def test_the_same_history_in_another_order_is_the_same_answer_from_the_cache(store: Store):
    with serving(settings(store.path)) as client:
        first = client.post("/recommend", json=HISTORY)
        shuffled = {"positive": ["i17", "i9", "i3", "i9"], "negative": ["i5", "i5"], "k": 10}
        again = client.post("/recommend", json=shuffled)
        assert (first.headers["x-cache"], again.headers["x-cache"]) == ("miss", "local")
        assert first.content == again.content
        assert metric(client, "hashrec_search_duration_seconds_count", index="flat") == 1
        for cache in ("miss", "local"):
            total = "hashrec_recommend_requests_total"
            assert metric(client, total, source="fold_in", cache=cache) == 1


def test_a_history_is_shared_between_processes_by_redis(store: Store, redis_server: RedisServer):
    redis = {"url": redis_server.url}
    with (
        serving(settings(store.path, redis=redis)) as one,
        serving(settings(store.path, redis=redis)) as other,
    ):
        first = one.post("/recommend", json=HISTORY)
        while (second := other.post("/recommend", json=HISTORY)).headers["x-cache"] == "miss":
            pass  # the first process writes to Redis in the background
        assert second.content == first.content


@pytest.mark.parametrize(
    "other",
    [
        {"positive": ["i3", "i9"], "negative": ["i5"]},
        {"positive": ["i3", "i9", "i17"]},
        {"positive": ["i5"], "negative": ["i3", "i9", "i17"]},
        {"positive": ["i3", "i9", "i17", "i5"]},
        {**HISTORY, "k": 9},
        {**HISTORY, "exclude_seen": False},
        {**HISTORY, "exclude": ["i1"]},
    ],
)
def test_another_request_has_another_id(client: httpx.Client, other: dict[str, Any]):
    ids = [
        client.post("/recommend", json=body).json()["recommendation_id"]
        for body in (HISTORY, other)
    ]
    assert ids[0] != ids[1]


def test_popular_items_for_nobody_are_not_those_of_an_empty_history(client: httpx.Client):
    empty, popular = client.post("/recommend", json={}).json(), client.get("/popular").json()
    assert empty["items"] == popular["items"]
    assert empty["recommendation_id"] != popular["recommendation_id"]


@pytest.mark.parametrize(
    ("body", "location"),
    [
        ({"positive": "i3"}, "body.positive"),
        ({"positive": [3]}, "body.positive.0"),
        ({"positive": [""]}, "body.positive.0"),
        ({"negative": ["x" * 513]}, "body.negative.0"),
        ({"positive": [f"i{row}" for row in range(MAX_HISTORY + 1)]}, "body.positive"),
        ({"positive": ["i3"], "k": 501}, "body.k"),
        ({"positive": ["i3"], "liked": []}, "body.liked"),
        ({f"liked{row}": [] for row in range(MAX_MEMBERS + 1)}, "body"),
    ],
)
def test_what_is_wrong_with_a_body_is_said_with_its_place(
    client: httpx.Client, body: dict[str, Any], location: str
):
    response = client.post("/recommend", json=body)
    assert response.status_code == 422
    assert response.headers["content-type"] == "application/problem+json"
    assert location in [error["location"] for error in response.json()["errors"]]


def test_an_item_that_is_both_positive_and_negative_is_refused(client: httpx.Client):
    response = client.post("/recommend", json={"positive": ["i3"], "negative": ["i3"]})
    assert response.status_code == 422
    assert "'i3' is both positive and negative" in response.json()["detail"]


def test_a_body_above_the_limit_is_not_read(client: httpx.Client):
    long = [f"{row:0512}" for row in range(MAX_HISTORY)]
    response = client.post("/recommend", json={"positive": long, "negative": long, "exclude": long})
    assert response.status_code == 413


def test_the_condition_of_a_get_does_not_empty_the_answer_to_a_post(client: httpx.Client):
    tag = client.post("/recommend", json=HISTORY).headers["etag"]
    again = client.post("/recommend", json=HISTORY, headers={"if-none-match": tag})
    assert (again.status_code, again.json()["count"]) == (200, 10)


def test_a_model_without_an_encoder_serves_all_but_histories(tmp_path: Path):
    old = dataclasses.replace(model_of(60, 40, 32, seed=1), encoder=None)
    write(tmp_path / "old", old)
    write(tmp_path / "new", model_of(60, 40, 32, seed=1), day=1)
    store = Store(tmp_path / "store")
    store.publish(tmp_path / "old")
    with serving(settings(store.path)) as client:
        assert client.get("/recommend/u1").json()["source"] == "personal"
        refused = client.post("/recommend", json=HISTORY)
        assert (refused.status_code, refused.json()["type"]) == (503, "urn:hashrec:no-encoder")
        assert "train and publish it again" in refused.json()["detail"]
        version = store.publish(tmp_path / "new")
        while client.get("/recommend/u1").json()["model_version"] != version:
            pass
        assert client.post("/recommend", json=HISTORY).json()["source"] == "fold_in"


@pytest.mark.parametrize("member", ["positive", "negative", "exclude", "include"])
def test_a_request_of_many_ids_is_ranked_in_a_thread(
    shared_store: Store, monkeypatch: pytest.MonkeyPatch, member: str
):
    few = {"positive": ["i1"], "negative": ["i3", "i5"]}
    rankers: list[str] = []
    render = cached_recommender.render

    def spy(*arguments: Any) -> Any:
        rankers.append(threading.current_thread().name)
        return render(*arguments)

    monkeypatch.setattr(cached_recommender, "render", spy)
    monkeypatch.setattr(cached_recommender, "INLINE_IDS", 3)
    with serving(settings(shared_store.path)) as client:
        client.post("/recommend", json=few)
        client.post("/recommend", json={**few, member: [*few.get(member, []), "i4"]})
    assert len(rankers) == len(set(rankers)) == 2


def test_the_documented_example_is_answered_as_documented(tmp_path: Path):
    document = create_app(Settings(store=Path("unused"))).openapi()
    (request,) = document["components"]["schemas"]["FoldInRequest"]["examples"]
    history = {*request["positive"], *request["negative"]}
    names = [*sorted(history), *(f"i{row}" for row in range(30))][:30]
    model = dataclasses.replace(model_of(5, 30, 32, seed=1), items=IdMap.build(names))
    write(tmp_path / "run", model)
    store = Store(tmp_path / "store")
    store.publish(tmp_path / "run")
    with serving(settings(store.path)) as client:
        answered = client.post("/recommend", json=request).json()
    jsonschema_rs.validator_for(
        {"$ref": "#/components/schemas/FoldInReply", "components": document["components"]}
    ).validate(answered)
    assert (answered["source"], answered["unknown_ids"]) == ("fold_in", 0)
    assert answered["count"] == request["k"]
    assert not {item["item_id"] for item in answered["items"]} & history
