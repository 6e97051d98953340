"""What a check of a deployment finds, and what it looks at."""

from __future__ import annotations

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
        check: which check found it.
        message: what is so.
        advice: what to do about it; empty where all is well.
    """

    check: str
    status: Status
    message: str
    advice: str = ""


@dataclass(frozen=True, slots=True)
class Deployment:
    """What is checked.

    Attributes:
        settings: in force.
        url: of the service; None for where the settings have it listen.
    """

    settings: Settings
    url: str | None = None

    @property
    def store(self) -> Path:
        """The folder of the versions."""
        return self.settings.store


def without_password(url: str) -> str:
    """Return a URL that can be shown: a password in it is hidden, and what may hold one."""
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
    """Write a number of bytes for people."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if n_bytes < 1000:
            return f"{n_bytes:,.0f} {unit}" if unit != "GB" else f"{n_bytes:,.1f} {unit}"
        n_bytes /= 1000
    return f"{n_bytes:,.1f} TB"
