"""The popular items of a window over HTTP: what counts, what the caches keep, and the fallback."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from pathlib import Path

import httpx
import numpy as np
import pytest

from hashrec.index.artifacts.store import Store
from hashrec.index.live import model_overlay
from hashrec.index.model.recent import DAY_S, RecentCounts
from tests.index.small_models import model_of, write
from tests.service.serving import RedisServer, metric, serving, settings

MODEL = replace(  # i7 three times and i9 once on the last day, i5 ten days before
    model_of(60, 40, 32, seed=1),
    recent=RecentCounts.build(
        np.array([7, 7, 7, 9, 5]), np.array([100, 100, 100, 100, 90]) * DAY_S
    ),
)
SOON = 100.5 * DAY_S


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store of its own: tests write into its journal."""
    write(tmp_path / "artifact", MODEL)
    store = Store(tmp_path / "store")
    store.publish(tmp_path / "artifact")
    return store


@pytest.fixture
def client(store: Store) -> Generator[httpx.Client]:
    with serving(settings(store.path)) as client:
        yield client


def ids(client: httpx.Client, path: str) -> list[str]:
    return [item["item_id"] for item in client.get(path).json()["items"]]


def post(client: httpx.Client, item: str, user: str = "v", at: float = SOON, **more: str) -> None:
    event = {"user_id": user, "item_id": item, "type": "click", "timestamp": at, **more}
    assert client.post("/events", json=event).status_code == 202


def test_a_window_lists_what_the_model_learned_from_its_last_days(client: httpx.Client):
    reply = client.get("/popular?window=7d&k=4").json()
    assert [item["item_id"] for item in reply["items"]] == ["i7", "i9", "i0", "i1"]
    assert reply["source"] == "recent_popular"
    assert [item["source"] for item in reply["items"]] == ["recent_popular"] * 2 + ["popular"] * 2
    assert [item["score"] for item in reply["items"]][:2] == [1, 1 / 3]
    assert ids(client, "/popular?window=30d&k=4") == ["i7", "i5", "i9", "i0"]
    assert ids(client, "/popular?k=2") == ["i0", "i1"]


@pytest.mark.parametrize("window", ["0d", "91d", "7", "7h", "", "07d", "7d&window=8d"])
def test_a_window_is_from_one_to_ninety_days(client: httpx.Client, window: str):
    reply = client.get(f"/popular?window={window}")
    assert reply.status_code == 422
    assert "window" in reply.json()["detail"]


def test_no_other_list_takes_a_window(client: httpx.Client):
    for path in ("/latest", "/recommend/u1", "/items/i1/similar"):
        assert client.get(f"{path}?window=7d").status_code == 422


def test_a_window_goes_with_categories_and_a_user(client: httpx.Client):
    names = MODEL.item_table.of(7)["categories"]
    other = next(name for name in ("Comedy", "Drama", "Séance") if name not in names)
    assert "i7" not in ids(client, f"/popular?window=7d&category={other}")
    user = next(f"u{row}" for row in range(60) if 7 in MODEL.seen[row])
    assert "i7" not in ids(client, f"/popular?window=7d&user_id={user}")


def test_events_count_and_the_window_ends_with_the_newest(client: httpx.Client):
    for user in "abcd":
        post(client, "i9", user)
    assert ids(client, "/popular?window=7d&k=3") == ["i9", "i7", "i0"]
    assert ids(client, "/popular?window=30d&k=3") == ["i9", "i7", "i5"]


def test_a_later_event_moves_the_window(client: httpx.Client):
    post(client, "i20", at=200 * DAY_S)
    reply = client.get("/popular?window=7d&k=2").json()
    assert [item["item_id"] for item in reply["items"]] == ["i20", "i0"]
    assert [item["source"] for item in reply["items"]] == ["recent_popular", "popular"]


def test_a_list_stays_in_the_caches_until_its_window_is_counted_anew(
    client: httpx.Client, monkeypatch: pytest.MonkeyPatch
):
    post(client, "i30")
    first = client.get("/popular?window=7d")
    again = client.get("/popular?window=7d")
    assert (again.headers["x-cache"], again.content) == ("local", first.content)
    post(client, "i31")  # within the seconds between two counts
    assert client.get("/popular?window=7d").content == first.content
    monkeypatch.setattr(model_overlay, "RECOUNT_S", 0.0)
    anew = client.get("/popular?window=7d")
    assert anew.headers["x-cache"] == "miss"
    assert "i31" in [item["item_id"] for item in anew.json()["items"]]
    assert anew.headers["etag"] != first.headers["etag"]


def test_events_leave_lists_without_a_window_in_the_caches(client: httpx.Client):
    first = client.get("/popular")
    post(client, "i30")
    assert client.get("/popular").headers["x-cache"] == "local"
    assert first.json()["source"] == "popular"


def test_an_artifact_without_counts_answers_by_the_events_or_by_popularity(tmp_path: Path):
    write(tmp_path / "artifact", replace(MODEL, recent=None))
    store = Store(tmp_path / "store")
    store.publish(tmp_path / "artifact")
    with serving(settings(store.path)) as client:
        reply = client.get("/popular?window=7d&k=2").json()
        assert [item["item_id"] for item in reply["items"]] == ["i0", "i1"]
        assert reply["source"] == "popular"
        post(client, "i30")
        assert ids(client, "/popular?window=8d&k=2") == ["i30", "i0"]


def test_unknown_users_get_the_items_of_the_fallbacks_window(store: Store):
    with serving(settings(store.path, fallback_window="7d")) as client:
        reply = client.get("/recommend/nobody?k=3").json()
        assert [item["item_id"] for item in reply["items"]] == ["i7", "i9", "i0"]
        assert reply["source"] == "recent_popular"
        plain = client.get("/recommend/nobody", params={"k": 3, "exclude_seen": "true"}).json()
        assert plain["items"] == reply["items"], "the fast path and FastAPI agree"
        more = client.get("/recommend/nobody", params={"k": 3, "cursor": reply["next_cursor"]})
        assert [item["item_id"] for item in more.json()["items"]] == ["i1", "i2", "i3"]
        assert client.get("/recommend/nobody?strict=true").status_code == 404
        assert client.get("/recommend/u1").json()["source"] == "personal"
        assert ids(client, "/popular?k=2") == ["i0", "i1"]
        sources = {"source": "recent_popular", "cache": "miss"}
        assert metric(client, "hashrec_recommend_requests_total", **sources) >= 1
        assert metric(client, "hashrec_fallback_total", reason="unknown_user") >= 1


def test_services_with_other_fallbacks_do_not_share_answers(
    store: Store, redis_server: RedisServer
):
    redis = {"url": redis_server.url, "timeout_ms": 1000}
    lists = []
    for window in (None, "7d", "30d", None):
        with serving(settings(store.path, fallback_window=window, redis=redis)) as client:
            reply = client.get("/recommend/nobody?k=2")
            lists.append((ids(client, "/recommend/nobody?k=2"), reply.headers["x-cache"]))
    assert lists == [
        (["i0", "i1"], "miss"),
        (["i7", "i9"], "miss"),
        (["i7", "i5"], "miss"),
        (["i0", "i1"], "redis"),
    ]
