"""What HTTP clients, proxies and browsers do beside GET: HEAD, OPTIONS, conditions, gzip, CORS."""

from __future__ import annotations

import gzip
from collections.abc import Generator

import httpx
import pytest

from hashrec.index.artifacts.store import Store
from hashrec.service.answers.replies import matches
from hashrec.service.app import create_app
from hashrec.service.http.compression import FROM_BYTES, accepts_gzip
from hashrec.service.routes import ROUTERS
from hashrec.service.settings import Settings
from tests.service.serving import logged, metric, serving, settings

LARGE, SMALL = "/recommend/u1?k=500", "/recommend/u1?k=2"
SAMPLES = {"user_id": "u1", "item_id": "i1"}
ORIGIN = "https://shop.example"


def get_routes() -> list[str]:
    """A path of each GET route there is."""
    return [
        route.path_format.format_map(SAMPLES)
        for router in ROUTERS.values()
        for route in router.routes
        if "GET" in route.methods
    ]


def fixed(reply: httpx.Response) -> dict[str, str]:
    """The headers that two replies to the same request share."""
    changing = {"date", "server-timing", "x-request-id", "x-cache"}
    return {name: value for name, value in reply.headers.items() if name not in changing}


@pytest.fixture(scope="module")
def plain(shared_store: Store) -> Generator[httpx.Client]:
    """A client of the same service without the fast path."""
    with serving(settings(shared_store.path), fast_path=False) as plain:
        yield plain


@pytest.mark.parametrize("path", [*get_routes(), LARGE, "/nothing", "/recommend/u1?k=0"])
def test_head_has_the_headers_of_get_and_no_body(client: httpx.Client, path: str):
    for encoding in ("gzip", "identity"):
        headers = {"accept-encoding": encoding}
        whole, head = client.get(path, headers=headers), client.head(path, headers=headers)
        assert head.status_code == whole.status_code
        assert head.content == b""
        if not path.endswith("metrics"):  # which another request has changed
            assert fixed(head) == fixed(whole)


def test_head_is_counted_as_itself_under_its_route(store: Store):
    with serving(settings(store.path)) as client:
        client.head("/recommend/u1")
        labels = {"method": "HEAD", "route": "/recommend/{user_id}", "status": "200"}
        assert metric(client, "http_request_duration_seconds_count", **labels) == 1


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/popular", "GET, HEAD, OPTIONS"),
        ("/v1/recommend/u1", "GET, HEAD, OPTIONS"),
        ("/recommend", "POST, OPTIONS"),
        ("/recommend/batch", "GET, HEAD, POST, OPTIONS"),  # "batch" can be a user's id too
    ],
)
def test_options_and_a_wrong_method_name_what_the_path_takes(
    client: httpx.Client, path: str, allowed: str
):
    options = client.options(path)
    assert (options.status_code, options.content) == (204, b"")
    assert options.headers["allow"] == allowed
    assert "content-type" not in options.headers
    for method in ("DELETE", "PROPFIND"):
        refused = client.request(method, path)
        assert refused.status_code == 405
        assert refused.headers["allow"] == allowed
        assert refused.json()["title"] == "Method Not Allowed"


def test_options_of_a_path_that_leads_nowhere_is_404(client: httpx.Client):
    assert client.options("/nothing").status_code == 404


def test_every_get_route_names_get_and_head_in_options(client: httpx.Client):
    for path in get_routes():
        assert client.options(path).headers["allow"].startswith("GET, HEAD"), path


@pytest.mark.parametrize(
    ("sent", "is_match"),
    [
        (b'"tag"', True),
        (b'W/"tag"', True),
        (b'"other", W/"tag"', True),
        (b'  "tag"  ,"x"', True),
        (b"*", True),
        (b" * ", True),
        (b'"other"', False),
        (b'w/"tag"', False),
        (b'"other", *', False),
        (b"W/*", False),
        (b"tag", False),
        (b"", False),
        (b",", False),
    ],
)
def test_if_none_match_follows_the_rfc(sent: bytes, is_match: bool):
    assert matches(sent, b'"tag"') == is_match


@pytest.mark.parametrize("path", [LARGE, SMALL, "/popular", "/items/i1/similar"])
def test_a_client_that_has_the_reply_gets_304(client: httpx.Client, path: str):
    for encoding in ("gzip", "identity"):
        whole = client.get(path, headers={"accept-encoding": encoding})
        assert whole.status_code == 200
        headers = {"accept-encoding": encoding, "if-none-match": whole.headers["etag"]}
        for method in ("GET", "HEAD"):
            again = client.request(method, path, headers=headers)
            assert (again.status_code, again.content) == (304, b"")
            for name in ("etag", "x-model-version", "vary"):
                assert again.headers.get(name) == whole.headers.get(name), name


