"""Events: what users did, stored durably before the reply."""

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

_Numbered = tuple[int, Event | str]  # position in the body; the event, or why it is invalid

# The body is read by hand, so FastAPI does not know its schema. Client generators need it by name.
SCHEMAS: dict[str, Any] = {"EventBody": EventBody.model_json_schema()}
_EVENT = {"$ref": "#/components/schemas/EventBody"}
_BODY: dict[str, Any] = {
    "required": True,
    "content": {
        "application/json": {"schema": {"anyOf": [_EVENT, {"type": "array", "items": _EVENT}]}},
        "application/x-ndjson": {
            "schema": {
                "type": "string",
                "description": f"NDJSON: one event a line, at most {MAX_LINE_BYTES:,} bytes each.",
            }
        },
    },
}

router = APIRouter(tags=["events"], dependencies=[Depends(refuse_repeated_options)])


@router.post(
    "/events",
    status_code=202,
    responses={
        202: {"model": EventsReply, "description": "The events are on disk."},
        **documented(400, 413, 422, 503),
    },
    response_class=Response,
    openapi_extra={"requestBody": _BODY},
)
async def send_events(request: Request, services: ServicesDependency) -> Response:
    """Store what users did; the next answers of these users take it into account.

    The body is one event or an array, up to 1 MiB of JSON, or NDJSON (`application/x-ndjson`), one
    event a line, up to 64 MiB and stored while it is received. An event is stored once by its
    `event_id`, so after any reply but 202 the same body can be sent again. Invalid
    events of several are listed in the reply and the others stored; a single one is a 422.
    """
    report = _Report(services)
    try:
        numbered = _of_lines(request) if is_ndjson(request.headers) else _of_json(request)
        async for batch in numbered:
            await report.keep(batch)
            await asyncio.sleep(0)  # a batch without a valid event awaits nothing else
    except ClientDisconnect:
        raise HTTPException(400, "the body ended too early") from None
    reply = {"accepted": report.accepted, "rejected": report.rejected}
    if report.unlisted:
        reply["unlisted"] = report.unlisted
    return Response(orjson.dumps(reply), status_code=202, media_type="application/json")


class _Report:
    """Stores events and counts the outcomes."""

    def __init__(self, services: Services) -> None:
        self._events = services.events
        self._count = services.metrics.events
        self.accepted = self.unlisted = 0
        self.rejected: list[dict[str, int | str]] = []

    async def keep(self, batch: list[_Numbered]) -> None:
        """Store the valid events of a batch.

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
