"""Metrics tell the truth: a small share of what `make fuzz` counts."""

from __future__ import annotations

import asyncio
from pathlib import Path

from benchmarks.count_requests import counted, send, settled
from benchmarks.http import publish_catalogue, serve


def test_two_workers_count_exactly_what_a_client_counts(tmp_path: Path):
    publish_catalogue(tmp_path / "store")
    server, port = serve(tmp_path / "store", HASHREC_WORKERS="2")
    try:
        expected = asyncio.run(send(port, 3000))
        assert expected[0].total() == 3000
        assert settled(port, expected) == expected
        more = asyncio.run(send(port, 17))  # and what is not counted yet shows
        assert counted(port) != expected
        assert settled(port, (expected[0] + more[0], expected[1] + more[1]))[0].total() == 3017
    finally:
        server.terminate()
        server.wait(60)
