"""The compose stack under a name, a port and image tags of its own, beside whatever else runs."""

from __future__ import annotations

import json
import os
import subprocess
import time
import uuid
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.ports import free_port

PROJECT = Path(__file__).resolve().parents[2]
SERVICES = ("redis", "trainer", "api")
BUILT = ("hashrec-service", "hashrec-training")


class Stack:
    """One `docker compose` project.

    Run where a user would type it, in the project's root; COMPOSE_FILE names other files.

    Args:
        tag: tag of the images.
        settings: variables of docker/compose.yaml.
    """

    def __init__(self, tag: str, **settings: str) -> None:
        self.project = f"hashrec-test-{uuid.uuid4().hex[:8]}"
        self.url = f"http://127.0.0.1:{(port := free_port())}"
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("HASHREC_")}
        self._environment = inherited | settings | {"HASHREC_TAG": tag, "HASHREC_PORT": str(port)}

    def compose(self, *arguments: str) -> str:
        """Run a compose command; return its output, or fail the test with what it said."""
        return docker("compose", "-p", self.project, *arguments, cwd=PROJECT, env=self._environment)

    def up(self, *options: str) -> float:
        """Start everything, wait until it is healthy, return the seconds that took."""
        begin = time.monotonic()
        try:
            self.compose("up", "--detach", "--wait", *options)
        except BaseException:
            print(self.logs())
            raise
        return time.monotonic() - begin

    def logs(self, *services: str) -> str:
        return self.compose("logs", "--no-color", *services)

    def inspect(self, service: str) -> dict[str, Any]:
        """Return what the engine knows of a service's container, also when it has ended."""
        container = self.compose("ps", "--all", "--quiet", service).strip()
        return json.loads(docker("inspect", container))[0]

    def shell(self, service: str, script: str) -> str:
        """Run a shell script in a running container, or in a new one of a service that ended."""
        if self.inspect(service)["State"]["Running"]:
            return self.compose("exec", "-T", service, "sh", "-c", script)
        return self.job(service, "-c", script, entrypoint="sh")

    def job(self, service: str, *command: str, entrypoint: str = "hashrec") -> str:
        """Run one command in a new container of a service."""
        return self.compose(
            "run", "--rm", "--no-deps", "-T", "--entrypoint", entrypoint, service, *command
        )

    def recommend(self, user_id: str, k: int = 10) -> httpx.Response:
        """Ask over a new connection: any of the worker processes may answer."""
        return httpx.get(
            f"{self.url}/recommend/{user_id}", params={"k": k}, timeout=30, trust_env=False
        )

    def remove(self) -> None:
        self.compose("down", "--volumes", "--remove-orphans", "--timeout", "20")


def docker(*arguments: str, **options: Any) -> str:
    """Run a docker command; return its output, or fail the test with what it said."""
    done = subprocess.run(
        ["docker", *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        **options,
    )
    if done.returncode:
        pytest.fail(f"docker {' '.join(arguments)}:\n{done.stdout}{done.stderr}"[-8000:])
    return done.stdout
