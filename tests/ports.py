"""Ports for servers that start later, in processes of their own."""

from __future__ import annotations

import secrets
import socket
from pathlib import Path

LOWEST, FEWEST = 10_000, 10_000


def free_port() -> int:
    """Return a free port that nobody gets by chance before a server listens there.

    It is below those that the system hands out, to each connection that is opened among others: a
    client that waits for a server at one of them can even be connected to itself.
    """
    handed_out = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()
    ports = range(LOWEST, max(int(handed_out[0]), LOWEST + FEWEST))
    while True:
        port = secrets.choice(ports)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
