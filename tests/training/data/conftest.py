"""A real HTTP server for one file, which can ignore ranges and drop connections."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest


@dataclass
class FileServer:
    """What the server serves, how, and what it was asked for.

    Attributes:
        content: the file.
        ranges: whether a Range header is honoured.
        missing: whether every request is answered 404.
        drops: for each of the next requests, after how many bytes its connection is cut.
        asked: the Range header of each request, None without one.
    """

    content: bytes
    ranges: bool = True
    missing: bool = False
    drops: list[int] = field(default_factory=list)
    asked: list[str | None] = field(default_factory=list)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/set.zip"


@pytest.fixture
def serve_file() -> Iterator[Callable[[bytes], FileServer]]:
    """Start a server of the bytes given; it stops with the test."""
    with ExitStack() as running:
        yield lambda content: running.enter_context(_serving(FileServer(content)))


@contextmanager
def _serving(server: FileServer) -> Iterator[FileServer]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = self.headers["Range"]
            server.asked.append(asked)
            if server.missing:
                self.send_error(404)
                return
            start = 0
            if asked and server.ranges:
                start = int(asked.removeprefix("bytes=").removesuffix("-"))
                if start >= len(server.content):
                    self.send_error(416)
                    return
                self.send_response(206)
            else:
                self.send_response(200)
            body = server.content[start:]
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: server.drops.pop(0)] if server.drops else body)

        def log_message(self, *args: object) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.port = http.server_address[1]
    thread = threading.Thread(target=http.serve_forever)
    thread.start()
    try:
        yield server
    finally:
        http.shutdown()
        thread.join()
        http.server_close()
