"""A published model, the service over it, and a Redis server."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import httpx
import pytest

from hashrec.index.artifacts.store import Store
from hashrec.index.ranking.recommender import Recommender
from tests.index.small_models import model_of, write
from tests.service.serving import RedisServer, serving, settings


@pytest.fixture(scope="session")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three artifacts that answer the same users with different lists."""
    folder = tmp_path_factory.mktemp("artifacts")
    for day in range(3):
        write(folder / str(day), model_of(60, 40, 32, seed=day + 1), day=day)
    return [folder / str(day) for day in range(3)]


@pytest.fixture
def store(tmp_path: Path, artifacts: list[Path]) -> Store:
    """A store that serves the first artifact."""
    store = Store(tmp_path / "store")
    store.publish(artifacts[0])
    return store


@pytest.fixture(scope="module")
def shared_store(tmp_path_factory: pytest.TempPathFactory, artifacts: list[Path]) -> Store:
    """A store for tests that change nothing in it."""
    store = Store(tmp_path_factory.mktemp("shared") / "store")
    store.publish(artifacts[0])
    return store


@pytest.fixture(scope="module")
def recommender(shared_store: Store) -> Recommender:
    """The recommender that the service's answers must agree with."""
    return Recommender(shared_store.open())


@pytest.fixture(scope="module")
def client(shared_store: Store) -> Generator[httpx.Client]:
    """A client of a service without Redis."""
    with serving(settings(shared_store.path)) as client:
        yield client


@pytest.fixture
def redis_server(tmp_path: Path) -> Generator[RedisServer]:
    """A running Redis server."""
    server = RedisServer(tmp_path).start()
    yield server
    server.kill()
