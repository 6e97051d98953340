"""What a journal holds: events of users, and changes of the catalogue.

A record checks itself when it is made, so that nothing can be written that cannot be read again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

import orjson
from pydantic import JsonValue

from hashrec.index.arrays.ids import require_id
from hashrec.index.errors import InvalidRecordError

EVENT_TYPE_PATTERN: Final = r"^[A-Za-z0-9][A-Za-z0-9_.:-]{0,63}$"
LAST_TIMESTAMP: Final = 253_402_300_799.0  # the last second of the year 9999
MAX_ATTRIBUTE_BYTES: Final = 65_536  # of an item's attributes as JSON

_EVENT_TYPE = re.compile(EVENT_TYPE_PATTERN)


@dataclass(frozen=True, slots=True)
class Event:
    """A user did something with an item.

    Attributes:
        user_id: who; need not be in any model.
        item_id: with what; need not be in any model.
        type: what, a short token such as `click` or `dislike`.
        timestamp: when, in seconds since 1970.
        event_id: names the event: the same id again is the same event again.
        recommendation_id: the list in which the user saw the item, where that is known.

    Raises:
        InvalidRecordError: a value cannot be kept.
    """

    user_id: str
    item_id: str
    type: str
    timestamp: float
    event_id: str
    recommendation_id: str | None = None

    def __post_init__(self) -> None:
        _check_id("user_id", self.user_id)
        _check_id("item_id", self.item_id)
        _check_id("event_id", self.event_id)
        if self.recommendation_id is not None:
            _check_id("recommendation_id", self.recommendation_id)
        _check_type(self.type)
        _check_timestamp(self.timestamp)


@dataclass(frozen=True, slots=True)
class ItemChange:
    """Something about an item of the catalogue changed.

    Attributes:
        item_id: the item; need not be in any model.
        attributes: the new ones, as a whole; None leaves them as they were.
        hidden: whether answers leave the item out; None leaves that as it was.
        deleted: the item is gone, and so is everything said of it before.
        timestamp: when, in seconds since 1970.

    Raises:
        InvalidRecordError: a value cannot be kept.
    """

    item_id: str
    attributes: Mapping[str, JsonValue] | None
    hidden: bool | None
    deleted: bool = False
    timestamp: float = 0.0

    def __post_init__(self) -> None:
        _check_id("item_id", self.item_id)
        _check_timestamp(self.timestamp)
        if self.attributes is None:
            return
        try:
            n_bytes = len(orjson.dumps(self.attributes))
        except TypeError:  # not JSON: half of a surrogate pair, an integer beyond 64 bits
            raise InvalidRecordError("attributes", "must be a JSON object") from None
        if n_bytes > MAX_ATTRIBUTE_BYTES:
            raise InvalidRecordError("attributes", f"must have at most {MAX_ATTRIBUTE_BYTES} bytes")


Record = Event | ItemChange


@dataclass(frozen=True, slots=True)
class Entry:
    """A record where the journal has it.

    Attributes:
        position: above 0; ascends, with gaps, in the order in which entries became durable. Never
            used twice, nor by a journal made later than this one.
        record: the event or change.
    """

    position: int
    record: Record


def to_json(record: Record) -> bytes:
    """Return a record as JSON, for a backend to keep."""
    if isinstance(record, Event):
        content: dict[str, Any] = {
            "user_id": record.user_id,
            "item_id": record.item_id,
            "type": record.type,
            "timestamp": record.timestamp,
            "event_id": record.event_id,
        }
        if record.recommendation_id is not None:
            content["recommendation_id"] = record.recommendation_id
        return orjson.dumps(content)
    return orjson.dumps(
        {
            "item_id": record.item_id,
            "attributes": record.attributes,
            "hidden": record.hidden,
            "deleted": record.deleted,
            "timestamp": record.timestamp,
        }
    )


def from_json(content: bytes) -> Record:
    """Return the record that `to_json` wrote.

    Raises:
        ValueError: it is no record.
        InvalidRecordError: it is one with values that cannot be.
    """
    members: object = orjson.loads(content)
    if not isinstance(members, dict):
        raise ValueError("not a record")
    members = cast("dict[str, Any]", members)
    try:
        return Event(**members) if "event_id" in members else ItemChange(**members)
    except TypeError:
        raise ValueError("not a record") from None


def _check_id(name: str, value: object) -> None:
    try:
        require_id(value)
    except ValueError as error:
        raise InvalidRecordError(name, str(error)) from None


def _check_type(kind: object) -> None:
    if not (isinstance(kind, str) and _EVENT_TYPE.fullmatch(kind)):
        raise InvalidRecordError(
            "type", "must be 1 to 64 ASCII letters, digits, '_', '.', ':' or '-'"
        )


def _check_timestamp(timestamp: object) -> None:
    # A comparison with NaN is false.
    if not (isinstance(timestamp, float | int) and 0 <= timestamp <= LAST_TIMESTAMP):
        raise InvalidRecordError("timestamp", "must be in seconds from 1970 to the year 9999")
