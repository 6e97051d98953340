"""What requests may say and what replies look like. The limits of both live here."""

from __future__ import annotations

from collections.abc import Mapping, Sized
from typing import Annotated, Literal, Self, cast

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, model_validator

from hashrec.index.arrays.ids import MAX_ID_BYTES, require_id
from hashrec.index.model.recent import MAX_DAYS, WINDOW_PATTERN, days_of
from hashrec.index.ranking.recommendation import MAX_K, Options, Source
from hashrec.service.answers.cursor import MAX_LENGTH as MAX_CURSOR
from hashrec.service.answers.lists import (
    FOLD_IN,
    LATEST,
    POPULAR,
    RECOMMEND,
    SIMILAR,
    SIMILAR_USERS,
)
from hashrec.service.answers.wanted import ListKind, Wanted

DEFAULT_K = 10
MAX_BATCH = 1000
MAX_BATCH_ITEMS = 50_000  # a reply of about 5 MB
MAX_EXCLUDED = 1000
MAX_INCLUDED = 1000
MAX_HISTORY = 1000
MAX_CATEGORIES = 50
MAX_MEMBERS = 50  # each unknown one is an error that takes time to describe


ExternalId = Annotated[
    str,
    AfterValidator(require_id),
    Field(json_schema_extra={"minLength": 1, "maxLength": MAX_ID_BYTES}),
]


Cursor = Annotated[
    str | None,
    Field(
        min_length=1,
        max_length=MAX_CURSOR,
        pattern="^[A-Za-z0-9_-]+$",
        description="`next_cursor` of the page before. The other options must be the same, but for "
        "`k`. 410 once its model is not served any more.",
    ),
]

REPEATABLE = frozenset({"exclude", "include", "category"})  # a query gives every other option once


class LengthQuery(BaseModel):
    """How many items to return."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    k: Annotated[
        int, Field(ge=1, le=MAX_K, description="Number of items. Out of range is an error.")
    ] = DEFAULT_K
    n: Annotated[
        int | None, Field(ge=1, le=MAX_K, description="Another name for `k`.", exclude=True)
    ] = None

    @model_validator(mode="before")
    @classmethod
    def _few_members(cls, given: object) -> object:
        members = cast("Sized", given if isinstance(given, Mapping) else ())
        if len(members) > MAX_MEMBERS:
            raise ValueError(f"more than {MAX_MEMBERS} members, most of which mean nothing here")
        return cast("object", given)

    @model_validator(mode="after")
    def _one_length(self) -> Self:
        if self.n is not None and "k" in self.model_fields_set and self.n != self.k:
            raise ValueError("k and n are the same option and differ; give one of them")
        return self

    @property
    def length(self) -> int:
        """Number of items wanted."""
        return self.k if self.n is None else self.n


class ItemsQuery(LengthQuery):
    """How many items to return, and what to say of each."""

    fields: Annotated[
        str | None,
        Field(
            max_length=1000,
            description="Attributes to give with each item, with commas between them, such as "
            "`title,categories`. Left out, the title.",
        ),
    ] = None

    @property
    def named_fields(self) -> tuple[str, ...] | None:
        """The attributes, None for those that are given anyway."""
        if self.fields is None:
            return None
        return tuple(name for part in self.fields.split(",") if (name := part.strip()))


class FilterQuery(ItemsQuery):
    """Which items a list may hold."""

    exclude: Annotated[
        list[ExternalId],
        Field(max_length=MAX_EXCLUDED, description="Item ids to leave out; repeat for several."),
    ] = []
    include: Annotated[
        list[ExternalId],
        Field(
            max_length=MAX_INCLUDED,
            description="Only these item ids; repeat for several. By default all are allowed.",
        ),
    ] = []
    category: Annotated[
        list[ExternalId],
        Field(max_length=MAX_CATEGORIES, description="Only items of these categories."),
    ] = []
    category_mode: Annotated[
        Literal["any", "all"],
        Field(description="Whether an item needs any or all of several categories."),
    ] = "any"


class RecommendOptions(FilterQuery):
    """Options of a list for someone."""

    exclude_seen: Annotated[
        bool, Field(description="Leave out items that the user has interacted with.")
    ] = True
    strict: Annotated[
        bool, Field(description="Return 404 for an unknown user, instead of popular items.")
    ] = False

    diversity: Annotated[
        float,
        Field(
            ge=0,
            le=1,
            allow_inf_nan=False,
            description="How much the distance between the items of the list counts beside their "
            "distance from the user; 0 leaves the order as it is.",
        ),
    ] = 0.0
    explain: Annotated[
        bool,
        Field(
            description="Say for each item how many bits agree with the user's code, and which of "
            "the user's own items agree most with it."
        ),
    ] = False

    def _options(self) -> Options:
        return Options(
            self.exclude_seen,
            tuple(self.exclude),
            tuple(self.category),
            self.category_mode,
            tuple(self.include),
            self.diversity,
            self.explain,
        )


class RecommendQuery(RecommendOptions):
    """Options of a user's recommendations."""

    cursor: Cursor = None

    def wanted(self, user_id: str) -> Wanted:
        """Return the request for a user's list."""
        return Wanted(
            RECOMMEND,
            user_id,
            self.length,
            self._options(),
            cursor=self.cursor,
            fields=self.named_fields,
        )


