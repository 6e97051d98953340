"""What a journal can hold, and that it comes back as it was."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashrec.index.errors import InvalidRecordError
from hashrec.index.live.journal import Event, ItemChange
from hashrec.index.live.journal.records import LAST_TIMESTAMP, from_json, to_json

ids = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=128)
timestamps = st.floats(0, LAST_TIMESTAMP)
events = st.builds(
    Event,
    user_id=ids,
    item_id=ids,
    type=st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,63}", fullmatch=True),
    timestamp=timestamps,
    event_id=ids,
    recommendation_id=st.none() | ids,
)
changes = st.builds(
    ItemChange,
    item_id=ids,
    attributes=st.none() | st.dictionaries(ids, st.none() | st.booleans() | ids | st.lists(ids)),
    hidden=st.none() | st.booleans(),
    deleted=st.booleans(),
    timestamp=timestamps,
)


def event(**changes: Any) -> Event:
    values: dict[str, Any] = {
        "user_id": "u",
        "item_id": "i",
        "type": "click",
        "timestamp": 1.5,
        "event_id": "e",
    }
    return Event(**{**values, **changes})


@given(events | changes)
def test_a_record_comes_back_from_json_as_it_was(record: Event | ItemChange):
    assert from_json(to_json(record)) == record


@pytest.mark.parametrize("name", ["user_id", "item_id", "event_id", "recommendation_id"])
@pytest.mark.parametrize("value", ["", "x" * 513, "é" * 257, "\ud800", 7])
def test_an_id_that_no_model_could_have_is_refused_by_name(name: str, value: object):
    with pytest.raises(InvalidRecordError, match=f"^{name} must"):
        event(**{name: value})


def test_an_id_of_512_bytes_is_kept():
    assert event(user_id="é" * 256).user_id == "é" * 256


@pytest.mark.parametrize("value", ["", " click", "click\n", "-x", "x" * 65, "gefällt", None, 3])
def test_a_type_that_is_no_short_token_is_refused(value: object):
    with pytest.raises(InvalidRecordError, match=r"^type must be 1 to 64 ASCII letters"):
        event(type=value)


@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf"), 1.7e12, "yesterday", None])
def test_a_timestamp_that_is_no_time_in_seconds_is_refused(value: object):
    with pytest.raises(InvalidRecordError, match=r"^timestamp must be in seconds"):
        event(timestamp=value)


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ({"title": "x" * 65_536}, "at most 65536 bytes"),
        ({"title": "\ud800"}, "a JSON object"),
        ({"n": 2**80}, "a JSON object"),
        ({"x": object()}, "a JSON object"),
    ],
)
def test_attributes_that_cannot_be_kept_are_refused(attributes: Any, reason: str):
    with pytest.raises(InvalidRecordError, match=f"^attributes must .*{reason}"):
        ItemChange("i", attributes, hidden=None)


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{}", b'{"event_id": "e"}', b'{"item_id": "i", "x": 1}', b"\x00\xff"]
)
def test_what_is_no_record_is_not_read_as_one(content: bytes):
    with pytest.raises(ValueError, match=r"."):
        from_json(content)
