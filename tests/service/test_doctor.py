"""The doctor finds what is wrong with real parts, and nothing where all is well."""

from __future__ import annotations

import http.server
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from typer.testing import CliRunner

from hashrec.index.artifacts import durable
from hashrec.index.artifacts.store import Store
from hashrec.index.live.journal import Event, ItemChange, SqliteJournal, journal_beside
from hashrec.service.cli import app
from hashrec.service.doctor import CHECKS
from hashrec.service.doctor.finding import Deployment, Finding, without_password
from hashrec.service.doctor.machine_check import available_memory, compare
from hashrec.service.settings import Settings, settings_by_variable
from tests.index.small_models import model_of, write
from tests.ports import free_port
from tests.service.serving import RedisServer, serving, settings, wait_until


@pytest.fixture
def store(tmp_path: Path) -> Path:
    write(tmp_path / "run", model_of(20, 30, 32, seed=4))
    Store(tmp_path / "store").publish(tmp_path / "run")
    return tmp_path / "store"


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path)
    yield server
    server.kill()


def found(check: str, of: Settings, url: str | None = None) -> list[Finding]:
    return list(CHECKS[check](Deployment(of, url)))


def only(findings: list[Finding]) -> tuple[str, str]:
    """The one finding: its status, and all it says."""
    (finding,) = findings
    return finding.status, f"{finding.message} -> {finding.advice}"


def bad(findings: list[Finding]) -> list[tuple[str, str]]:
    return [(f.status, f"{f.message} -> {f.advice}") for f in findings if f.status != "ok"]


def doctor(*arguments: object, **environment: str) -> tuple[int, dict[str, Any]]:
    done = CliRunner().invoke(
        app, ["doctor", *map(str, arguments), "--json"], env=environment, catch_exceptions=False
    )
    return done.exit_code, json.loads(done.stdout)


def test_a_healthy_deployment_has_no_problem(store: Path) -> None:
    code, report = doctor("--store", store, HASHREC_PORT=str(free_port()))
    assert code == 0, report
    assert report["ok"]
    by_check = {finding["check"]: finding for finding in report["findings"]}
    assert {"store", "disk", "memory", "journal", "redis", "service", "keys"} <= by_check.keys()
    assert Store(store).current() in by_check["store"]["message"]
    assert not journal_beside(store).exists(), "it only looks"


def test_every_setting_is_listed_with_where_it_is_from_and_no_secret(
    store: Path, tmp_path: Path
) -> None:
    secret = tmp_path / "redis-url"
    secret.write_text("redis://user:sesame@127.0.0.1:1/0")
    _, report = doctor(
        "--store", store, HASHREC_PORT=str(free_port()), HASHREC_REDIS__URL_FILE=str(secret),
        HASHREC_KEYS__ENTRIES="nobody", HASHREC_CACHE__JITTER="0.5",
    )  # fmt: skip
    listed = {line["name"]: (line["value"], line["origin"]) for line in report["settings"]}
    assert listed.keys() == settings_by_variable(Settings).keys()
    assert listed["HASHREC_STORE"] == (str(store), "flag")
    assert listed["HASHREC_CACHE__JITTER"] == (0.5, "environment")
    assert listed["HASHREC_REDIS__URL"] == ("redis://user:***@127.0.0.1:1/0", "file")
    assert listed["HASHREC_KEYS__ENTRIES"] == ("***", "environment")
    assert listed["HASHREC_DRAIN_S"] == (1.0, "default")
    assert "sesame" not in json.dumps(report)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://cache:6379/0", "redis://cache:6379/0"),
        ("redis://:sesame@cache/0", "redis://:***@cache/0"),
        ("redis://user:s@same@cache", "redis://user:***@cache"),
        ("redis://cache/0?password=sesame", "redis://cache/0?***"),
        ("https://token@host/x", "https://***@host/x"),
        ("http://[sesame", "***"),
    ],
)
def test_passwords_in_urls_are_hidden(url: str, shown: str) -> None:
    assert without_password(url) == shown


def test_a_report_for_people_says_what_to_do(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["doctor", "--store", str(tmp_path / "none")])
    assert done.exit_code == 1
    assert "PROBLEM  store:" in done.stdout
    assert "-> pass --store FOLDER" in done.stdout
    assert "HASHREC_STORE" in done.stdout


def test_an_empty_store_and_one_that_is_not_there_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    status, says = only(found("store", settings(tmp_path / "empty")))
    assert status == "problem"
    assert "no published version -> run `hashrec publish RUN" in says
    assert "no such folder" in only(found("store", settings(tmp_path / "none")))[1]


def test_a_damaged_version_is_found_by_its_checksum(store: Path) -> None:
    file = next((store / "versions").glob("*/item_codes.npy"))
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    ((status, says),) = bad(found("store", settings(store)))
    assert status == "problem"
    assert "item_codes.npy does not match its SHA-256" in says
    assert "hashrec rollback" in says


