"""The fast path must be indistinguishable from FastAPI: one table of requests, both ways."""

from __future__ import annotations

from collections.abc import Generator

import httpx
import pytest

from hashrec.index.artifacts.store import Store
from hashrec.index.ranking.recommender import Recommendation, Recommender
from hashrec.service.answers.lists import RECOMMEND
from hashrec.service.answers.wanted import Wanted
from hashrec.service.routes.fast_path import plain_request
from tests.service.serving import logged, metric, serving, settings

PER_REQUEST = {"date", "server-timing"}
IDS = (
    *("u1", "nobody", "a%2Fb", "Zo%C3%AB", "%00", "x" * 512, "x" * 513, "", "batch", "%ff"),
    *("u1%0A", "%0Au1", "a%0Db%0Ac", "%E2%80%A8"),
)
QUERIES = ("", "?", "?k=7", "?n=7", "?k=500", "?k=501", "?k=0", "?k=07", "?k=", "?k=a", "?j=7")
MORE_QUERIES = ("?k=7&n=7", "?k=7&n=8", "?strict=true", "?exclude_seen=false", "?k=7&k=8", "?K=7")


@pytest.fixture(scope="module")
def plain(shared_store: Store) -> Generator[httpx.Client]:
    """A client of the same service without the fast path."""
    with serving(settings(shared_store.path), fast_path=False) as plain:
        yield plain


def seen(reply: httpx.Response) -> tuple[int, list[tuple[str, str]], bytes]:
    headers = sorted(
        (name, value) for name, value in reply.headers.multi_items() if name not in PER_REQUEST
    )
    return reply.status_code, headers, reply.content


@pytest.mark.parametrize("user_id", IDS)
@pytest.mark.parametrize("prefix", ["", "/v1"])
def test_both_paths_answer_the_same(
    client: httpx.Client, plain: httpx.Client, prefix: str, user_id: str
):
    for query in QUERIES + MORE_QUERIES:
        path = f"{prefix}/recommend/{user_id}{query}"
        for number in range(2):  # a miss, then a hit
            headers = {"x-request-id": f"same-{number}"}
            expected = seen(plain.get(path, headers=headers))
            assert seen(client.get(path, headers=headers)) == expected, path


@pytest.mark.parametrize("method", ["HEAD", "POST", "OPTIONS", "DELETE"])
def test_both_paths_refuse_the_same_methods(client: httpx.Client, plain: httpx.Client, method: str):
    headers = {"x-request-id": "same"}
    expected = seen(plain.request(method, "/recommend/u1", headers=headers))
    assert seen(client.request(method, "/recommend/u1", headers=headers)) == expected


def test_both_paths_honour_if_none_match(client: httpx.Client, plain: httpx.Client):
    client.get("/recommend/u1")  # so that both have it in memory
    etag = plain.get("/recommend/u1").headers["etag"]
    for sent in (etag, '"other"', "*", f'"a", W/{etag}', ""):
        headers = {"x-request-id": "same", "if-none-match": sent}
        expected = seen(plain.get("/recommend/u1", headers=headers))
        assert seen(client.get("/recommend/u1", headers=headers)) == expected, sent


def test_both_paths_count_the_same(client: httpx.Client, plain: httpx.Client):
    def counts(of: httpx.Client) -> list[float]:
        return [
            metric(
                of,
                "http_request_duration_seconds_count",
                route="/recommend/{user_id}",
                method="GET",
                status="200",
            ),
            metric(of, "hashrec_recommend_requests_total", source="personal", cache="local"),
            metric(of, "hashrec_recommend_requests_total", source="popular", cache="local"),
            metric(of, "hashrec_cache_operations_total", tier="local", outcome="hit"),
            metric(of, "hashrec_fallback_total", reason="unknown_user"),
        ]

    for of in (client, plain):
        of.get("/recommend/u1")
        of.get("/recommend/nobody")
        before = counts(of)
        for path in ("/recommend/u1", "/v1/recommend/u1", "/recommend/nobody"):
            of.get(path)
        after = counts(of)
        assert [b - a for a, b in zip(before, after, strict=True)] == [3, 2, 1, 3, 1]


def test_without_a_model_both_paths_say_so(store: Store, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    with (
        serving(settings(empty)) as fast,
        serving(settings(empty), fast_path=False) as plain,
    ):
        headers = {"x-request-id": "same"}
        expected = seen(plain.get("/recommend/u1", headers=headers))
        assert expected[0] == 503
        assert seen(fast.get("/recommend/u1", headers=headers)) == expected


def test_a_failing_ranking_is_tried_once_and_is_the_same_error_on_both_paths(
    store: Store, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    tried: list[str] = []

    def fail(
        recommender: Recommender, user_id: str, *options: object, **more: object
    ) -> Recommendation:
        tried.append(user_id)
        raise RuntimeError("the secret is 42")

    headers = {"x-request-id": "same"}
    replies = []
    for fast_path in (True, False):
        with (
            serving(settings(store.path), fast_path=fast_path) as client,
            monkeypatch.context() as m,
        ):
            m.setattr(Recommender, "recommend", fail)
            replies.append(seen(client.get("/recommend/u1", headers=headers)))
            assert metric(client, "hashrec_cache_operations_total", outcome="miss") == 1
            labels = {"route": "/recommend/{user_id}", "status": "500"}
            assert metric(client, "http_request_duration_seconds_count", **labels) == 1
        (line,) = logged(capfd.readouterr().err, "request failed")
        assert (line["route"], line["request_id"]) == ("/recommend/{user_id}", "same")
        assert "the secret is 42" in line["exception"]
    assert tried == ["u1", "u1"]
    assert replies[0] == replies[1]
    assert replies[0][0] == 500
    assert b"secret" not in replies[0][2]


def test_the_fast_path_takes_plain_requests_and_no_others():
    def wanted(path: str, query: bytes = b"", method: str = "GET") -> Wanted | None:
        scope = {"type": "http", "method": method, "path": path, "query_string": query}
        return plain_request(scope)

    assert wanted("/recommend/u1") == Wanted(RECOMMEND, "u1", 10)
    assert wanted("/v1/recommend/a/b", b"n=500") == Wanted(RECOMMEND, "a/b", 500)
    assert wanted("/recommend/u1", b"k=501") is None
    assert wanted("/recommend/u1", b"k=5&k=6") is None
    assert wanted("/recommend/u1", method="POST") is None
    assert wanted("/recommend/") is None
    assert wanted("/popular") is None
    assert plain_request({"type": "lifespan"}) is None