class FoldInRequest(RecommendOptions):
    """What someone without an id here took and refused, with the options of their list."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"positive": ["1193", "661", "914"], "negative": ["2355"], "k": 10}]
        }
    )

    positive: Annotated[
        list[ExternalId],
        Field(
            max_length=MAX_HISTORY,
            description="Ids of items the user took. Unknown ones are ignored and counted; order "
            "and repetition do not matter.",
        ),
    ] = []
    negative: Annotated[
        list[ExternalId],
        Field(
            max_length=MAX_HISTORY,
            description="Ids of items the user refused; never recommended, none also positive.",
        ),
    ] = []
    exclude_seen: Annotated[bool, Field(description="Leave out the positive items.")] = True
    strict: Annotated[
        bool,
        Field(description="Return 404 if no positive item is known, instead of popular items."),
    ] = False
    cursor: Cursor = None

    def wanted(self) -> Wanted:
        """Return the request for the list."""
        return Wanted(
            FOLD_IN,
            None,
            self.length,
            self._options(),
            tuple(self.positive),
            tuple(self.negative),
            self.cursor,
            self.named_fields,
        )


class AnyoneQuery(FilterQuery):
    """Options of a list for anyone."""

    user_id: Annotated[
        ExternalId | None, Field(description="Leave out items that this user has interacted with.")
    ] = None

    def _wanted(self, kind: ListKind, days: int | None = None) -> Wanted:
        options = Options(
            True,
            tuple(self.exclude),
            tuple(self.category),
            self.category_mode,
            tuple(self.include),
        )
        return Wanted(kind, self.user_id, self.length, options, fields=self.named_fields, days=days)


class PopularQuery(AnyoneQuery):
    """Options of the popular items."""

    window: Annotated[
        str | None,
        Field(
            pattern=WINDOW_PATTERN,
            description="Count only the interactions of the last days, for example `7d`, at most "
            f"`{MAX_DAYS}d`. The window ends with the newest interaction known: with the newest "
            "event, or the newest interaction that the model learned from. Items without an "
            "interaction in it follow by popularity. By default all interactions count.",
        ),
    ] = None

    def wanted(self) -> Wanted:
        """Return the request for the list."""
        return self._wanted(POPULAR, None if self.window is None else days_of(self.window))


class LatestQuery(AnyoneQuery):
    """Options of the latest items."""

    def wanted(self) -> Wanted:
        """Return the request for the list."""
        return self._wanted(LATEST)


class SimilarQuery(ItemsQuery):
    """Options of the items similar to one."""

    def wanted(self, item_id: str) -> Wanted:
        """Return the request for an item's list."""
        return Wanted(SIMILAR, item_id, self.length, fields=self.named_fields)


