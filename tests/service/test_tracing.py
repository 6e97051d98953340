"""Traces: a real service, a real collector, and what arrives there; or neither."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from hashrec.index.artifacts.store import Store
from hashrec.index.errors import ConfigError
from hashrec.index.ranking.recommender import Recommender
from hashrec.service.doctor import CHECKS
from hashrec.service.doctor.finding import Deployment, Finding
from hashrec.service.settings import Settings
from tests.commands import Command
from tests.ports import free_port
from tests.service.collector import Collector, Span
from tests.service.serving import RedisServer, logged, serving, settings, wait_until

TRACE, CALLER = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PAGE = Path(__file__).resolve().parents[2] / "docs" / "tracing.md"
RECOMMEND = "GET /recommend/{user_id}"


@pytest.fixture
def collector() -> Generator[Collector]:
    with Collector() as collector:
        yield collector


@pytest.fixture(autouse=True)
def patient_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have spans sent at the end, however busy the machine is."""
    monkeypatch.setattr("hashrec.service.telemetry.tracing.FLUSH_S", 60.0)


def traced(store: Store, collector: Collector, **changes: Any) -> Settings:
    otel = {"endpoint": collector.url, **changes.pop("otel", {})}
    return settings(store.path, otel=otel, **changes)


@pytest.mark.parametrize("query", ["", "?k=3&exclude=i1"])  # on the fast path, and not
def test_a_request_is_a_span_that_says_what_it_was_and_what_became_of_it(
    store: Store, collector: Collector, query: str
):
    with serving(traced(store, collector)) as client:
        reply = client.get(f"/recommend/u1{query}", headers={"x-request-id": "mine-7"})
        port = client.base_url.port
    span = collector.one(RECOMMEND)
    assert span.attributes == {
        "http.request.method": "GET",
        "http.route": "/recommend/{user_id}",
        "http.response.status_code": 200,
        "url.scheme": "http",
        "url.path": "/recommend/u1",
        "server.address": "127.0.0.1",
        "server.port": port,
        "client.address": "127.0.0.1",
        "hashrec.request_id": "mine-7",
        "hashrec.model_version": reply.headers["x-model-version"],
        "hashrec.cache": "miss",
    }
    assert (span.kind, span.parent_id, span.failed) == ("server", "", False)
    assert span.resource["service.name"] == "hashrec"
    assert span.resource["service.version"]
    assert span.resource["process.pid"] == os.getpid()
    assert collector.headers["content-type"] == "application/x-protobuf"


def test_spans_are_sent_while_the_service_runs(
    store: Store, collector: Collector, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "20")  # milliseconds
    with serving(traced(store, collector)) as client:
        client.get("/popular")
        wait_until(lambda: collector.named("GET /popular"))


def test_every_kind_of_request_has_one_span_named_by_its_route(store: Store, collector: Collector):
    with serving(traced(store, collector)) as client:
        for path in ("/items/i1/similar", "/nothing/here", "/recommend/u1?k=0", "/v1/popular"):
            client.get(path)
        for user_id in (
            "%ff",
            "%00",
            "a%2Fb",
            "Zo%C3%AB",
        ):  # none may spoil the batch of the others
            client.get(f"/recommend/{user_id}")
        client.head("/popular")
        client.request("PROPFIND", "/popular")
    found = [
        (span.name, span.attributes["http.response.status_code"], span.failed)
        for span in collector.spans
        if span.kind == "server"
    ]
    assert found == [
        ("GET /items/{item_id}/similar", 200, False),
        ("GET", 404, False),
        (RECOMMEND, 422, False),
        ("GET /popular", 200, False),
        *[(RECOMMEND, 200, False)] * 4,
        ("HEAD /popular", 200, False),
        ("HTTP /popular", 405, False),
    ]
    assert collector.one("HTTP /popular").attributes["http.request.method"] == "_OTHER"
    assert "http.route" not in collector.one("GET").attributes


def test_a_span_is_part_of_the_caller_s(store: Store, collector: Collector):
    with serving(traced(store, collector)) as client:
        for path in ("/recommend/u1", "/popular"):
            client.get(path, headers={"traceparent": f"00-{TRACE}-{CALLER}-01"})
    for name in (RECOMMEND, "GET /popular"):
        span = collector.one(name)
        assert (span.trace_id, span.parent_id) == (TRACE, CALLER)


def test_a_page_of_another_origin_may_name_its_span(store: Store, collector: Collector):
    with serving(traced(store, collector, cors={"origins": "https://shop.example"})) as client:
        asked = {
            "origin": "https://shop.example",
            "access-control-request-method": "GET",
            "access-control-request-headers": "traceparent,tracestate",
        }
        assert client.options("/recommend/u1", headers=asked).status_code == 200


