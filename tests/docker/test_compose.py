"""The compose stack on a real engine: it comes up, is confined, and outlives its cache."""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from tests.docker.stack import SERVICES, Stack, docker

# Images are built and a model is trained, on whatever machine this is.
pytestmark = [pytest.mark.docker, pytest.mark.timeout(1800)]

USER, OTHER_USER = "1", "2"  # of the built-in catalogue's
LIST_PACKAGES = (
    "import json; from importlib import metadata; "
    "print(json.dumps(sorted({d.name.lower() for d in metadata.distributions()})))"
)


def test_a_stack_from_nothing_recommends(stack: Stack) -> None:
    reply = stack.recommend(USER, k=3)

    assert reply.status_code == 200
    body = reply.json()
    assert body["user_id"] == USER
    assert body["source"] == "personal"
    assert body["count"] == 3
    assert [item["rank"] for item in body["items"]] == [1, 2, 3]
    assert len({item["item_id"] for item in body["items"]}) == 3
    assert body["model_version"] == reply.headers["X-Model-Version"]
    for service in ("redis", "api"):
        assert stack.inspect(service)["State"]["Health"]["Status"] == "healthy"
    assert stack.inspect("trainer")["State"]["ExitCode"] == 0


@pytest.mark.parametrize("service", SERVICES)
def test_a_container_can_do_no_more_than_it_must(stack: Stack, service: str) -> None:
    found = stack.inspect(service)
    host = found["HostConfig"]
    assert host["ReadonlyRootfs"]
    assert host["CapDrop"] == ["ALL"]
    assert "no-new-privileges:true" in host["SecurityOpt"]
    assert not host["Privileged"]

    user, _, group = found["Config"]["User"].partition(":")
    assert int(user) > 0
    assert int(group) > 0

    said = stack.shell(service, "id -u; cat /proc/self/status; touch /probe 2>&1 || true")
    assert said.startswith(f"{user}\n")
    status = dict(line.split(":\t", 1) for line in said.splitlines() if ":\t" in line)
    for kind in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(status[kind], 16) == 0, kind
    assert status["NoNewPrivs"] == "1"
    assert "Read-only file system" in said


def test_only_this_machine_reaches_the_service_and_nothing_reaches_the_rest(stack: Stack) -> None:
    assert _published(stack, "api") == {"127.0.0.1"}
    assert _published(stack, "redis") == set()
    assert stack.inspect("trainer")["HostConfig"]["NetworkMode"] == "none"


def test_the_service_cannot_write_to_the_store(stack: Stack) -> None:
    assert "Read-only file system" in stack.shell("api", "touch /store/probe 2>&1 || true")


@pytest.mark.parametrize("service", ["redis", "api"])
def test_memory_is_limited(stack: Stack, service: str) -> None:
    assert stack.inspect(service)["HostConfig"]["Memory"] > 0


def test_the_service_image_holds_nothing_that_trains(images: str) -> None:
    packages = _packages(f"hashrec-service:{images}")
    assert packages >= {"hashrec", "faiss-cpu", "fastapi", "redis"}
    assert not packages & {"torch", "scipy", "polars", "pyarrow", "pip"}
    found = _python(
        f"hashrec-service:{images}",
        "import importlib.util as u; print(u.find_spec('training'), u.find_spec('torch'))",
    )
    assert found.strip() == "None None"


def test_the_training_image_holds_no_cuda(images: str) -> None:
    packages = _packages(f"hashrec-training:{images}")
    assert packages >= {"hashrec", "torch"}
    assert not [name for name in packages if name.startswith(("nvidia", "cuda", "triton"))]
    built_for = _python(f"hashrec-training:{images}", "import torch; print(torch.version.cuda)")
    assert built_for.strip() == "None"


def test_redis_going_away_and_coming_back_fails_no_request(stack: Stack) -> None:
    with _asking_all_the_time(stack) as seen:
        _wait_until(lambda: _from_redis(seen), "an answer from redis")

        stack.compose("stop", "redis")
        _wait_until(lambda: _degraded(seen[-20:]) == 20, "answers that say that redis is away")
        away_from = len(seen)
        time.sleep(3)
        away_to = len(seen)

        stack.compose("start", "redis")
        _wait_until(lambda: _from_redis(seen[away_to:]), "an answer from redis again")
        _wait_until(lambda: _degraded(seen[-20:]) == 0, "answers with nothing degraded")

    assert {asked.status for asked in seen} == {200}
    assert away_to > away_from
    assert _from_redis(seen[away_from:away_to]) == 0
    slowest = max(asked.seconds for asked in seen)
    print(f"\n{len(seen)} requests, {away_to - away_from} without redis, slowest {slowest:.3f} s")


