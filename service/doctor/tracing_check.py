"""Traces: their libraries are there, and the collector takes spans."""

from __future__ import annotations

from collections.abc import Iterator

from hashrec.index.errors import MissingLibraryError, shorten
from hashrec.service.app import tracing_of
from hashrec.service.doctor.finding import Deployment, Finding

CHECK = "tracing"
TIMEOUT_S = 3.0


def check_tracing(deployment: Deployment) -> Iterator[Finding]:
    """Send no spans, which a collector takes as it takes some."""
    endpoint = deployment.settings.otel.endpoint
    try:
        tracing = tracing_of(deployment.settings)
    except MissingLibraryError as error:
        yield Finding(CHECK, "problem", str(error), "install it, or unset the variable")
        return
    if tracing is None:
        yield Finding(CHECK, "ok", "requests are not traced")
    elif (reason := tracing.try_collector(TIMEOUT_S)) is None:
        yield Finding(CHECK, "ok", f"{endpoint} takes spans")
    else:
        yield Finding(
            CHECK, "warning", f"{endpoint} does not take spans: {shorten(reason, 300)}",
            "requests are answered all the same; start it, or mend HASHREC_OTEL__ENDPOINT",
        )  # fmt: skip
