"""Check of the running service and its version, or that its port is free."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from typing import Any, cast
from urllib.error import HTTPError
from urllib.request import urlopen

from hashrec.index.artifacts.store import Store
from hashrec.index.errors import ArtifactError, ConfigError
from hashrec.service.doctor.finding import Deployment, Finding, clock_skew, without_password
from hashrec.service.server import listen

CHECK = "service"
TIMEOUT_S = 5.0
MAX_BYTES = 1_000_000
MAX_SKEW_S = 5.0  # `Date` has whole seconds


def check_service(deployment: Deployment) -> Iterator[Finding]:
    """Ask the program that answers at the address of the service for its state."""
    settings = deployment.settings
    named = deployment.url is not None
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(settings.host, settings.host)  # noqa: S104
    url = (deployment.url or f"http://{host}:{settings.port}").rstrip("/")
    shown = without_password(url)
    if not url.startswith(("http://", "https://")):
        yield Finding(
            CHECK, "problem", f"{shown} is not an HTTP URL", "write --url http://HOST:PORT"
        )
        return
    if not named and settings.port == 0:
        yield Finding(CHECK, "ok", "the service takes a free port when it starts")
        return
    try:
        status, reply, date = _ask(f"{url}/readyz?verbose")
    except ValueError:
        yield _another_program(shown)
    except OSError as error:
        if named:
            yield Finding(
                CHECK, "problem", f"{shown}: {getattr(error, 'reason', error)}",
                "start `hashrec serve`, or correct the URL",
            )  # fmt: skip
        else:
            yield _port(settings.host, settings.port)
    else:
        yield from _of_reply(deployment, shown, status, reply, date)


def _ask(url: str) -> tuple[int, dict[str, Any], str | None]:
    """Return status, body and date of a reply.

    Raises:
        OSError: no program answers.
        ValueError: the reply is not of this service.
    """
    try:
        with urlopen(url, timeout=TIMEOUT_S) as response:  # noqa: S310  http, checked before
            status, headers, body = response.status, response.headers, response.read(MAX_BYTES)
    except HTTPError as error:
        with error:
            status, headers, body = error.code, error.headers, error.read(MAX_BYTES)
    reply: Any = json.loads(body)
    if not isinstance(reply, dict) or "status" not in reply:
        raise ValueError("not a reply of this service")
    return status, cast("dict[str, Any]", reply), headers.get("Date")


def _of_reply(
    deployment: Deployment, shown: str, status: int, reply: dict[str, Any], date: str | None
) -> Iterator[Finding]:
    model: dict[str, Any] = reply.get("model") or {}
    version = model.get("version")
    if status == 503:
        yield Finding(
            CHECK, "problem", f"{shown} answers, but is not ready: {reply.get('detail', '')}",
            "publish a model, or see the log of the service",
        )  # fmt: skip
        return
    if status != 200 or version is None:
        yield _another_program(shown)
        return
    refused = reply.get("refused")
    if refused is not None:
        yield Finding(
            CHECK,
            "problem",
            f"{shown} serves {version}, and refused {refused['version']}: {refused['reason']}",
            "publish it again, or `hashrec rollback`",
        )
    elif reply["status"] == "degraded":
        yield Finding(
            CHECK,
            "warning",
            f"{shown} serves {version}, degraded: {_away(reply)}",
            "see the findings about Redis and the journal",
        )
    else:
        yield Finding(CHECK, "ok", f"{shown} serves {version}")
    try:
        current = Store(deployment.store).current()
    except (ArtifactError, OSError):
        current = None
    if current is not None and current != version and refused is None:
        yield Finding(
            CHECK, "warning",
            f"{shown} serves {version}, but {current} is current in {deployment.store}",
            "wait a second if it was just published; else the service has another store",
        )  # fmt: skip
    if date is not None:
        skew = parsedate_to_datetime(date).timestamp() - time.time()
        yield from clock_skew(shown, skew, MAX_SKEW_S)


def _away(reply: dict[str, Any]) -> str:
    states = (
        f"{name} {reply[name]}" for name in ("redis", "events") if isinstance(reply.get(name), str)
    )
    return ", ".join(states)


def _another_program(shown: str) -> Finding:
    return Finding(
        CHECK, "problem", f"another program answers at {shown}",
        "stop that program, or set HASHREC_PORT to a free port",
    )  # fmt: skip


def _port(host: str, port: int) -> Finding:
    try:
        listen(host, port).close()
    except ConfigError as error:
        return Finding(CHECK, "problem", str(error), "free the port, or set HASHREC_PORT")
    return Finding(CHECK, "ok", f"no service is running; {host}:{port} is free")
