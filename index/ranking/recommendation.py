"""What is asked of a recommender beside the user, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

from hashrec.index.errors import ConfigError
from hashrec.index.ranking.order import Bookmark

MAX_K = 500

Source = Literal[
    "personal", "category_popular", "popular", "similar", "fold_in", "latest", "recent_popular"
]
CategoryMode = Literal["any", "all"]


@dataclass(frozen=True, slots=True)
class Options:
    """What an answer may hold, and how it is laid out.

    Attributes:
        exclude_seen: leave out what the user has interacted with.
        exclude: item ids to leave out; ids the model does not know are ignored.
        categories: if any, only items of these categories; a name that does not exist has no items.
        category_mode: of several categories, an item needs `any` or `all`.
        include: if any, only these item ids; ids the model does not know are ignored.
        diversity: 0 to 1, how much the distance between the items of a list counts beside their
            distance from the user; see `ranking/diversity.py`. Lists of popular items
            stay as they are.
        explain: say for each item which of the user's own items are nearest to it.
    """

    exclude_seen: bool = True
    exclude: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    category_mode: CategoryMode = "any"
    include: tuple[str, ...] = ()
    diversity: float = 0.0
    explain: bool = False

    @property
    def popular_source(self) -> Literal["category_popular", "popular"]:
        """How an item is tagged that is given by popularity."""
        return "category_popular" if self.categories else "popular"


NO_OPTIONS = Options()


@dataclass(frozen=True, slots=True)
class OwnItem:
    """One of the user's own items.

    Attributes:
        row: in the model.
        agreeing_bits: in which its code and that of the explained item agree.
    """

    item_id: str
    row: int
    agreeing_bits: int


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why an item is in a list.

    Attributes:
        agreeing_bits: in which the user's code and the item's agree.
        bits: of a code.
        because: the user's own items whose codes are nearest to the item's, nearest first.
    """

    agreeing_bits: int
    bits: int
    because: tuple[OwnItem, ...]


class RecommendedItem(NamedTuple):
    """One place in an answer; a tuple, which is made in a third of a dataclass's time.

    Attributes:
        score: `1 - hamming / n_bits`; for a popular item, its users over the most popular's, or
            the same of its interactions in a window. Where
            the model re-ranks, or a list is diversified, `rank` need not follow it.
        hamming: distance in bits; None if the item was not found by distance.
        row: in the model; None for an item that only the journal has.
        explanation: None if none was asked for, or the user has no code.
    """

    item_id: str
    rank: int
    score: float
    hamming: int | None
    source: Source
    row: int | None
    explanation: Explanation | None = None


@dataclass(frozen=True, slots=True)
class Recommendation:
    """An answer: at most k items, best first, none twice.

    Attributes:
        n_unknown: ids of the history that the model does not know, and that counted for nothing.
        bookmark: where the list goes on; None at its end, and for lists that have no pages.
    """

    model_version: str
    source: Source
    items: tuple[RecommendedItem, ...]
    n_unknown: int = 0
    bookmark: Bookmark | None = None


@dataclass(frozen=True, slots=True)
class SimilarUser:
    """A user whose code is near to another's.

    Attributes:
        score: `1 - hamming / n_bits`.
        hamming: distance in bits.
    """

    user_id: str
    rank: int
    score: float
    hamming: int


def require_k(k: int) -> None:
    """Check the length of a list.

    Raises:
        ConfigError: it is not from 1 to 500.
    """
    if not 1 <= k <= MAX_K:
        raise ConfigError(f"k must be from 1 to {MAX_K}, got {k}")


def require_diversity(diversity: float) -> None:
    """Check the dial.

    Raises:
        ConfigError: it is not from 0 to 1.
    """
    if not 0 <= diversity <= 1:
        raise ConfigError(f"diversity must be from 0 to 1, got {diversity}")
