"""Draining: after SIGTERM the process reports not ready, and answers for some more seconds."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

import structlog

log = structlog.stdlib.get_logger("service")


@dataclass(slots=True)
class Draining:
    """Whether the process has received SIGTERM and is about to end."""

    begun: bool = False


@contextmanager
def drain_on_sigterm(draining: Draining, seconds: float) -> Generator[None]:
    """Fail /readyz on SIGTERM, and let the server shut down `seconds` later.

    Meanwhile load balancers notice and send requests elsewhere, and requests that still arrive are
    answered. A second SIGTERM ends the wait.
    """
    end = signal.getsignal(signal.SIGTERM)
    if threading.current_thread() is not threading.main_thread() or not callable(end):
        yield
        return
    loop = asyncio.get_running_loop()

    def drain(number: int, frame: FrameType | None) -> None:
        if draining.begun:
            end(number, frame)
            return
        draining.begun = True
        loop.call_soon_threadsafe(wait, number, frame)

    def wait(number: int, frame: FrameType | None) -> None:
        log.info("draining", seconds=seconds)
        loop.call_later(seconds, end, number, frame)

    signal.signal(signal.SIGTERM, drain)
    yield
