"""Runs the application: one process, or several that share a socket."""

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
GRACE_S = 8  # then requests that have not ended are cut: container engines kill after 10
WORKER_START_S = 60  # on a busy machine its imports take longer than uvicorn's 5 s, again and again

log = structlog.stdlib.get_logger("service")


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT, then finish the requests that are under way.

    Raises:
        ArtifactError: the store is not there.
        ConfigError: the address cannot be listened on, or the keys cannot be used.
        MissingLibraryError: requests are to be traced, and the libraries for it are not there.
    """
    logs.configure(settings.log_level)
    if not settings.store.is_dir():
        raise ArtifactError(
            f"{settings.store}: there is no such folder; name the store with --store, or publish "
            "a model first"
        )
    Keyring.load(settings.keys)  # what is wrong with it ends the start, not each worker
    tracing_of(settings)  # the same
    _allow_many_sockets()
    listener = listen(settings.host, settings.port)
    host, port = listener.getsockname()[:2]
    log.info("serving", url=f"http://{host}:{port}", workers=settings.workers)
    config = server_config(settings)
    # Once it has ended, the server sends itself the signal again; without this, exit is not 0.
    signal.signal(signal.SIGTERM, _end)
    if settings.workers == 1:
        uvicorn.Server(config).run([listener])
        return
    with tempfile.TemporaryDirectory(prefix="hashrec-metrics-") as folder:
        os.environ[METRICS_FOLDER] = folder  # read when a worker imports its metrics
        Multiprocess(config, [listener]).run()


def _end(number: int, frame: FrameType | None) -> None:
    """Do nothing: the server has ended already."""


def _allow_many_sockets() -> None:
    """Raise the soft limit of open files, which is 1,024 in many places, to the hard one."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def server_config(settings: Settings, app: ASGIApp | None = None) -> uvicorn.Config:
    """Return the server's configuration. Without `app` it can be sent to worker processes."""
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
    """Bind a socket, before anything that takes time.

    Raises:
        ConfigError: the port is taken, or the address is not this machine's.
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
            f"cannot listen on {host}:{port}: {error.strerror}; end what uses it, or pass --port"
        ) from error
    listener.set_inheritable(True)
    return listener
