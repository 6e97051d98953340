"""The load generator counts what the service counts."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import httpx
import pytest
from click.testing import Result
from typer.testing import CliRunner

from hashrec.index.artifacts.store import Store
from hashrec.index.errors import ConfigError
from hashrec.service.access.keys import new_key
from hashrec.service.cli import app
from hashrec.service.errors import FailedRequestsError, ServiceAwayError
from hashrec.service.load import WARM_UP_REQUESTS, LoadReport, load
from tests.index.small_models import model_of, write
from tests.service.serving import metric, serving, settings


@pytest.fixture
def store(tmp_path: Path) -> Path:
    write(tmp_path / "run", model_of(20, 30, 32, seed=4))
    Store(tmp_path / "store").publish(tmp_path / "run")
    return tmp_path / "store"


def bench(client: httpx.Client, *arguments: str) -> Result:
    """Run `hashrec bench` on a service for a moment."""
    return CliRunner().invoke(
        app, ["bench", "--url", str(client.base_url), "--seconds", "0.2", *arguments]
    )


def test_every_request_is_one_that_the_service_saw(store: Path, tmp_path: Path) -> None:
    (tmp_path / "users").write_text("u1\nu2\nno/such user\n")
    with serving(settings(store)) as client:
        done = CliRunner().invoke(
            app,
            [
                "bench", "--url", str(client.base_url), "--users", str(tmp_path / "users"),
                "--connections", "3", "--seconds", "0.3", "--json",
            ],
            catch_exceptions=False,
        )  # fmt: skip
        report = json.loads(done.stdout)
        seen = sum(
            metric(
                client, "http_request_duration_seconds_count", method="GET", status=status,
                route="/recommend/{user_id}",
            )
            for status in ("200",)
        )  # fmt: skip
    assert report["statuses"] == {"200": report["requests"]}
    assert seen == report["requests"] + min(3, WARM_UP_REQUESTS)
    assert report["requests"] >= 3
    latency = report["latency_ms"]
    assert 0 < latency["p50"] <= latency["p99"] <= latency["max"]


def test_replies_that_are_errors_are_counted_as_such(store: Path) -> None:
    with serving(settings(store)) as client:
        url = str(client.base_url)
        report = load(url, "/recommend/{user}?k=0", ["u1"], connections=1, seconds=0.1)
    assert report.statuses == {"422": report.requests}


@pytest.mark.parametrize("by", ["option", "environment"])
def test_a_key_opens_a_service_that_needs_one(
    store: Path, by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, entry = new_key("bench", "read")
    given = ["--key", key]
    if by == "environment":
        given = []
        monkeypatch.setenv("HASHREC_KEY", key)
    with serving(settings(store, keys={"entries": entry.entry()})) as client:
        report = json.loads(bench(client, "--json", *given).stdout)
    assert report["statuses"] == {"200": report["requests"]}


def test_without_its_key_the_command_fails_and_names_the_statuses(store: Path) -> None:
    _, entry = new_key("bench", "read")
    with serving(settings(store, keys={"entries": entry.entry()})) as client:
        done = bench(client, "--json")
    n_requests = json.loads(done.stdout)["requests"]
    assert done.exit_code == 1
    assert str(done.exception) == (
        f"{n_requests:,} of {n_requests:,} replies are not 2xx ({n_requests:,} x 401); "
        "pass a key with --key or HASHREC_KEY"
    )


def test_one_failed_request_among_many_is_a_failure() -> None:
    report = LoadReport(9, 1.0, 9.0, 1, {"200": 7, "422": 1, "503": 1}, {})
    with pytest.raises(FailedRequestsError, match=r"^2 of 9 replies .* \(1 x 422, 1 x 503\)"):
        report.require_success()
    LoadReport(9, 1.0, 9.0, 1, {"200": 8, "204": 1}, {}).require_success()


@pytest.mark.parametrize("key", ["two\r\nX-Other: lines", "schlüssel"])
def test_a_key_that_is_no_header_value_is_refused(key: str) -> None:
    with pytest.raises(ConfigError, match="check --key"):
        load("http://127.0.0.1:1", "/", ["u"], connections=1, seconds=0.1, key=key)


def test_a_service_that_is_away_is_told_in_one_line() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}"
    with pytest.raises(ServiceAwayError, match="start `hashrec serve`"):
        load(url, "/", ["u"], connections=1, seconds=0.1)
    with pytest.raises(ConfigError, match="write http://HOST:PORT"):
        load("https://127.0.0.1", "/", ["u"], connections=1, seconds=0.1)