def test_down_and_up_serves_the_same_version_without_training(stack: Stack) -> None:
    before = stack.recommend(USER)
    began = stack.inspect("trainer")["Created"]

    stack.compose("down")
    print(f"\ndown and up, healthy after {stack.up():.1f} s")

    assert stack.recommend(USER).content == before.content
    assert stack.inspect("trainer")["Created"] > began
    assert f"serves {before.json()['model_version']} already" in stack.logs("trainer")
    assert stack.job("trainer", "versions", "--store", "/store").count("listwise") == 1


def test_an_accepted_event_outlives_down_and_up(stack: Stack) -> None:
    taken = stack.recommend(OTHER_USER).json()["items"][0]["item_id"]
    event = {"user_id": OTHER_USER, "item_id": taken, "type": "click", "event_id": "once"}
    for _ in range(2):  # the second time it is there already
        reply = httpx.post(f"{stack.url}/events", json=event, timeout=30, trust_env=False)
        assert (reply.status_code, reply.json()) == (202, {"accepted": 1, "rejected": []})
    after = stack.recommend(OTHER_USER)
    assert taken not in [item["item_id"] for item in after.json()["items"]]

    stack.compose("down")
    stack.up()

    assert stack.recommend(OTHER_USER).content == after.content


def test_own_data_are_served_and_a_new_version_replaces_them_and_is_rolled_back(
    images: str, tmp_path: Path
) -> None:
    (tmp_path / "interactions.csv").write_text(_two_tastes())
    tmp_path.chmod(0o755)  # the job's user is not this one
    own = Stack(images, HASHREC_DATA_DIR=str(tmp_path), HASHREC_TRAIN_DATA="/data/interactions.csv")
    try:
        print(f"\nown data, healthy after {own.up():.1f} s")
        first = own.recommend("tea-1", k=3).json()
        assert first["source"] == "personal"
        assert {item["item_id"].split("-")[0] for item in first["items"]} == {"tea"}

        data, store = ("--data", "/data/interactions.csv"), ("--store", "/store")
        own.job("trainer", "retrain", *data, *store, "--seed", "1", "--max-drop", "1", "--quiet")
        _wait_until(lambda: _version(own) != first["model_version"], "the new version")

        own.job("trainer", "rollback", *store)
        # Each worker follows by itself; the answer is one worker's.
        _wait_until(lambda: own.recommend("tea-1", k=3).json() == first, "the version before")
    finally:
        own.remove()


@dataclass(frozen=True, slots=True)
class Asked:
    """One request of `_asking_all_the_time`."""

    status: int
    cache: str | None
    degraded: str | None
    seconds: float


def _from_redis(seen: list[Asked]) -> int:
    return sum(asked.cache == "redis" for asked in seen)


def _degraded(seen: list[Asked]) -> int:
    return sum(asked.degraded is not None for asked in seen)


@contextmanager
def _asking_all_the_time(stack: Stack) -> Generator[list[Asked]]:
    """Send one request after the other from a thread; a failed connection counts as status 0.

    Each question is asked eight times over new connections, so that another worker finds in Redis
    what the first one left there.
    """
    seen: list[Asked] = []
    enough = threading.Event()

    def ask() -> None:
        for number in itertools.count():
            if enough.is_set():
                return
            user, k = 1 + number // 8 % 1000, 10 + number // 8000 % 400
            begin = time.monotonic()
            try:
                reply = stack.recommend(str(user), k)
            except httpx.HTTPError:
                seen.append(Asked(0, None, None, time.monotonic() - begin))
                continue
            cache, degraded = reply.headers.get("X-Cache"), reply.headers.get("X-Degraded")
            seen.append(Asked(reply.status_code, cache, degraded, time.monotonic() - begin))

    client = threading.Thread(target=ask)
    client.start()
    try:
        yield seen
    finally:
        enough.set()
        client.join()


def _wait_until(condition: Callable[[], Any], what: str, seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds:.0f} s in vain for {what}"
        time.sleep(0.1)


def _version(stack: Stack) -> str:
    return stack.recommend("tea-1").json()["model_version"]


def _published(stack: Stack, service: str) -> set[str]:
    bindings = stack.inspect(service)["HostConfig"]["PortBindings"] or {}
    return {binding["HostIp"] for bound in bindings.values() for binding in bound}


def _packages(image: str) -> set[str]:
    return set(json.loads(_python(image, LIST_PACKAGES)))


def _python(image: str, code: str) -> str:
    return docker("run", "--rm", "--network", "none", "--entrypoint", "python", image, "-c", code)


def _two_tastes() -> str:
    """Users who like ten of fifteen teas, or ten of fifteen coffees, and nothing else."""
    generator = np.random.default_rng(0)
    lines = [
        f"{taste}-{user},{taste}-{item}"
        for taste in ("tea", "coffee")
        for user in range(30)
        for item in generator.permutation(15)[:10]
    ]
    return "\n".join(["user_id,item_id", *lines, ""])
