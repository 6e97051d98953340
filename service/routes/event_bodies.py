"""Events as requests bring them: one object, an array, or lines of JSON."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, AsyncIterable
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Annotated, Any, cast

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hashrec.index.errors import InvalidRecordError
from hashrec.index.live.journal import Event
from hashrec.index.live.journal.records import EVENT_TYPE_PATTERN, LAST_TIMESTAMP
from hashrec.service.routes.schemas import MAX_MEMBERS, ExternalId

MAX_LINE_BYTES = 65_536
# The least number read in each unit, as in files: a date after 1973 in that unit, and after the
# year 5000 in the next coarser one.
_UNITS = ((1e17, 1e9), (1e14, 1e6), (1e11, 1e3))


class EventBody(BaseModel):
    """Something a user did with an item."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "user_id": "42",
                    "item_id": "1193",
                    "type": "click",
                    "timestamp": "2026-11-23T06:00:00Z",
                    "event_id": "b71f3a52",
                }
            ]
        },
    )

    user_id: ExternalId
    item_id: ExternalId
    type: Annotated[
        str,
        Field(
            pattern=EVENT_TYPE_PATTERN,
            description="What it was, such as `click`. The negative types are a setting; every "
            "other one counts as interest.",
        ),
    ]
    timestamp: Annotated[
        Annotated[float, Field(ge=0, allow_inf_nan=False)] | str | None,
        Field(
            description="When: seconds or milliseconds since 1970, or ISO 8601, UTC unless it says "
            "otherwise. Now if left out."
        ),
    ] = None
    event_id: Annotated[
        ExternalId | None,
        Field(
            description="Names the event: the same id again is the same event again. Left out, it "
            "is made of the other members, so that a retry with a `timestamp` counts once."
        ),
    ] = None
    recommendation_id: Annotated[
        ExternalId | None, Field(description="The list in which the user saw the item.")
    ] = None

    def event(self) -> Event:
        """Return the event as a journal keeps it.

        Raises:
            InvalidRecordError: the timestamp is none.
        """
        seconds = time.time() if self.timestamp is None else seconds_of(self.timestamp)
        event_id = self.event_id
        if event_id is None:
            content = orjson.dumps([self.user_id, self.item_id, self.type, seconds])
            event_id = "content:" + blake2b(content, digest_size=16).hexdigest()
        return Event(
            self.user_id, self.item_id, self.type, seconds, event_id, self.recommendation_id
        )


class RejectedEvent(BaseModel):
    """An event that was not kept."""

    index: Annotated[
        int, Field(ge=0, description="Position in the body from 0; blank lines count.")
    ]
    reason: str


class EventsReply(BaseModel):
    """What became of events."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "accepted": 2,
                    "rejected": [{"index": 1, "reason": "user_id: must not be empty"}],
                }
            ]
        }
    )

    accepted: Annotated[
        int, Field(ge=0, description="Number of events stored, including repeated ones.")
    ]
    rejected: list[RejectedEvent]
    unlisted: Annotated[
        int | None,
        Field(description="Number of further rejected events; absent if there are none."),
    ] = None


def event_of(content: object) -> Event | str:
    """Return an event, or the reason why something is none."""
    if not isinstance(content, dict):
        return "must be a JSON object"
    if len(cast("dict[object, object]", content)) > MAX_MEMBERS:
        return f"more than {MAX_MEMBERS} members, most of which mean nothing here"
    try:
        return EventBody.model_validate(content).event()
    except ValidationError as error:
        return _reason(error)
    except InvalidRecordError as error:
        return str(error)


def event_of_line(line: bytes) -> Event | str:
    """Return a line's event, or the reason why it is none."""
    if len(line) > MAX_LINE_BYTES:
        return f"the line has more than {MAX_LINE_BYTES} bytes"
    try:
        content = orjson.loads(line)
    except ValueError:
        return "not JSON in UTF-8"
    return event_of(content)


async def lines(chunks: AsyncIterable[bytes]) -> AsyncGenerator[list[bytes]]:
    """Cut a stream into lines as it comes, those of one piece together.

    Of a line that is too long only the beginning is kept, and it stays too long.
    """
    rest = b""
    async for chunk in chunks:
        *whole, last = chunk.split(b"\n")
        if whole:
            whole[0] = rest + whole[0]
            rest = b""
            yield whole
        rest = (rest + last)[: MAX_LINE_BYTES + 1]
    if rest:
        yield [rest]


def seconds_of(timestamp: float | str) -> float:
    """Return a timestamp in seconds since 1970.

    Raises:
        InvalidRecordError: a text is no date and time.
    """
    if isinstance(timestamp, str):
        try:
            parsed = datetime.fromisoformat(timestamp)
        except ValueError:
            raise InvalidRecordError(
                "timestamp", "must be seconds or milliseconds since 1970, or ISO 8601"
            ) from None
        return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp()
    for least, per_second in _UNITS:
        if timestamp >= least:
            return min(timestamp / per_second, LAST_TIMESTAMP + 1)
    return timestamp


def _reason(error: ValidationError) -> str:
    first = cast("dict[str, Any]", error.errors(include_url=False, include_input=False)[0])
    where = str(first["loc"][0]) if first["loc"] else ""
    message = str(first["msg"]).removeprefix("Value error, ")
    # A member's name comes from outside, and may be long.
    return f"{where[:64]}: {message}" if where else message
