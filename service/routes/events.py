"""What users did: kept durably before the reply."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable, Iterator
from itertools import islice
from typing import Any

import orjson
from fastapi import APIRouter, Depends, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from hashrec.index.live.journal import Event
from hashrec.service.errors import EventsUnavailableError
from hashrec.service.http.body_limit import is_ndjson
from hashrec.service.http.problems import documented
from hashrec.service.routes.dependencies import (
    Services,
    ServicesDependency,
    refuse_repeated_options,
)
from hashrec.service.routes.event_bodies import (
    MAX_LINE_BYTES,
    EventBody,
    EventsReply,
    event_of,
    event_of_line,
    lines,
)

AT_ONCE = 500  # events made between two turns of the event loop, about 5 ms
MAX_LISTED = 1000  # rejected events that a reply names

_Numbered = tuple[int, Event | str]  # its place in the body; the event, or why it is none

_EVENT: dict[str, Any] = EventBody.model_json_schema()
_BODY: dict[str, Any] = {
    "required": True,
    "content": {
        "application/json": {"schema": {"anyOf": [_EVENT, {"type": "array", "items": _EVENT}]}},
        "application/x-ndjson": {
            "schema": {
                "type": "string",
                "description": f"An event a line, of at most {MAX_LINE_BYTES:,} bytes.",
            }
        },
    },
}

router = APIRouter(tags=["events"], dependencies=[Depends(refuse_repeated_options)])


@router.post(
    "/events",
    status_code=202,
    responses={
        202: {"model": EventsReply, "description": "They are kept, whatever happens now."},
        **documented(400, 413, 422, 503),
    },
    response_class=Response,
    openapi_extra={"requestBody": _BODY},
)
async def post_events(request: Request, services: ServicesDependency) -> Response:
    """Keep what users did, and show it in their next answers.

    One event, an array, or lines of JSON (`application/x-ndjson`), which are kept as they come: up
    to 1 MiB of JSON, up to 64 MiB of lines. Events are kept by their `event_id`, so whatever had
    another answer than 202 can be sent again as it was. Where some events of several are refused
    the others are kept; one alone that is refused is an invalid request.
    """
    report = _Report(services)
    try:
        numbered = _of_lines(request) if is_ndjson(request.headers) else _of_json(request)
        async for batch in numbered:
            await report.keep(batch)
            await asyncio.sleep(0)  # a batch without any event waits for nothing
    except ClientDisconnect:
        raise HTTPException(400, "the body ended too early") from None
    reply = {"accepted": report.accepted, "rejected": report.rejected}
    if report.unlisted:
        reply["unlisted"] = report.unlisted
    return Response(orjson.dumps(reply), status_code=202, media_type="application/json")


class _Report:
    """Keeps events, and counts what became of them."""

    def __init__(self, services: Services) -> None:
        self._events = services.events
        self._count = services.metrics.events
        self.accepted = self.unlisted = 0
        self.rejected: list[dict[str, int | str]] = []

    async def keep(self, batch: list[_Numbered]) -> None:
        """Keep what is an event.

        Raises:
            EventsUnavailableError: the journal cannot be written.
        """
        events: list[Event] = []
        for index, found in batch:
            if isinstance(found, str):
                self._reject(index, found)
            else:
                events.append(found)
        try:
            kept = await self._events.append(events)
        except EventsUnavailableError:
            self._tell(events, ["unavailable"] * len(events))
            raise
        self._tell(events, ["accepted" if new else "duplicate" for new in kept])
        self.accepted += len(events)

    def _reject(self, index: int, reason: str) -> None:
        self._count("other", "rejected").inc()
        if len(self.rejected) < MAX_LISTED:
            self.rejected.append({"index": index, "reason": reason})
        else:
            self.unlisted += 1

    def _tell(self, events: list[Event], outcomes: list[str]) -> None:
        for event, outcome in zip(events, outcomes, strict=True):
            self._count(self._events.type_label(event.type), outcome).inc()


async def _of_json(request: Request) -> AsyncGenerator[list[_Numbered]]:
    try:
        content: object = orjson.loads(await request.body())
    except ValueError:
        raise _invalid("must be an event, an array of events, or lines of JSON") from None
    if not isinstance(content, list):
        found = event_of(content)
        if isinstance(found, str):
            raise _invalid(found)
        yield [(0, found)]
        return
    numbered: Iterator[_Numbered] = enumerate(map(event_of, content))  # pyright: ignore[reportUnknownArgumentType]
    for batch in _batches(numbered):
        yield batch


async def _of_lines(request: Request) -> AsyncGenerator[list[_Numbered]]:
    n_before = 0
    async for piece in lines(request.stream()):
        numbered = enumerate(piece, start=n_before)
        n_before += len(piece)
        events = ((index, event_of_line(line)) for index, line in numbered if line.strip())
        for batch in _batches(events):
            yield batch


def _batches(numbered: Iterable[_Numbered]) -> Iterator[list[_Numbered]]:
    remaining = iter(numbered)
    while batch := list(islice(remaining, AT_ONCE)):
        yield batch


def _invalid(reason: str) -> RequestValidationError:
    return RequestValidationError([{"loc": ("body",), "msg": reason}])
