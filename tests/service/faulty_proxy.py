"""A TCP proxy in front of a real server that can be told to misbehave, on open connections too."""

from __future__ import annotations

import socket
import struct
import threading
import time
from contextlib import suppress
from types import TracebackType
from typing import Self

from hashrec.service.server import listen

RESET = struct.pack("ii", 1, 0)  # linger for no time: close with a reset

REPLIES = {
    "garbage": b"\xff\x00\x07garbage\r\n",
    "an integer": b":1\r\n",
    "a list of integers": b"*1\r\n:1\r\n",
    "too few values": b"*0\r\n",
    "a huge announcement": b"$999999999999\r\nx",
    "half a reply": b"*1\r\n$100\r\nhalf",
    "loading": b"-LOADING Redis is loading the dataset in memory\r\n",
    "an error": b"-ERR something\r\n",
}
FAULTS = (*REPLIES, "silence", "late", "reset", "closed")


class FaultyProxy:
    """Passes bytes on until `fault` is set to one of FAULTS.

    Attributes:
        n_asked: chunks of requests that came in, as a count of what the client asks.
    """

    def __init__(self, port: int) -> None:
        self._server_port = port
        self._listener = listen("127.0.0.1", 0)
        self.port: int = self._listener.getsockname()[1]
        self.fault: str | None = None
        self.n_asked = 0
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for open_socket in self._sockets:
            with suppress(OSError):
                open_socket.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for open_socket in self._sockets:
            open_socket.close()

    def _start(self, target, *arguments) -> None:
        thread = threading.Thread(target=target, args=arguments)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client = self._listener.accept()[0]
                if self.fault == "closed":
                    client.close()
                    continue
                server = socket.create_connection(("127.0.0.1", self._server_port))
                self._sockets += [client, server]
                self._start(self._requests, client, server)
                self._start(self._replies, client, server)

    def _requests(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while chunk := client.recv(65_536):
                self.n_asked += 1
                if self.fault in REPLIES:
                    client.sendall(REPLIES[self.fault])
                else:
                    server.sendall(chunk)
        with suppress(OSError):
            server.shutdown(socket.SHUT_RDWR)

    def _replies(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while chunk := server.recv(65_536):
                if self.fault == "reset":
                    client.sendall(chunk[: len(chunk) // 2])
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                    client.close()
                    return
                if self.fault == "late":
                    time.sleep(0.3)
                if self.fault in (None, "late"):
                    client.sendall(chunk)
        with suppress(OSError):
            client.shutdown(socket.SHUT_RDWR)