class SimilarUsersQuery(LengthQuery):
    """Options of the users similar to one."""

    k: Annotated[
        int, Field(ge=1, le=MAX_K, description="Number of users. Out of range is an error.")
    ] = DEFAULT_K

    def wanted(self, user_id: str) -> Wanted:
        """Return the request for a user's list."""
        return Wanted(SIMILAR_USERS, user_id, self.length)


class BatchRequest(RecommendOptions):
    """Users whose lists are wanted, with the options of them all."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"user_ids": ["42", "new-user"], "k": 10}]}
    )

    user_ids: Annotated[
        list[str],
        Field(
            min_length=1,
            max_length=MAX_BATCH,
            description=f"Number of users times `k` is at most {MAX_BATCH_ITEMS:,}.",
        ),
    ]

    def wanted(self, user_id: str) -> Wanted:
        """Return the request for one user's list."""
        return Wanted(RECOMMEND, user_id, self.length, self._options(), fields=self.named_fields)

    @model_validator(mode="after")
    def _bounded_reply(self) -> Self:
        n_items = len(self.user_ids) * self.length
        if n_items > MAX_BATCH_ITEMS:
            raise ValueError(
                f"{len(self.user_ids)} users times k={self.length} is {n_items} items and at most "
                f"{MAX_BATCH_ITEMS} are given; ask for fewer users at once, or for a smaller k"
            )
        return self


class OwnItemReply(BaseModel):
    """One of the user's own items."""

    item_id: str
    agreeing_bits: Annotated[
        int,
        Field(
            ge=0,
            description="Number of bits in which its code and that of the explained item agree.",
        ),
    ]
    title: Annotated[str | None, Field(description="Absent if it is unknown.")] = None


class ExplanationReply(BaseModel):
    """Why an item is in a list."""

    agreeing_bits: Annotated[
        int, Field(ge=0, description="Number of bits in which the codes of user and item agree.")
    ]
    bits: Annotated[int, Field(ge=8, description="Bits of a code.")]
    because: Annotated[
        list[OwnItemReply],
        Field(
            max_length=3,
            description="The user's own items whose codes are nearest to the item's.",
        ),
    ]


class ItemReply(BaseModel):
    """One place in a list, with the attributes that were asked for."""

    model_config = ConfigDict(extra="allow")

    item_id: str
    rank: Annotated[int, Field(ge=1, description="1 for the first.")]
    score: Annotated[
        float,
        Field(
            ge=0,
            le=1,
            description="`1 - hamming / bits`; of a popular item, its users over the most "
            "popular's, or likewise its interactions in the window. A model that re-ranks knows a "
            "better order than that of the score, and `rank` follows it.",
        ),
    ]
    hamming: Annotated[
        int | None,
        Field(ge=0, description="Bits in which the codes differ; null for a popular item."),
    ]
    source: Source
    title: Annotated[
        str | None, Field(description="Absent if it is unknown or not among `fields`.")
    ] = None
    explanation: Annotated[
        ExplanationReply | None,
        Field(description="Only with `explain`; absent if the user has no code."),
    ] = None


_PERSONAL_ITEM: dict[str, JsonValue] = {
    "item_id": "1193",
    "rank": 1,
    "score": 0.84375,
    "hamming": 30,
    "source": "personal",
    "title": "One Flew Over the Cuckoo's Nest (1975)",
}


def _example(subject: dict[str, JsonValue], source: str) -> dict[str, JsonValue]:
    return {
        **subject,
        "model_version": "20261123T060000Z-3f9a1c",
        "recommendation_id": "9b1f4c0d7a52e8366c1be4a1f0d95b27",
        "source": source,
        "items": [{**_PERSONAL_ITEM, "source": source}],
        "count": 1,
    }


class ListReply(BaseModel):
    """A list of items, best first, none twice."""

    model_version: Annotated[str, Field(description="The model that ranked the list.")]
    recommendation_id: Annotated[
        str, Field(description="Id of this list; equal lists have equal ids.")
    ]
    source: Source
    items: list[ItemReply]
    count: Annotated[int, Field(ge=0, description="Number of items, at most `k`.")]