@pytest.mark.parametrize("header", ["nonsense", f"00-{'0' * 32}-{CALLER}-01", "x" * 5000])
def test_a_caller_that_makes_no_sense_is_none(
    store: Store, collector: Collector, header: str, capfd: pytest.CaptureFixture[str]
):
    with serving(traced(store, collector)) as client:
        client.get("/popular", headers={"traceparent": header})
    span = collector.one("GET /popular")
    assert span.parent_id == ""
    assert int(span.trace_id, 16) != 0
    assert capfd.readouterr().err == "", "clients could fill the log"


def test_the_share_is_for_those_whose_caller_has_not_decided(store: Store, collector: Collector):
    headers = [{}, *({"traceparent": f"00-{TRACE}-{CALLER}-0{flag}"} for flag in (0, 1))]
    for share in (0, 1):
        with serving(traced(store, collector, otel={"share": share})) as client:
            for path in ("/recommend/u1", "/recommend/u2", "/recommend/u3"):
                client.get(path, headers=headers[int(path[-1]) - 1])
        paths = {span.attributes.get("url.path") for span in collector.spans} - {None}
        assert paths == {"/recommend/u3", *(["/recommend/u1"] if share else [])}


def children(collector: Collector, of: Span) -> list[tuple[str, str]]:
    assert all(span.trace_id == of.trace_id for span in collector.spans if span is not of)
    return [(span.name, span.kind) for span in collector.spans if span.parent_id == of.span_id]


def test_ranking_and_redis_are_spans_of_the_request_that_waits_for_them(
    store: Store, collector: Collector, redis_server: RedisServer
):
    redis = {"url": redis_server.url, "timeout_ms": 10_000}
    with serving(traced(store, collector, redis=redis)) as client:
        assert client.get("/recommend/u1").headers["x-cache"] == "miss"
    span = collector.one(RECOMMEND)
    assert children(collector, span) == [("MGET", "client"), ("rank", "internal")]
    assert collector.one("MGET").attributes == {
        "db.system.name": "redis",
        "db.operation.name": "MGET",
    }
    assert collector.one("rank").attributes == {"hashrec.kind": "recommend"}


def test_an_answer_that_is_in_memory_has_no_children(store: Store, collector: Collector):
    with serving(traced(store, collector)) as client:
        client.get("/recommend/u1")
        client.get("/recommend/u1")
    missed, hit = collector.named(RECOMMEND)
    assert [span.parent_id for span in collector.named("rank")] == [missed.span_id]
    assert (missed.attributes["hashrec.cache"], hit.attributes["hashrec.cache"]) == (
        "miss",
        "local",
    )


