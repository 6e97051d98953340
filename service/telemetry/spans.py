"""Spans: named parts of a request, recorded if tracing is on.

Code that can take long runs in a span. If requests are traced, `tracing.py` provides the `Spans`
that records it; otherwise it is `no_span`.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

Attributes = Mapping[str, str | int]

_NOTHING = nullcontext()


class Spans(Protocol):
    """Starts spans of the current request."""

    def __call__(
        self, name: str, attributes: Attributes, *, remote: bool = False
    ) -> AbstractContextManager[object]:
        """Start a span that lasts for a `with` block.

        Args:
            name: name of the operation, the same for all requests.
            attributes: details, named by OpenTelemetry's conventions where they exist.
            remote: whether another server does the work.
        """
        ...


def no_span(
    name: str, attributes: Attributes, *, remote: bool = False
) -> AbstractContextManager[object]:
    """Record nothing: requests are not traced."""
    del name, attributes, remote
    return _NOTHING
