"""An engine, the built images, and a running stack; absent ones skip the tests by name."""

from __future__ import annotations

import os
import subprocess
import time
import uuid
from collections.abc import Generator

import pytest

from tests.docker.stack import BUILT, Stack, docker

BASE_IMAGES = ("python:3.11-slim", "redis:7-alpine")


@pytest.fixture(scope="session")
def engine() -> None:
    """Require a Docker engine with Compose, and the images that ours are built from."""
    if not _works("info"):
        _absent("no Docker engine answers")
    if not _works("compose", "version"):
        _absent("this Docker has no Compose plugin")
    for image in BASE_IMAGES:
        if not _works("image", "inspect", image) and not _works("pull", "--quiet", image):
            _absent(f"the image {image} is not here and cannot be pulled")


@pytest.fixture(scope="session")
def images(engine: None) -> Generator[str]:
    """Build both images; return their tag."""
    stack = Stack(tag := f"test-{uuid.uuid4().hex[:8]}")
    begin = time.monotonic()
    stack.compose("build")
    print(f"\nbuilt in {time.monotonic() - begin:.1f} s")
    for name in BUILT:
        size = int(docker("image", "inspect", "--format", "{{.Size}}", f"{name}:{tag}"))
        print(f"{name}: {size / 1e6:,.0f} MB")
    yield tag
    docker("image", "rm", *(f"{name}:{tag}" for name in BUILT))


@pytest.fixture(scope="session")
def stack(images: str) -> Generator[Stack]:
    """The stack as it comes up from nothing, with the defaults."""
    stack = Stack(images)
    try:
        print(f"\nup from nothing, healthy after {stack.up('--build'):.1f} s")
        yield stack
    finally:
        stack.remove()


def _works(*command: str) -> bool:
    try:
        done = subprocess.run(["docker", *command], capture_output=True, check=False)
    except FileNotFoundError:
        return False
    return done.returncode == 0


def _absent(reason: str) -> None:
    if os.environ.get("TEST_REQUIRE_DOCKER") == "1":
        pytest.fail(reason)
    pytest.skip(reason)
