"""Who may ask for what: every route of the OpenAPI document, with every kind of key."""

from __future__ import annotations

import hashlib
from collections.abc import Generator
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from hashrec.index.artifacts.store import Store
from hashrec.index.errors import ConfigError
from hashrec.service.access.gate import OPEN_PATHS
from hashrec.service.access.keys import ApiKey, Keyring, new_key, presented_key
from hashrec.service.app import create_app
from hashrec.service.settings import KeySettings, Settings
from tests.commands import hashrec
from tests.service.serving import serving, settings, wait_until

READ, READ_ENTRY = new_key("shop", "read")
ADMIN, ADMIN_ENTRY = new_key("ops", "admin")
STRANGE, _ = new_key("stranger", "admin")
ENTRIES = f"{READ_ENTRY.entry()} {ADMIN_ENTRY.entry()}"
# Refused for their key, requests are refused before anything else about them is looked at.
ALLOWED = {200, 202, 204, 304, 400, 404, 409, 412, 415, 422, 428, 503}


def operations() -> list[tuple[str, str, dict[str, Any]]]:
    document = create_app(Settings(store=Path("unused"))).openapi()
    return [
        (method.upper(), path, operation)
        for path, item in document["paths"].items()
        for method, operation in item.items()
    ]


OPERATIONS = operations()


def scope_of(operation: dict[str, Any]) -> str | None:
    """Return the scope that the document says an operation needs."""
    demands = {
        tuple(roles) for scheme in operation.get("security", ()) for roles in scheme.values()
    }
    if not demands:
        return None
    (roles,) = demands  # either header will do, and both need the same
    return "admin" if "admin" in roles else "read"


@pytest.fixture(scope="module")
def guarded(
    tmp_path_factory: pytest.TempPathFactory, artifacts: list[Path]
) -> Generator[httpx.Client]:
    """A client of a service with a read key and an admin key."""
    store = Store(tmp_path_factory.mktemp("guarded") / "store")
    store.publish(artifacts[0])
    with serving(settings(store.path, keys={"entries": ENTRIES})) as client:
        yield client


def ask(client: httpx.Client, method: str, path: str, key: str | None) -> httpx.Response:
    for part in ("{user_id}", "{item_id}", "{version}"):
        path = path.replace(part, "20261123T060000Z-000000" if part == "{version}" else "u1")
    headers = {} if key is None else {"x-api-key": key}
    body = {"json": {}} if method in ("POST", "PUT", "PATCH") else {}
    return client.request(method, path, headers=headers, **body)


@pytest.mark.parametrize(
    ("method", "path", "operation"), OPERATIONS, ids=[f"{m} {p}" for m, p, _ in OPERATIONS]
)
def test_every_route_takes_the_keys_it_says_it_takes(
    guarded: httpx.Client, method: str, path: str, operation: dict[str, Any]
):
    needed = scope_of(operation)
    for prefix in ("", "/v1"):
        answers = {
            name: ask(guarded, method, prefix + path, key)
            for name, key in (("no", None), ("wrong", STRANGE), ("read", READ), ("admin", ADMIN))
        }
        statuses = {name: answer.status_code for name, answer in answers.items()}
        if needed is None:
            assert path in OPEN_PATHS
            assert set(statuses.values()) <= {200, 503}
            continue
        assert (statuses["no"], statuses["wrong"]) == (401, 401)
        assert answers["no"].headers["www-authenticate"] == 'Bearer realm="hashrec"'
        assert 'error="invalid_token"' in answers["wrong"].headers["www-authenticate"]
        assert "401" in operation["responses"]
        assert statuses["admin"] in ALLOWED
        if needed == "read":
            assert statuses["read"] in ALLOWED
        else:
            assert statuses["read"] == 403
            assert 'error="insufficient_scope"' in answers["read"].headers["www-authenticate"]
            assert "403" in operation["responses"]


def test_without_keys_admin_routes_are_off(client: httpx.Client):
    for method, path, operation in OPERATIONS:
        if scope_of(operation) == "admin":
            refused = ask(client, method, path, ADMIN)
            assert refused.status_code == 403
            assert refused.json()["type"] == "urn:hashrec:admin-off"


def test_changes_need_the_scope_admin():
    """All but the questions that are asked with a body, and events."""
    asked = {"/recommend", "/recommend/batch", "/events"}
    for method, path, operation in OPERATIONS:
        if method != "GET" and path not in asked:
            assert scope_of(operation) == "admin", (method, path)


def test_a_path_that_does_not_exist_needs_a_key_too(guarded: httpx.Client):
    assert guarded.get("/nothing").status_code == 401
    assert guarded.get("/nothing", headers={"x-api-key": READ}).status_code == 404


def test_a_key_may_come_as_a_bearer_token(guarded: httpx.Client):
    for value in (f"Bearer {READ}", f"bearer  {READ}"):
        assert guarded.get("/recommend/u1", headers={"authorization": value}).status_code == 200
    for value in (READ, f"Basic {READ}", "Bearer", "Bearer x", ""):
        assert guarded.get("/recommend/u1", headers={"authorization": value}).status_code == 401


def test_of_two_headers_the_api_key_counts(guarded: httpx.Client):
    headers = {"x-api-key": STRANGE, "authorization": f"Bearer {READ}"}
    assert guarded.get("/popular", headers=headers).status_code == 401


def test_the_hash_of_a_key_is_no_key(guarded: httpx.Client):
    for value in (READ_ENTRY.digest.hex(), READ_ENTRY.entry(), READ[:-1], READ + "a", ""):
        assert guarded.get("/popular", headers={"x-api-key": value}).status_code == 401


