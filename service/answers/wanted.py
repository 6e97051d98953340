"""`Wanted`: a request for a list, its kind, and the digests that name its reply."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b
from typing import Literal, NamedTuple

import orjson

from hashrec.index.errors import HashrecError
from hashrec.index.live.model_overlay import OverlayView
from hashrec.index.ranking.order import Bookmark
from hashrec.index.ranking.recommendation import (
    NO_OPTIONS,
    Options,
    Recommendation,
    SimilarUser,
    Source,
)
from hashrec.index.ranking.recommender import Recommender
from hashrec.service.answers import envelope
from hashrec.service.answers.cursor import LIST_BYTES

REPLY_FORMAT = 2  # part of every key: change it when the same request gives other bytes

Rank = Callable[
    [Recommender, "Wanted", OverlayView, Bookmark | None], Recommendation | list[SimilarUser]
]


@dataclass(frozen=True, slots=True, eq=False)
class Personal:
    """What is expected of a list that should be personal.

    Attributes:
        sources: sources of an item that count as personal.
        fallback: reason, for metrics, why a list holds popular items instead.
        refusal: makes the error that a strict request gets in place of such a list.
    """

    sources: frozenset[Source]
    fallback: str
    refusal: Callable[[Wanted], HashrecError]

    def fallback_of(self, recommendation: Recommendation) -> str | None:
        """Return why a list is not personal, or not to its end; None if it is."""
        if recommendation.source not in self.sources:
            return self.fallback
        if recommendation.items and recommendation.items[-1].source not in self.sources:
            return "too_few_found"
        return None


@dataclass(frozen=True, slots=True, eq=False)
class ListKind:
    """A kind of list: everything in which it differs from the other kinds.

    Attributes:
        name: part of every key, so it never changes.
        rank: makes the list from a recommender, the request, the overlay at the time of the
            request, and the bookmark of its cursor.
        subject: what the list is for, as the reply names it: a user, an item, or a history, whose
            `user_id` is null.
        personal: for a list that should be personal; None for other lists.
        has_pages: whether the list continues behind a cursor.
        of_users: whether users are searched instead of items.
        in_thread: whether ranking always takes a thread, even on a small catalogue.
    """

    name: str
    rank: Rank
    subject: Literal["user_id", "item_id", "history"]
    personal: Personal | None = None
    has_pages: bool = False
    of_users: bool = False
    in_thread: bool = False


class Wanted(NamedTuple):
    """Everything that determines a reply, beside the model.

    Attributes:
        kind: of list, one of `LISTS`.
        subject: id of the user or item; None for a list for anyone, and for a history.
        positive: of a history, ids of items that the user took.
        negative: of a history, ids of items that the user refused.
        cursor: where the list continues; None for its first page.
        fields: attributes to give with each item; None for its title.
        days: only interactions of the last days count for popular items; None counts all.
    """

    kind: ListKind
    subject: str | None
    k: int
    options: Options = NO_OPTIONS
    positive: tuple[str, ...] = ()
    negative: tuple[str, ...] = ()
    cursor: str | None = None
    fields: tuple[str, ...] | None = None
    days: int | None = None

    @property
    def names(self) -> dict[str, str | None]:
        """The subject as the reply names it; nothing for a list for anyone."""
        if self.kind.subject == "history":
            return {"user_id": None}
        return {} if self.subject is None else {self.kind.subject: self.subject}

    @property
    def user_id(self) -> str | None:
        """The user whose events the reply depends on, if there is one."""
        return self.subject if self.kind.subject == "user_id" else None

    def digest(
        self,
        model_key: bytes,
        stamp: tuple[int, int] | None = None,
        counted: tuple[int, int] | None = None,
    ) -> bytes:
        """Return the 16 bytes that name the reply: equal for equal replies, and only for those.

        Args:
            model_key: of the model that ranks.
            stamp: of the journal's last entries that matter, see `ModelOverlay.stamp`.
            counted: what the items of the last days were counted up to, see `RecentItems.stamp`.
        """
        parts = (REPLY_FORMAT, self.k, *self._list_parts())
        if self.cursor is not None:
            parts += ("cursor", self.cursor)
        if self.fields is not None:
            parts += ("fields", sorted(set(self.fields)))
        if self.days is not None:
            parts += ("days", self.days, counted)
        if stamp is not None:
            parts += (stamp,)
        return blake2b(
            orjson.dumps(parts), digest_size=envelope.DIGEST_BYTES, key=model_key
        ).digest()

    def list_digest(self, model_key: bytes) -> bytes:
        """Return the 8 bytes that name the list of which the reply is a page."""
        parts = orjson.dumps(self._list_parts())
        return blake2b(parts, digest_size=LIST_BYTES, key=model_key).digest()

    def _list_parts(self) -> tuple[object, ...]:
        # Ids hold any character, so the parts are written as JSON, not joined by a separator.
        plain = self.options is NO_OPTIONS
        parts = (self.kind.name, self.subject, _PLAIN if plain else _option_parts(self.options))
        if self.kind.subject == "history":
            parts += (sorted(set(self.positive)), sorted(set(self.negative)))
        return parts


def _option_parts(options: Options) -> tuple[object, ...]:
    return (
        options.exclude_seen,
        sorted(set(options.exclude)),
        sorted(set(options.categories)),
        options.category_mode,
        sorted(set(options.include)),
        float(options.diversity),
        options.explain,
    )


_PLAIN = orjson.Fragment(orjson.dumps(_option_parts(NO_OPTIONS)))  # what most requests have
