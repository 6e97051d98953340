"""Findings of a check, and the deployment that is checked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit, urlunsplit

from hashrec.service.settings import Settings

Status = Literal["ok", "warning", "problem"]
HIDDEN = "***"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report.

    Attributes:
        check: name of the check.
        message: the fact that was found.
        advice: how to fix it; empty if nothing needs a fix.
    """

    check: str
    status: Status
    message: str
    advice: str = ""


@dataclass(frozen=True, slots=True)
class Deployment:
    """The deployment that is checked.

    Attributes:
        settings: the settings in force.
        url: URL of the service; None for the address in the settings.
    """

    settings: Settings
    url: str | None = None

    @property
    def store(self) -> Path:
        """Folder of the published versions."""
        return self.settings.store


def clock_skew(shown: str, skew_s: float, limit_s: float) -> Iterator[Finding]:
    """Compare the clock of a server with that of this machine."""
    if abs(skew_s) > limit_s:
        yield Finding(
            "clock", "warning", f"the clock of {shown} is {skew_s:+.0f} s from this machine's",
            "synchronise both by NTP",
        )  # fmt: skip


def without_password(url: str) -> str:
    """Return a URL without its password and its query, which may hold one."""
    try:
        parts = urlsplit(url)
        user, separator, host = parts.netloc.rpartition("@")
    except ValueError:
        return HIDDEN
    if separator:
        name = user.partition(":")[0]
        user = f"{name}:{HIDDEN}" if ":" in user else HIDDEN
    query = HIDDEN if parts.query else ""
    shown = parts._replace(netloc=f"{user}{separator}{host}", query=query, fragment="")
    return urlunsplit(shown)


def size(n_bytes: float) -> str:
    """Format a number of bytes with its unit."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if n_bytes < 1000:
            return f"{n_bytes:,.0f} {unit}" if unit != "GB" else f"{n_bytes:,.1f} {unit}"
        n_bytes /= 1000
    return f"{n_bytes:,.1f} TB"
