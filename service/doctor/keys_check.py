"""Check of API keys: valid, and present if the service can be reached from other machines."""

from __future__ import annotations

from collections.abc import Iterator

from hashrec.index.errors import ConfigError
from hashrec.service.access.keys import Keyring
from hashrec.service.doctor.finding import Deployment, Finding

CHECK = "keys"
LOCAL = ("127.0.0.1", "::1", "localhost")


def check_keys(deployment: Deployment) -> Iterator[Finding]:
    """Load the keys as the service does."""
    settings = deployment.settings
    if not settings.keys.are_given:
        open_to = "this machine" if settings.host in LOCAL else "all who can reach the port"
        yield Finding(
            CHECK, "ok" if settings.host in LOCAL else "warning",
            f"no API keys: reading and events are open to {open_to}, admin routes are off",
            "" if settings.host in LOCAL else "set HASHREC_KEYS__FILE; see `hashrec keys new`",
        )  # fmt: skip
        return
    try:
        n_keys = len(Keyring.load(settings.keys))
    except (ConfigError, OSError) as error:
        yield Finding(
            CHECK,
            "problem",
            str(error),
            "correct it: the service does not start without valid keys",
        )
        return
    yield Finding(CHECK, "ok", f"{n_keys} API keys")
