"""Seconds, CPU seconds and peak memory of a command."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Mapping, Sequence


def measured(
    command: Sequence[str], environment: Mapping[str, str] | None = None
) -> dict[str, float]:
    """Run a command to its end, without its output.

    Args:
        command: and its arguments.
        environment: variables besides those there are.

    Returns:
        `seconds`, `cpu_seconds` of all its threads and `peak_mb`.
    """
    start = time.perf_counter()
    process = subprocess.Popen(
        command, env=os.environ | (environment or {}), stdout=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    if status:
        raise SystemExit(f"{' '.join(command)} ended with {status}")
    return {
        "seconds": seconds,
        "cpu_seconds": usage.ru_utime + usage.ru_stime,
        "peak_mb": usage.ru_maxrss / 1000,
    }