def test_a_ranking_in_a_thread_is_the_request_s_too(
    store: Store, collector: Collector, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("hashrec.service.answers.cached_recommender.INLINE_ITEMS", 0)
    with serving(traced(store, collector)) as client:
        client.get("/recommend/u1")
    assert children(collector, collector.one(RECOMMEND)) == [("rank", "internal")]


def test_the_lists_of_a_batch_are_one_span(store: Store, collector: Collector):
    with serving(traced(store, collector)) as client:
        client.post("/recommend/batch", json={"user_ids": ["u1", "u2", "u3"]})
    assert children(collector, collector.one("POST /recommend/batch")) == [("rank", "internal")]
    assert collector.one("rank").attributes == {"hashrec.lists": 3}


def test_what_the_journal_takes_is_a_span(store: Store, collector: Collector):
    event = {"user_id": "u1", "item_id": "i1", "type": "click", "event_id": "e"}
    # Nobody looks at the journal but requests, so that one has to read what the other wrote.
    with serving(traced(store, collector, poll_interval_s=1000.0)) as client:
        assert client.post("/events", json=event).status_code == 202
        client.get("/recommend/u1")
    assert collector.one("append events").parent_id == collector.one("POST /events").span_id
    assert collector.one("append events").attributes == {"hashrec.records": 1}
    assert collector.one("read journal").parent_id == collector.one(RECOMMEND).span_id


def test_a_failing_request_is_marked_and_tells_of_the_exception(
    store: Store,
    collector: Collector,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
):
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("of all things")

    with serving(traced(store, collector)) as client:
        monkeypatch.setattr(Recommender, "recommend", fail)
        for query in ("", "?strict=true"):
            assert client.get(f"/recommend/u2{query}").status_code == 500
    spans = collector.named(RECOMMEND)
    assert len(spans) == 2
    for span in spans:
        assert span.failed
        assert span.attributes["error.type"] == "500"
        (event,) = span.events
        assert (event["name"], event["exception.type"]) == ("exception", "RuntimeError")
        assert event["exception.message"] == "of all things"
    assert [span.attributes["error.type"] for span in collector.named("rank")] == [
        "RuntimeError"
    ] * 2
    lines = logged(capfd.readouterr().err, "request failed")
    assert [line["trace_id"] for line in lines] == [span.trace_id for span in spans]


def test_a_service_without_a_model_is_an_error_and_an_unknown_item_is_none(
    store: Store, collector: Collector, tmp_path: Path
):
    (tmp_path / "empty").mkdir()
    empty = Store(tmp_path / "empty")
    with serving(traced(empty, collector)) as client:
        assert client.get("/recommend/u1").status_code == 503
    span = collector.one(RECOMMEND)
    assert (span.failed, span.attributes["error.type"], span.events) == (True, "503", [])
    with serving(traced(store, collector)) as client:
        assert client.get("/items/none/similar").status_code == 404
    assert not collector.one("GET /items/{item_id}/similar").failed
    assert not collector.one("rank").failed


def test_the_line_of_a_request_names_its_trace(
    store: Store, collector: Collector, capfd: pytest.CaptureFixture[str]
):
    with serving(
        traced(store, collector, log_requests="all", log_level="info", otel={"share": 0.0})
    ) as client:
        client.get("/recommend/u1", headers={"traceparent": f"00-{TRACE}-{CALLER}-00"})
        client.get("/popular", headers={"traceparent": f"00-{TRACE}-{CALLER}-01"})
    text = capfd.readouterr().err
    first, second = logged(text, "request")
    assert first["trace_id"] == second["trace_id"] == TRACE
    assert second["span_id"] == collector.one("GET /popular").span_id
    (served,) = logged(text, "model served")
    assert "trace_id" not in served


def test_a_collector_that_fails_is_told_of_once_and_so_is_its_return(
    store: Store,
    collector: Collector,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
):
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "20")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "0.1")  # seconds, for all tries
    text = ""

    def said(event: str) -> int:
        nonlocal text
        text += capfd.readouterr().err
        return len(logged(text, event))

    with serving(traced(store, collector, log_level="info")) as client:
        collector.status = 503
        for n_refused in (1, 2, 3):
            assert client.get("/recommend/u1").status_code == 200
            wait_until(lambda n_refused=n_refused: collector.n_refused >= n_refused)
        collector.status = 200
        client.get("/popular")
        wait_until(lambda: collector.named("GET /popular") and said(RETURNED))
    assert (said(AWAY), said(RETURNED)) == (1, 1)


def test_a_collector_that_never_answers_holds_up_neither_requests_nor_the_end(
    store: Store,
    collector: Collector,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
):
    monkeypatch.setattr("hashrec.service.telemetry.tracing.FLUSH_S", 0.1)
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "8")
    monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "4")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "300")
    collector.answers.clear()
    with serving(traced(store, collector)) as client:
        for number in range(100):
            assert client.get(f"/recommend/u{number % 9}").status_code == 200
        wait_until(lambda: collector.headers)  # one batch is under way, and stays it
    assert len(logged(capfd.readouterr().err, LOST)) == 1
    assert collector.spans == []


