"""Where a request spends its time, as far as somebody wants to know.

What can take long says so with a span. Who traces requests (`tracing.py`) gives the parts
of the service a `Spans` that keeps them; else they have `no_span`.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

Attributes = Mapping[str, str | int]

_NOTHING = nullcontext()


class Spans(Protocol):
    """Begins spans of the request that is being answered."""

    def __call__(
        self, name: str, attributes: Attributes, *, remote: bool = False
    ) -> AbstractContextManager[object]:
        """Begin a span, which lasts for a `with` block.

        Args:
            name: what is done, the same for all requests.
            attributes: more about it, by OpenTelemetry's conventions where there are any.
            remote: whether another server does it.
        """
        ...


def no_span(
    name: str, attributes: Attributes, *, remote: bool = False
) -> AbstractContextManager[object]:
    """Begin nothing: requests are not traced."""
    del name, attributes, remote
    return _NOTHING