class PagedReply(ListReply):
    """A page of a list."""

    next_cursor: Annotated[
        str | None,
        Field(description="Send it as `cursor` for the next page; null on the last page."),
    ]


class RecommendReply(PagedReply):
    """A user's recommendations."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {**_example({"user_id": "42"}, "personal"), "next_cursor": "AZ1c4s0n3mQ..."}
            ]
        }
    )

    user_id: str


class FoldInReply(PagedReply):
    """Recommendations for a history."""

    # No example: FastAPI would leave the null out of it.
    user_id: Annotated[None, Field(description="Null: the list is for a history.")]
    unknown_ids: Annotated[
        int, Field(ge=0, description="Ids of the history that the model does not know.")
    ]


class SimilarReply(ListReply):
    """The items nearest to an item."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [_example({"item_id": "1207"}, "similar")]}
    )

    item_id: str


class SimilarUserReply(BaseModel):
    """One place in a list of users."""

    user_id: str
    rank: Annotated[int, Field(ge=1, description="1 for the first.")]
    score: Annotated[float, Field(ge=0, le=1, description="`1 - hamming / bits`.")]
    hamming: Annotated[int, Field(ge=0, description="Bits in which the codes differ.")]


class SimilarUsersReply(BaseModel):
    """The users nearest to a user."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "user_id": "42",
                    "model_version": "20261123T060000Z-3f9a1c",
                    "recommendation_id": "9b1f4c0d7a52e8366c1be4a1f0d95b27",
                    "users": [{"user_id": "17", "rank": 1, "score": 0.84375, "hamming": 30}],
                    "count": 1,
                }
            ]
        }
    )

    user_id: str
    model_version: Annotated[str, Field(description="The model whose codes these are.")]
    recommendation_id: Annotated[
        str, Field(description="Id of this list; equal lists have equal ids.")
    ]
    users: list[SimilarUserReply]
    count: Annotated[int, Field(ge=0, description="Number of users, at most `k`.")]


class PopularReply(ListReply):
    """The most popular items."""

    user_id: Annotated[str | None, Field(description="Absent if none was given.")] = None


class LatestReply(ListReply):
    """The newest items."""

    user_id: Annotated[str | None, Field(description="Absent if none was given.")] = None


class FieldProblem(BaseModel):
    """One thing that is wrong with a request."""

    location: Annotated[str, Field(description="Place of the error, such as `query.k`.")]
    message: str


class Problem(BaseModel):
    """An error, as RFC 9457 describes it."""

    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={
            "examples": [
                {
                    "type": "urn:hashrec:invalid-request",
                    "title": "Unprocessable Entity",
                    "status": 422,
                    "detail": "query.k: Input should be less than or equal to 500",
                    "instance": "/recommend/42",
                    "request_id": "5f0c1c9a2b7d-17",
                    "errors": [
                        {
                            "location": "query.k",
                            "message": "Input should be less than or equal to 500",
                        }
                    ],
                }
            ]
        },
    )

    type: Annotated[str, Field(description="The kind of error; `about:blank` for plain HTTP.")]
    title: str
    status: Annotated[int, Field(ge=400, le=599)]
    detail: Annotated[str, Field(description="What is wrong, and what to do.")]
    instance: Annotated[str | None, Field(description="The requested path.")] = None
    request_id: Annotated[
        str | None, Field(description="Id of the request, for reports and logs.")
    ] = None
    errors: Annotated[
        list[FieldProblem] | None, Field(description="Each invalid part of the request.")
    ] = None


class BatchReply(BaseModel):
    """For each user in the order asked, a list or the problem in its place."""

    results: list[RecommendReply | Problem]


class HealthReply(BaseModel):
    """Whether the service should get requests."""

    model_config = ConfigDict(extra="allow")

    status: Literal["alive", "ready", "degraded"]
