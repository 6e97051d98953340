"""Runs the application in one process, or in several that share a socket."""

from __future__ import annotations

import asyncio
import functools
import os
import resource
import signal
import socket
import tempfile
from types import FrameType
from typing import cast

import structlog
import uvicorn
from starlette.types import ASGIApp
from uvicorn.supervisors import Multiprocess

from hashrec.index.errors import ArtifactError, ConfigError
from hashrec.service.access.keys import Keyring
from hashrec.service.app import create_app, tracing_of
from hashrec.service.http.connections import BoundedProtocol
from hashrec.service.settings import METRICS_FOLDER, Settings
from hashrec.service.telemetry import logs

BACKLOG = 2048
GRACE_S = 8  # then open requests are cut off: container engines kill after 10 s
WORKER_START_S = 60  # on a busy machine its imports take longer than uvicorn's default, 5 s

log = structlog.stdlib.get_logger("service")


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT, then finish the open requests.

    Raises:
        ArtifactError: the store does not exist.
        ConfigError: the port cannot be bound, or the keys are invalid.
        MissingLibraryError: tracing is configured, and its libraries are not installed.
    """
    logs.configure(settings.log_level)
    if not settings.store.is_dir():
        raise ArtifactError(
            f"{settings.store}: no such folder; pass --store FOLDER, or publish a model first"
        )
    Keyring.load(settings.keys)  # an error ends the start here, not in each worker
    tracing_of(settings)  # likewise
    _allow_many_sockets()
    listener = listen(settings.host, settings.port)
    host, port = listener.getsockname()[:2]
    log.info("serving", url=f"http://{host}:{port}", workers=settings.workers)
    config = server_config(settings)
    # After its shutdown uvicorn raises the signal again; without this the exit status is not 0.
    signal.signal(signal.SIGTERM, _end)
    if settings.workers == 1:
        uvicorn.Server(config).run([listener])
        return
    with tempfile.TemporaryDirectory(prefix="hashrec-metrics-") as folder:
        os.environ[METRICS_FOLDER] = folder  # a worker reads it when it creates its metrics
        Multiprocess(config, [listener]).run()


def _end(number: int, frame: FrameType | None) -> None:
    """Do nothing: the server has already shut down."""


def _allow_many_sockets() -> None:
    """Raise the soft limit of open files, often 1,024, to the hard limit."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def server_config(settings: Settings, app: ASGIApp | None = None) -> uvicorn.Config:
    """Return the configuration of uvicorn; without `app` it can be sent to worker processes."""
    protocol = functools.partial(BoundedProtocol, client_timeout_s=settings.client_timeout_s)
    return uvicorn.Config(
        app or functools.partial(create_app, settings),
        factory=app is None,
        workers=settings.workers,
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        http=cast("type[asyncio.Protocol]", protocol),
        ws="none",
        timeout_keep_alive=settings.keep_alive_s,
        backlog=BACKLOG,
        timeout_graceful_shutdown=GRACE_S,
        timeout_worker_healthcheck=WORKER_START_S,
    )


def listen(host: str, port: int) -> socket.socket:
    """Bind a socket and listen.

    Raises:
        ConfigError: the port is in use, or the address does not belong to this machine.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise ConfigError(f"cannot listen on {host}: {error.strerror}") from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise ConfigError(
            f"cannot listen on {host}:{port}: {error.strerror}; free the port, or pass --port"
        ) from error
    listener.set_inheritable(True)
    return listener
