from __future__ import annotations

import httpx
import pytest

from hashrec.index.artifacts.store import Store
from hashrec.index.errors import (
    ArtifactCorruptError,
    CodeWidthError,
    ConfigError,
    HashrecError,
    NoArtifactError,
    UnknownItemError,
    UnknownUserError,
)
from hashrec.service.app import MAX_BODY_BYTES, create_app
from hashrec.service.errors import NotReadyError
from hashrec.service.http.problems import problem_of
from tests.service.serving import logged, serving, settings


def assert_is_problem(reply: httpx.Response, status: int) -> dict:
    """Check what every error has in common."""
    assert reply.status_code == status
    assert reply.headers["content-type"] == "application/problem+json"
    problem = reply.json()
    assert problem["status"] == status
    assert problem["title"]
    assert problem["detail"]
    assert problem["request_id"] == reply.headers["x-request-id"]
    assert "Traceback" not in reply.text
    return problem


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/nothing/here", 404),
        ("GET", "/popular/", 404),
        ("GET", "/v2/popular", 404),
        ("DELETE", "/popular", 405),
        ("POST", "/recommend/u1", 405),
        ("PATCH", "/recommend/u1", 405),
        ("GET", "/recommend/u1?k=0", 422),
        ("GET", "/recommend/nobody?strict=1", 404),
        ("GET", "/items/nothing/similar", 404),
    ],
)
def test_every_error_is_a_problem(client: httpx.Client, method: str, path: str, status: int):
    problem = assert_is_problem(client.request(method, path), status)
    assert problem["instance"] == path.partition("?")[0]


def test_a_method_that_is_not_allowed_names_those_that_are(client: httpx.Client):
    assert client.put("/popular").headers["allow"] == "GET, HEAD, OPTIONS"


@pytest.mark.parametrize("chunked", [True, False])
def test_a_body_that_is_too_large_is_refused(client: httpx.Client, chunked: bool):
    content = b" " * (MAX_BODY_BYTES + 1)
    reply = client.post(
        "/recommend/batch",
        content=iter([content]) if chunked else content,
        headers={"content-type": "application/json"},
    )
    assert_is_problem(reply, 413)


def test_a_long_path_is_cut_in_the_problem(client: httpx.Client):
    problem = assert_is_problem(client.get("/" + "x" * 5000), 404)
    assert len(problem["instance"]) == 256


def test_a_bug_tells_nothing_about_itself(shared_store: Store):
    app = create_app(settings(shared_store.path))

    @app.get("/bug")
    async def bug() -> None:
        raise RuntimeError("the secret is 42")

    with serving(app) as client:
        reply = client.get("/bug", headers={"x-request-id": "abc"})
        problem = assert_is_problem(reply, 500)
        assert "secret" not in reply.text
        assert problem["request_id"] == "abc"
        assert client.get("/recommend/u1").status_code == 200


def test_a_reply_that_breaks_off_is_not_dressed_up_as_whole(shared_store: Store):
    from starlette.responses import StreamingResponse

    app = create_app(settings(shared_store.path))

    async def half():
        yield b"half"
        raise RuntimeError("gone")

    @app.get("/half")
    async def broken() -> StreamingResponse:
        return StreamingResponse(half())

    with serving(app) as client, pytest.raises(httpx.RemoteProtocolError):
        client.get("/half")


@pytest.mark.parametrize(
    ("error", "status", "is_logged"),
    [
        (CodeWidthError(8, 16), 500, True),
        (ArtifactCorruptError("/the/folder", "why"), 503, True),
        (UnknownItemError("i"), 404, False),
    ],
)
def test_the_log_says_what_a_reply_on_our_own_fault_keeps_to_itself(
    shared_store: Store,
    capfd: pytest.CaptureFixture[str],
    error: HashrecError,
    status: int,
    is_logged: bool,
):
    app = create_app(settings(shared_store.path))

    @app.get("/fault/{fault_id}")
    async def fault() -> None:
        raise error

    with serving(app) as client:
        reply = client.get("/fault/17", headers={"x-request-id": "abc"})
    assert_is_problem(reply, status)
    assert (str(error) in reply.text) != is_logged
    lines = logged(capfd.readouterr().err, "request failed")
    assert [line["reason"] for line in lines] == [str(error)] * is_logged
    for line in lines:
        assert (line["route"], line["request_id"]) == ("/fault/{fault_id}", "abc")
        assert type(error).__name__ in line["exception"]


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (UnknownUserError("u"), 404),
        (UnknownItemError("i"), 404),
        (ConfigError("k must be"), 422),
        (NotReadyError(), 503),
        (NoArtifactError("store"), 503),
        (ArtifactCorruptError("path", "why"), 503),
        (CodeWidthError(8, 16), 500),
    ],
)
def test_each_class_of_error_has_its_status(error: Exception, status: int):
    problem = problem_of(error)
    assert problem["status"] == status
    tells = isinstance(error, NotReadyError) or status < 500  # others speak of paths and files
    assert (problem["detail"] == str(error)) == tells