def test_a_version_from_the_future_tells_of_a_clock(tmp_path: Path) -> None:
    write(tmp_path / "run", model_of(5, 5, 8, seed=1), day=100_000)
    Store(tmp_path / "store").publish(tmp_path / "run")
    ((status, says),) = bad(found("store", settings(tmp_path / "store")))
    assert status == "warning"
    assert "minutes in the future -> correct the clock" in says


def test_a_full_disk_is_a_problem_before_the_next_publication(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = type("usage", (), {"total": 10**12, "free": 1_000})
    monkeypatch.setattr("shutil.disk_usage", lambda _path: usage)
    statuses = {f.status for check in ("store", "journal") for f in found(check, settings(store))}
    assert "problem" in statuses
    usage.free = 4 * 10**9  # type: ignore[attr-defined]
    assert ("warning", True) in [
        (status, "free disk space before" in says)
        for status, says in bad(found("store", settings(store)))
    ]


def test_memory_is_held_against_what_the_workers_need(store: Path) -> None:
    assert not bad(found("memory", settings(store)))
    greedy = settings(store, workers=256, cache={"local_bytes": 10**12})
    ((status, says),) = bad(found("memory", greedy))
    assert status == "problem"
    assert "fewer workers" in says


def test_the_limit_of_a_container_counts(tmp_path: Path) -> None:
    machine, whose = available_memory(tmp_path)
    assert machine > 0
    assert whose == "available on this machine"
    (tmp_path / "memory.max").write_text("300000000\n")
    (tmp_path / "memory.current").write_text("250000000\n")
    (tmp_path / "memory.stat").write_text("anon 200000000\ninactive_file 40000000\n")
    assert available_memory(tmp_path) == (90_000_000, "left of this container's 300 MB")
    (tmp_path / "memory.max").write_text("max\n")
    assert available_memory(tmp_path)[1] == "available on this machine"


def test_more_workers_than_processors_are_too_many(store: Path) -> None:
    n_cpus = len(os.sched_getaffinity(0))
    assert not bad(found("processors", settings(store, workers=n_cpus)))
    ((status, says),) = bad(found("processors", settings(store, workers=n_cpus + 1)))
    assert status == "warning"
    assert f"HASHREC_WORKERS={n_cpus}" in says


def test_installed_libraries_are_held_against_the_ranges() -> None:
    installed = metadata.version("redis")
    wanted = ["redis<1", "no-such-library>=2", "absent>=1; extra == 'training'", "orjson>=3"]
    findings = list(compare([Requirement(text) for text in wanted], "hashrec"))
    assert bad(findings) == [
        ("problem", f"redis {installed} is installed, not <1 -> pip install 'redis<1'"),
        ("problem", "no-such-library is not installed -> pip install 'no-such-library>=2'"),
    ]
    assert findings[-1].message == "hashrec, 1 libraries in the required versions"


def test_a_journal_is_read_through_and_says_what_is_waiting(store: Path) -> None:
    path = journal_beside(store)
    with closing(SqliteJournal(path)) as journal:
        journal.append([Event("u", "i", "click", 0.0, "e"), ItemChange("i", None, hidden=True)])
    status, says = only(found("journal", settings(store)))
    assert status == "ok"
    assert "2 entries, 1 events newer than the served model" in says


def test_a_damaged_journal_is_a_problem(store: Path) -> None:
    path = journal_beside(store)
    with closing(SqliteJournal(path)) as journal:
        journal.append([Event("u", "i" * 500, "click", 0.0, f"e{n}") for n in range(200)])
    content = bytearray(path.read_bytes())
    assert len(content) > 20_000, "checkpointed when it was closed"
    content[8192:20_000] = bytes(11_808)
    path.write_bytes(content)
    ((status, says),) = bad(found("journal", settings(store)))
    assert status == "problem"
    assert "restore the last intact copy" in says


def test_a_database_of_another_program_is_no_journal(store: Path) -> None:
    path = journal_beside(store)
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE t (x)")
    ((status, says),) = bad(found("journal", settings(store)))
    assert status == "problem"
    assert "another program" in says


def test_a_journal_that_cannot_be_written_is_a_problem_where_it_was_asked_for(store: Path) -> None:
    if os.geteuid() == 0:
        where = "sqlite:/proc/journal.sqlite"  # where not even root can write
    else:
        store.chmod(0o500)
        where = f"sqlite:{store / 'journal.sqlite'}"
    ((status, says), *_) = bad(found("journal", settings(store, events={"url": where})))
    assert status == "problem"
    assert "cannot be written: POST /events answers 503" in says


def test_a_cache_that_is_away_is_a_warning_for_the_service_works_without(
    store: Path, redis: RedisServer
) -> None:
    status, says = only(found("redis", settings(store, redis={"url": redis.url})))
    assert status == "warning"
    assert "works without it" in says


def test_a_cache_should_have_a_limit_and_a_policy(store: Path, redis: RedisServer) -> None:
    of = settings(store, redis={"url": redis.url, "timeout_ms": 10_000})
    redis.start()
    assert "its memory has no limit" in only(bad_findings(found("redis", of)))[1]
    redis.command("CONFIG", "SET", "maxmemory", "100mb")
    assert "(noeviction)" in only(bad_findings(found("redis", of)))[1]
    redis.command("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    findings = found("redis", of)
    assert not bad(findings)
    assert "at most 105 MB, then allkeys-lru" in findings[-1].message


def bad_findings(findings: list[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.status != "ok"]


def test_a_journal_in_redis_must_be_durable_and_never_evicted(
    store: Path, redis: RedisServer
) -> None:
    of = settings(store, events={"url": redis.url})
    assert only(bad_findings(found("redis", of)))[0] == "problem"
    redis.start()
    assert "no append-only file" in only(bad_findings(found("redis", of)))[1]
    redis.command("CONFIG", "SET", "appendonly", "yes")
    status, says = only(bad_findings(found("redis", of)))
    assert (status, "appendfsync everysec" in says) == ("warning", True)
    redis.command("CONFIG", "SET", "appendfsync", "always")
    assert not bad(found("redis", of))
    redis.command("CONFIG", "SET", "maxmemory", "100mb")
    redis.command("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    status, says = only(bad_findings(found("redis", of)))
    assert (status, "may evict the journal" in says) == ("problem", True)


def test_a_wrong_password_is_told_without_the_right_one(store: Path, redis: RedisServer) -> None:
    redis.start()
    redis.command("CONFIG", "SET", "requirepass", "sesame")
    url = redis.url.replace("redis://", "redis://:wrong-one@")
    status, says = only(found("redis", settings(store, redis={"url": url})))
    assert status == "warning"
    assert "wrong-one" not in says


def test_keys_are_read_as_the_service_reads_them(store: Path, tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text("no entry\n")
    status, says = only(found("keys", settings(store, keys={"file": file})))
    assert (status, str(file) in says) == ("problem", True)
    assert only(found("keys", settings(store)))[0] == "ok"
    status, says = only(found("keys", settings(store, host="0.0.0.0")))
    assert (status, "hashrec keys new" in says) == ("warning", True)


def test_a_running_service_tells_its_version(store: Path) -> None:
    with serving(settings(store)) as client:
        url = str(client.base_url)
        status, says = only(found("service", settings(store), url))
        assert status == "ok"
        assert Store(store).current() in says
        other = store.parent / "other"
        write(other / "run", model_of(5, 5, 8, seed=1))
        Store(other / "store").publish(other / "run")
        ((status, says),) = bad(found("service", settings(other / "store"), url))
        assert (status, "the service has another store" in says) == ("warning", True)


def test_a_service_without_a_model_is_not_ready(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    of = settings(tmp_path / "store")
    with serving(of) as client:
        status, says = only(found("service", of, str(client.base_url)))
    assert status == "problem"
    assert "nothing is published" in says


def test_a_refused_version_is_a_problem(store: Path) -> None:
    of = settings(store)
    write(store.parent / "run", model_of(20, 30, 32, seed=5), day=1)
    version = Store(store.parent / "other").publish(store.parent / "run")
    broken = store / "versions" / version
    shutil.copytree(store.parent / "other" / "versions" / version, broken)
    (broken / "popularity.npy").write_bytes(b"")
    with serving(of) as client:
        durable.write_bytes(store / "CURRENT", json.dumps({"current": version}).encode())
        wait_until(lambda: client.get("/readyz?verbose").json()["refused"])
        ((status, says),) = bad(found("service", of, str(client.base_url)))
    assert status == "problem"
    assert f"refused {version}" in says
    assert "popularity.npy" in says


@contextmanager
def another_program() -> Iterator[int]:
    with http.server.HTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler) as server:
        server.RequestHandlerClass.log_message = lambda *_: None  # type: ignore[method-assign]
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


def test_the_port_is_free_or_taken_by_another_program(store: Path) -> None:
    port = free_port()
    status, says = only(found("service", settings(store, port=port)))
    assert (status, f"127.0.0.1:{port} is free" in says) == ("ok", True)
    with another_program() as taken:
        status, says = only(found("service", settings(store, port=taken)))
    assert (status, "another program answers" in says) == ("problem", True)


def test_a_service_that_is_not_there_is_a_problem_where_it_was_named(store: Path) -> None:
    status, says = only(found("service", settings(store), f"http://127.0.0.1:{free_port()}"))
    assert (status, "start `hashrec serve`" in says) == ("problem", True)
    assert only(found("service", settings(store), "127.0.0.1:8000"))[0] == "problem"


def test_settings_that_are_not_valid_end_it_as_they_end_the_service(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "hashrec", "doctor", "--store", str(tmp_path)],
        env=os.environ | {"HASHREC_PROT": "1"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr == "error: HASHREC_PROT: no such setting; did you mean HASHREC_PORT?\n"