def test_large_replies_are_packed_for_those_who_take_it(client: httpx.Client, plain: httpx.Client):
    identity = client.get(LARGE, headers={"accept-encoding": "identity"})
    assert len(identity.content) >= FROM_BYTES
    for service in (client, plain):
        with service.stream("GET", LARGE, headers={"accept-encoding": "br, gzip;q=0.5"}) as packed:
            raw = b"".join(packed.iter_raw())
        assert packed.headers["content-encoding"] == "gzip"
        assert packed.headers["content-length"] == str(len(raw))
        assert len(raw) < len(identity.content) / 2
        assert gzip.decompress(raw) == identity.content


def test_packed_bytes_have_no_strong_tag_and_both_replies_say_that_they_vary(client: httpx.Client):
    packed = client.get(LARGE, headers={"accept-encoding": "gzip"})
    identity = client.get(LARGE, headers={"accept-encoding": "identity"})
    assert packed.headers["etag"] == "W/" + identity.headers["etag"]
    assert packed.headers["vary"] == identity.headers["vary"] == "Accept-Encoding"


def test_small_replies_are_left_as_they_are(client: httpx.Client):
    reply = client.get(SMALL, headers={"accept-encoding": "gzip"})
    assert "content-encoding" not in reply.headers
    assert "vary" not in reply.headers


def test_documents_are_packed_too(client: httpx.Client):
    assert client.get("/openapi.json").headers["content-encoding"] == "gzip"


@pytest.mark.parametrize(
    ("sent", "accepts"),
    [
        (b"gzip", True),
        (b"br, GZIP", True),
        (b"deflate , x-gzip;q=0.1", True),
        (b"gzip;q=1.0", True),
        (b"gzip;q=0", False),
        (b"br, gzip; q=0.000", False),
        (b"notgzip", False),
        (b"gzipped", False),
        (b"identity", False),
        (b"*", False),  # such a client would take anything, and gets what costs nothing
        (b"", False),
    ],
)
def test_gzip_is_for_those_who_name_it(sent: bytes, accepts: bool):
    assert accepts_gzip([(b"accept-encoding", sent)]) == accepts


def test_without_the_setting_no_page_of_another_origin_reads_anything(client: httpx.Client):
    reply = client.get("/recommend/u1", headers={"origin": ORIGIN})
    preflight = client.options(
        "/recommend/u1", headers={"origin": ORIGIN, "access-control-request-method": "GET"}
    )
    for headers in (reply.headers, preflight.headers):
        assert not [name for name in headers if name.startswith("access-control")]
        assert "vary" not in headers


def test_named_origins_may_read_on_both_paths_and_others_may_not(shared_store: Store):
    for fast_path in (True, False):
        service = settings(shared_store.path, cors={"origins": f"{ORIGIN}, http://localhost:5173"})
        with serving(service, fast_path=fast_path) as client:
            for path in ("/recommend/u1", LARGE, "/popular", "/nothing"):
                reply = client.get(path, headers={"origin": ORIGIN})
                assert reply.headers["access-control-allow-origin"] == ORIGIN
                assert "X-Request-ID" in reply.headers["access-control-expose-headers"]
                assert "access-control-allow-credentials" not in reply.headers
                varies = "Accept-Encoding, Origin" if path == LARGE else "Origin"
                assert reply.headers["vary"] == varies
                for given in ({"origin": "https://evil.example"}, {}):
                    other = client.get(path, headers=given)
                    assert "access-control-allow-origin" not in other.headers
                    assert other.headers["vary"] == varies
            preflight = client.options(
                "/recommend",
                headers={
                    "origin": ORIGIN,
                    "access-control-request-method": "POST",
                    "access-control-request-headers": "content-type, x-api-key",
                },
            )
            assert preflight.status_code == 200
            assert preflight.headers["access-control-allow-origin"] == ORIGIN
            assert "x-request-id" in preflight.headers  # it is counted and named like any other


def test_credentials_are_allowed_to_named_origins(shared_store: Store):
    cors = {"origins": (ORIGIN,), "credentials": True}
    with serving(settings(shared_store.path, cors=cors)) as client:
        reply = client.get("/recommend/u1", headers={"origin": ORIGIN})
        assert reply.headers["access-control-allow-credentials"] == "true"


def test_origins_come_from_the_environment_with_commas(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HASHREC_CORS__ORIGINS", f"{ORIGIN}, *")
    assert Settings.load().cors.origins == (ORIGIN, "*")


def test_the_log_line_of_a_request_says_what_an_operator_asks(
    shared_store: Store, capfd: pytest.CaptureFixture[str]
):
    service = settings(shared_store.path, log_level="info", log_requests="all")
    for fast_path in (True, False):
        with serving(create_app(service, fast_path=fast_path)) as client:
            reply = client.get("/recommend/u1", headers={"x-request-id": "named"})
        (line,) = logged(capfd.readouterr().err, "request")
        assert line.pop("milliseconds") > 0
        assert line.pop("timestamp")
        assert line == {
            "event": "request",
            "level": "info",
            "logger": "service.requests",
            "method": "GET",
            "route": "/recommend/{user_id}",
            "status": 200,
            "request_id": "named",
            "client": "127.0.0.1",
            "bytes": len(reply.content),
            "model_version": shared_store.current(),
            "cache": "miss",
        }