def test_the_page_s_example_prints_what_it_is_sent(store: Store, tmp_path: Path):
    (program,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    port = free_port()
    with subprocess.Popen(
        [sys.executable, "-c", program.replace("4318", str(port))],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    ) as printer:  # fmt: skip
        wait_until(lambda: printer.poll() is None and takes_connections(port))
        with serving(settings(store.path, otel={"endpoint": f"http://127.0.0.1:{port}"})) as client:
            client.get("/recommend/u1", headers={"traceparent": f"00-{TRACE}-{CALLER}-01"})
        printer.terminate()
        assert printer.stdout is not None
        lines = [line.split() for line in printer.stdout]
    assert [line[0] for line in lines] == [TRACE, TRACE]
    assert [" ".join(line[3:]) for line in lines] == ["rank", RECOMMEND]


def takes_connections(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_two_workers_send_their_spans_and_say_which_worker_they_are(
    store: Store, collector: Collector, tmp_path: Path
):
    with serve(
        store, tmp_path, HASHREC_OTEL__ENDPOINT=collector.url, HASHREC_WORKERS="2",
        OTEL_BSP_SCHEDULE_DELAY="20",
    ) as url:  # fmt: skip
        wait_until(lambda: len({worker_of(url) for _ in range(20)}) == 2)
        for number in range(20):
            get(f"{url}/recommend/u{number}")
        wait_until(lambda: len(collector.named(RECOMMEND)) == 20)
        wait_until(lambda: len({span.resource["process.pid"] for span in collector.spans}) == 2)
    paths = {span.attributes["url.path"] for span in collector.named(RECOMMEND)}
    assert paths == {f"/recommend/u{number}" for number in range(20)}


def test_a_process_whose_collector_is_not_there_ends_as_any_other(store: Store, tmp_path: Path):
    nobody = f"http://127.0.0.1:{free_port()}"
    with serve(store, tmp_path, HASHREC_OTEL__ENDPOINT=nobody) as url:
        assert get(f"{url}/recommend/u1").status_code == 200


def test_who_is_not_traced_imports_nothing_for_it(store: Store):
    check = f"""
import sys
from pathlib import Path
from hashrec.service.app import create_app
from hashrec.service.routes.fast_path import FastPath
from hashrec.service.telemetry.request_observer import RequestObserver
from hashrec.service.settings import Settings

app = create_app(Settings(store=Path({str(store.path)!r})))
assert type(app._front) is FastPath
assert type(app._front._app) is RequestObserver
# FastAPI and redis have uses of their own for OpenTelemetry's API and its metrics.
names = ("opentelemetry.sdk.trace", "opentelemetry.exporter", "hashrec.service.telemetry.tracing")
print([name for name in names if name in sys.modules])
"""
    assert ran(check) == "[]\n"


def test_tracing_without_its_libraries_ends_the_start_in_one_line(store: Store):
    without = f"""
import sys
sys.modules["opentelemetry.exporter"] = None
sys.argv[1:] = ["serve", "--store", {str(store.path)!r}, "--port", "0"]
from hashrec.command_line import main
main()
"""
    done = subprocess.run(
        [sys.executable, "-c", without], capture_output=True, text=True, check=False, timeout=60,
        env=os.environ | {"HASHREC_OTEL__ENDPOINT": "http://127.0.0.1:4318"},
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr == (
        "error: HASHREC_OTEL__ENDPOINT needs OpenTelemetry: pip install 'hashrec[otel]'\n"
    )


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("collector:4318", "must be the URL of a collector"),
        ("http://", "must be the URL of a collector"),
        ("grpc://collector:4317", "must be the URL of a collector"),
        ("http://collector:4318?key=sesame", "must be the URL of a collector"),
        ("http://me:sesame@collector:4318", "OTEL_EXPORTER_OTLP_HEADERS"),
    ],
)
def test_what_is_no_address_of_a_collector_is_refused(
    monkeypatch: pytest.MonkeyPatch, given: str, says: str
):
    monkeypatch.setenv("HASHREC_OTEL__ENDPOINT", given)
    with pytest.raises(ConfigError, match=says) as caught:
        Settings.load()
    assert "sesame" not in str(caught.value)


@pytest.mark.parametrize("end", ["", "/", "/v1/traces"])
def test_the_path_of_a_collector_may_be_given(end: str):
    assert Settings(otel={"endpoint": f"http://c:4318{end}"}).otel.endpoint == "http://c:4318"


def diagnosis(store: Store, **otel: Any) -> Finding:
    (finding,) = CHECKS["tracing"](Deployment(settings(store.path, otel=otel)))
    return finding


def test_the_doctor_asks_the_collector(
    store: Store, collector: Collector, monkeypatch: pytest.MonkeyPatch
):
    assert diagnosis(store).status == "ok"
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=sesame")
    assert diagnosis(store, endpoint=collector.url).status == "ok"
    assert collector.headers["authorization"] == "sesame"
    collector.status = 401
    finding = diagnosis(store, endpoint=collector.url)
    assert (finding.status, "401" in finding.message) == ("warning", True)
    away = f"http://127.0.0.1:{free_port()}"
    finding = diagnosis(store, endpoint=away)
    assert finding.status == "warning"
    assert f"{away} does not accept spans" in finding.message
    assert "Connection refused" in finding.message
    monkeypatch.delitem(sys.modules, "hashrec.service.telemetry.tracing")
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    finding = diagnosis(store, endpoint=away)
    assert (finding.status, "hashrec[otel]" in finding.message) == ("problem", True)


AWAY = "spans cannot be sent and are dropped; `hashrec doctor` says why"
RETURNED = "spans are sent again"
LOST = "the last spans are lost, the collector does not accept them"


@contextmanager
def serve(store: Store, folder: Path, **environment: str) -> Generator[str]:
    """Run `hashrec serve`, and give its URL; it must end well on SIGTERM."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    process = Command(
        *("serve", "--store", store.path, "--port", port),
        stderr=folder / "log",
        **({"HASHREC_DRAIN_S": "0"} | environment),
    )
    try:
        wait_until(lambda: is_ready(url))
        yield url
    finally:
        process.terminate()
        assert process.wait(60) == 0


def is_ready(url: str) -> bool:
    try:
        return get(f"{url}/readyz").status_code == 200
    except httpx.TransportError:
        return False


def get(url: str) -> httpx.Response:
    return httpx.get(url, timeout=30)


def worker_of(url: str) -> str:
    """Name the worker that answers a new connection: it begins the ids of requests."""
    return get(f"{url}/livez").headers["x-request-id"].partition("-")[0]


def ran(program: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    ).stdout
