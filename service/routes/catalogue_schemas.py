"""What requests and replies say about the catalogue and about users."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, JsonValue

from hashrec.index.errors import ConfigError, InvalidRecordError
from hashrec.index.live.journal import ItemChange
from hashrec.service.answers.cursor import MAX_LENGTH as MAX_CURSOR
from hashrec.service.routes.event_bodies import seconds_of
from hashrec.service.routes.schemas import MAX_K, ExternalId, LengthQuery

MAX_TITLE = 2000
MAX_ITEM_CATEGORIES = 100
OWN_CATEGORIES = 5  # that a user's description names
# Members of a reply that are no attributes of the item; `in_model` is ours to say.
_NOT_ATTRIBUTES = frozenset({"item_id", "hidden", "in_model"})

_EXAMPLE: dict[str, JsonValue] = {
    "title": "One Flew Over the Cuckoo's Nest (1975)",
    "categories": ["Drama"],
    "timestamp": 1_764_000_000,
    "year": 1975,
}


class ItemBody(BaseModel):
    """An item's attributes: these, and any others."""

    model_config = ConfigDict(extra="allow", json_schema_extra={"examples": [_EXAMPLE]})

    item_id: Annotated[
        ExternalId | None,
        Field(description="Optional; if given, it must equal the id in the path."),
    ] = None
    title: Annotated[str | None, Field(max_length=MAX_TITLE)] = None
    categories: Annotated[
        list[ExternalId] | None,
        Field(max_length=MAX_ITEM_CATEGORIES, description="Names of categories."),
    ] = None
    timestamp: Annotated[
        FiniteFloat | str | None,
        Field(description="Time the item was added: seconds since 1970, or ISO 8601."),
    ] = None
    hidden: Annotated[
        bool | None, Field(description="Whether to leave the item out of every list.")
    ] = None

    def given(self, item_id: str) -> dict[str, Any]:
        """Return the attributes that were given, null for those that should go.

        Raises:
            ConfigError: the body is about another item, or the timestamp is none.
        """
        if self.item_id is not None and self.item_id != item_id:
            raise ConfigError("body.item_id: the path has another id")
        found = {name: getattr(self, name) for name in self.model_fields_set if name in _ATTRIBUTES}
        found |= self.__pydantic_extra__ or {}
        if self.timestamp is not None:
            try:
                seconds = seconds_of(self.timestamp)
            except InvalidRecordError as error:
                raise ConfigError(f"body.{error}") from None
            found["timestamp"] = int(seconds) if seconds == int(seconds) else seconds
        return {name: value for name, value in found.items() if name not in _NOT_ATTRIBUTES}

    def replaced(self, item_id: str, now: float) -> ItemChange:
        """Return the change that makes an item what the body says, and nothing else.

        Raises:
            ConfigError: the body cannot be kept.
        """
        attributes = {
            name: value for name, value in self.given(item_id).items() if value is not None
        }
        return _change(item_id, attributes, self.hidden or False, now)

    def merged(self, item_id: str, attributes: dict[str, Any], now: float) -> ItemChange:
        """Return the change that replaces what the body gives, and leaves the rest.

        Args:
            item_id: the item.
            attributes: as they are.
            now: seconds since 1970.

        Raises:
            ConfigError: the body cannot be kept.
        """
        given = self.given(item_id)
        if not given:
            return _change(item_id, None, self.hidden, now)
        merged = {**attributes, **given}
        kept = {name: value for name, value in merged.items() if value is not None}
        return _change(item_id, kept, self.hidden, now)


_ATTRIBUTES = frozenset({"title", "categories", "timestamp"})


def _change(
    item_id: str, attributes: dict[str, Any] | None, hidden: bool | None, now: float
) -> ItemChange:
    try:
        return ItemChange(item_id, attributes, hidden, timestamp=now)
    except InvalidRecordError as error:
        raise ConfigError(f"body: {error}") from None


class CatalogueItem(BaseModel):
    """An item, with whatever attributes it has."""

    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={
            "examples": [{"item_id": "1193", **_EXAMPLE, "hidden": False, "in_model": True}]
        },
    )

    item_id: str
    title: str | None = None
    categories: list[str] = []
    timestamp: Annotated[float | None, Field(description="Seconds since 1970.")] = None
    hidden: Annotated[bool, Field(description="Whether every list leaves the item out.")]
    in_model: Annotated[
        bool,
        Field(
            description="Whether the served model has the item. Until then it is in `/latest` only."
        ),
    ]


class CatalogueQuery(LengthQuery):
    """Options of a listing of the catalogue."""

    k: Annotated[
        int, Field(ge=1, le=MAX_K, description="Number of items. Out of range is an error.")
    ] = 100
    cursor: Annotated[
        str | None,
        Field(
            min_length=1,
            max_length=MAX_CURSOR,
            pattern="^[A-Za-z0-9_-]+$",
            description="`next_cursor` of the page before. 410 once its model is not served any "
            "more.",
        ),
    ] = None


class ItemsReply(BaseModel):
    """A page of the catalogue."""

    model_version: str
    items: list[CatalogueItem]
    count: Annotated[int, Field(ge=0, description="Number of items, at most `k`.")]
    next_cursor: Annotated[str | None, Field(description="Null on the last page.")]


class CategoryCount(BaseModel):
    """A category, and how many of a user's items are in it."""

    category: str
    items: Annotated[int, Field(ge=1)]


class UserReply(BaseModel):
    """What is known of a user."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "user_id": "42",
                    "model_version": "20261123T060000Z-3f9a1c",
                    "known": True,
                    "seen": 53,
                    "positive": 2,
                    "negative": 1,
                    "categories": [{"category": "Drama", "items": 24}],
                }
            ]
        }
    )

    user_id: str
    model_version: str
    known: Annotated[bool, Field(description="Whether the served model has the user.")]
    seen: Annotated[int, Field(ge=0, description="Number of the user's items in training.")]
    positive: Annotated[int, Field(ge=0, description="Number of positive events since training.")]
    negative: Annotated[int, Field(ge=0, description="Number of negative events since training.")]
    categories: Annotated[
        list[CategoryCount],
        Field(
            max_length=OWN_CATEGORIES,
            description="The most frequent categories of the user's items.",
        ),
    ]
