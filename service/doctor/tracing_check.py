"""Check of tracing: its libraries are installed, and the collector accepts spans."""

from __future__ import annotations

from collections.abc import Iterator

from hashrec.index.errors import MissingLibraryError, shorten
from hashrec.service.app import tracing_of
from hashrec.service.doctor.finding import Deployment, Finding

CHECK = "tracing"
TIMEOUT_S = 3.0


def check_tracing(deployment: Deployment) -> Iterator[Finding]:
    """Send an empty batch of spans to the collector."""
    endpoint = deployment.settings.otel.endpoint
    try:
        tracing = tracing_of(deployment.settings)
    except MissingLibraryError as error:
        yield Finding(CHECK, "problem", str(error), "install the library, or unset the variable")
        return
    if tracing is None:
        yield Finding(CHECK, "ok", "requests are not traced")
    elif (reason := tracing.try_collector(TIMEOUT_S)) is None:
        yield Finding(CHECK, "ok", f"{endpoint} accepts spans")
    else:
        yield Finding(
            CHECK, "warning", f"{endpoint} does not accept spans: {shorten(reason, 300)}",
            "start it, or correct HASHREC_OTEL__ENDPOINT; requests are answered without it",
        )  # fmt: skip
