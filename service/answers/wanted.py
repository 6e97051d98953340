"""`Wanted`: a request for a list, and the digests that name its reply."""

from __future__ import annotations

from hashlib import blake2b
from typing import Literal, NamedTuple

import orjson

from hashrec.index.ranking.recommendation import NO_OPTIONS, Options
from hashrec.service.answers import envelope
from hashrec.service.answers.cursor import LIST_BYTES

REPLY_FORMAT = 2  # part of every key: change it when the same request gives other bytes
INLINE_IDS = 200  # of a history and of the options, each of which is looked up
INLINE_ITEMS_ARRANGED = 50  # of a list that is diversified or explained

Kind = Literal["recommend", "fold_in", "popular", "latest", "similar", "similar_users"]
# Kinds of list whose subject is a user.
OF_USERS = frozenset[Kind]({"recommend", "popular", "latest", "similar_users"})
# Kinds of list that have pages.
PAGED = frozenset[Kind]({"recommend", "fold_in"})


class Wanted(NamedTuple):
    """Everything that determines a reply, beside the model.

    Attributes:
        kind: the kind of list.
        subject: the user's id, for `similar` the item's; None for popular and latest items for
            anyone, and for `fold_in`.
        positive: for `fold_in`, ids of items that the user took.
        negative: for `fold_in`, ids of items that the user refused.
        cursor: where the list goes on; None for its first page.
        fields: attributes that each item is given with; None for its title.
    """

    kind: Kind
    subject: str | None
    k: int
    options: Options = NO_OPTIONS
    positive: tuple[str, ...] = ()
    negative: tuple[str, ...] = ()
    cursor: str | None = None
    fields: tuple[str, ...] | None = None

    @property
    def is_inline(self) -> bool:
        """Whether ranking takes, beside the search, less time than a thread costs others."""
        options = self.options
        n_ids = len(self.positive) + len(self.negative)
        n_ids += len(options.exclude) + len(options.include)
        arranged = options.explain or options.diversity > 0
        return n_ids <= INLINE_IDS and not (arranged and self.k > INLINE_ITEMS_ARRANGED)

    @property
    def user_id(self) -> str | None:
        """The user whose events the reply depends on, if there is one."""
        return self.subject if self.kind in OF_USERS else None

    def digest(self, model_key: bytes, stamp: tuple[int, int] | None = None) -> bytes:
        """Return the 16 bytes that name the reply: equal for equal replies, and only for those.

        Args:
            model_key: of the model that ranks.
            stamp: of the journal's last entries that matter, see `ModelOverlay.stamp`.
        """
        parts = (REPLY_FORMAT, self.k, *self._list_parts())
        if self.cursor is not None:
            parts += ("cursor", self.cursor)
        if self.fields is not None:
            parts += ("fields", sorted(set(self.fields)))
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
        parts = (self.kind, self.subject, _PLAIN if plain else _option_parts(self.options))
        if self.kind == "fold_in":
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