def test_a_body_is_not_read_for_whom_is_not_known(guarded: httpx.Client):
    reply = guarded.post("/recommend/batch", content=b"{", headers={"x-api-key": STRANGE})
    assert reply.status_code == 401
    reply = guarded.post("/recommend/batch", content=b"x" * 2_000_000)
    assert reply.status_code == 401


def test_both_paths_refuse_the_same(shared_store: Store):
    configured = settings(shared_store.path, keys={"entries": ENTRIES})
    with serving(configured) as quick, serving(configured, fast_path=False) as plain:
        for key in (STRANGE, READ):
            headers = {"x-api-key": key, "x-request-id": "same"}
            answers = [c.get("/recommend/u1", headers=headers) for c in (quick, plain)]
            fast, slow = ((answer.status_code, answer.content) for answer in answers)
            assert fast == slow


def test_keys_are_nowhere_to_be_seen(
    shared_store: Store, capfd: pytest.CaptureFixture[str], tmp_path: Path
):
    configured = settings(
        shared_store.path, keys={"entries": ENTRIES}, log_requests="all", log_level="debug"
    )
    seen = ""
    with serving(configured) as client:
        for key in (READ, ADMIN, STRANGE):
            for headers in ({"x-api-key": key}, {"authorization": f"Bearer {key}"}):
                for path in ("/recommend/u1", "/recommend/u1?k=0", "/nothing", "/readyz?verbose"):
                    answer = client.get(path, headers=headers)
                    seen += answer.text + repr(answer.headers)
                refused = client.post("/recommend/batch", content=b"{", headers=headers)
                seen += refused.text
        seen += client.get("/metrics", headers={"x-api-key": READ}).text
    seen += repr(configured) + capfd.readouterr().err
    assert '"event":"request"' in seen
    for key in (READ, ADMIN, STRANGE):
        assert key not in seen
        assert key.removeprefix("hashrec_") not in seen


def test_a_key_is_added_and_revoked_without_a_restart(
    shared_store: Store, tmp_path: Path, capfd: pytest.CaptureFixture[str]
):
    file = tmp_path / "keys"

    def write(*keys: ApiKey, more: str = "") -> None:
        replacement = tmp_path / "replacement"
        replacement.write_text("# who\n\n" + "".join(f"{k.entry()}\n" for k in keys) + more)
        replacement.rename(file)

    write(READ_ENTRY)
    with serving(settings(shared_store.path, keys={"file": file})) as client:

        def status(key: str) -> int:
            return client.get("/recommend/u1", headers={"x-api-key": key}).status_code

        assert (status(READ), status(ADMIN)) == (200, 401)
        write(ADMIN_ENTRY)
        wait_until(lambda: status(READ) == 401)
        assert status(ADMIN) == 200
        write(more=f"shop:read:{READ}\n")  # the key itself, where its hash should be
        logged = ""

        def told() -> bool:
            nonlocal logged
            logged += capfd.readouterr().err
            return "stay in force" in logged

        wait_until(told)
        assert status(ADMIN) == 200
        assert READ not in logged


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ("shop", "entry 1 is not name:scope:sha256"),
        (f"a b:read:{'0' * 64}", "entry 1 is not"),
        (f"-:read:{'0' * 64}", "has a name"),
        (f"shop:write:{'0' * 64}", "has a scope that is not read or admin"),
        pytest.param(f"shop:read:{READ}", "has a hash that is not 64", id="a key"),
        pytest.param(
            f"{READ_ENTRY.entry()} shop:admin:{'0' * 64}",
            "entry 2 repeats the name or the key",
            id="same name",
        ),
        pytest.param(
            f"{READ_ENTRY.entry()} {READ_ENTRY.entry().replace('shop', 'other')}",
            "entry 2 repeats",
            id="same key",
        ),
        (" ", "there is no entry"),
    ],
)
def test_an_entry_that_is_none_stops_the_start_and_is_not_repeated(entries: str, said: str):
    with pytest.raises(ConfigError, match=said) as caught:
        Keyring.load(KeySettings(entries=entries))
    assert READ not in str(caught.value)


def test_a_file_that_is_not_there_or_empty_stops_the_start(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"HASHREC_KEYS__FILE: .*/none cannot be read"):
        Keyring.load(KeySettings(file=tmp_path / "none"))
    (tmp_path / "empty").write_text("# nobody\n")
    with pytest.raises(ConfigError, match="there is no entry"):
        Keyring.load(KeySettings(file=tmp_path / "empty"))


def test_a_key_is_found_by_itself_alone():
    ring = Keyring([READ_ENTRY, ADMIN_ENTRY])
    assert ring.find(READ.encode()) == READ_ENTRY
    assert ring.find(ADMIN.encode()) == ADMIN_ENTRY
    assert ring.find(STRANGE.encode()) is None
    assert ring.find(b"\xff") is None
    assert presented_key([(b"accept", b"*/*")]) is None


def test_an_entry_is_read_as_it_was_written():
    assert ApiKey.parse(READ_ENTRY.entry()) == READ_ENTRY
    assert READ_ENTRY.digest == hashlib.sha256(READ.encode()).digest()


def test_the_command_prints_a_key_once_and_its_line():
    made = hashrec("keys", "new", "shop")
    (line,) = made.stdout.splitlines()
    key = made.stderr.split()[-1]
    assert made.returncode == 0
    assert ApiKey.parse(line) == ApiKey("shop", "read", hashlib.sha256(key.encode()).digest())
    made = orjson.loads(hashrec("keys", "new", "ops", "--scope", "admin", "--json").stdout)
    assert Keyring.load(KeySettings(entries=made["entry"])).find(made["key"].encode()) == (
        ApiKey.parse(made["entry"])
    )
    assert hashrec("keys", "new", "a b").returncode == 1
    assert hashrec("keys", "new", "a", "--scope", "write").returncode == 2
