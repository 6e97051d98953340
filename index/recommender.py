"""`Recommender`: from an external id to the items to show, over one artifact.

This is the only ranking path. The service answers with it and the offline evaluation measures it,
so a published figure describes what a user gets.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from index.artifact import Artifact
from index.backends import HammingIndex
from index.codes import BinaryCodes
from index.encoder import Encoder
from index.errors import (
    ConfigError,
    NoEncoderError,
    UnknownHistoryError,
    UnknownItemError,
    UnknownUserError,
    shorten,
)
from index.model_overlay import CatalogueView, OverlayView
from index.ranking import NO_ROWS, Ranking, Rows, most_popular, nearest
from index.seen import RowLists, contained
from index.subsets import Subset, Subsets

MAX_K = 500
BATCH = 256  # queries a search takes at once: bounds the memory of batch ranking

Source = Literal["personal", "category_popular", "popular", "similar", "fold_in"]
CategoryMode = Literal["any", "all"]


@dataclass(frozen=True, slots=True)
class RecommendedItem:
    """One place in an answer.

    Attributes:
        score: `1 - hamming / n_bits`; for a popular item, its users over the most popular's. Where
            the model re-ranks, `rank` is the better order and the score need not follow it.
        hamming: distance in bits; None where the item was not found by distance.
    """

    item_id: str
    rank: int
    score: float
    hamming: int | None
    source: Source


@dataclass(frozen=True, slots=True)
class Recommendation:
    """An answer: at most k items, best first, none twice.

    Attributes:
        n_unknown: ids of the history that the model does not know, and that counted for nothing.
    """

    model_version: str
    source: Source
    items: tuple[RecommendedItem, ...]
    n_unknown: int = 0


@dataclass(frozen=True, slots=True)
class Options:
    """What an answer may hold.

    Attributes:
        exclude_seen: leave out what the user has interacted with.
        exclude: item ids to leave out; ids the model does not know are ignored.
        categories: if any, only items of these categories; a name that does not exist has no items.
        category_mode: of several categories, an item needs `any` or `all`.
    """

    exclude_seen: bool = True
    exclude: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    category_mode: CategoryMode = "any"


class Recommender:
    """Ranks items for users of one artifact. Immutable and safe to call from several threads."""

    def __init__(self, artifact: Artifact) -> None:
        self._model = artifact.model
        self._subsets = Subsets(artifact.model.item_codes, artifact.model.item_table)
        self._everything = Subset(artifact.index, None)
        self._unchanged = OverlayView(CatalogueView.unchanged(artifact.model.item_table))
        self.artifact = artifact
        self.version = artifact.manifest.version
        self.n_bits = artifact.manifest.n_bits

    @property
    def n_items(self) -> int:
        """Items in the catalogue."""
        return len(self._model.items)

    @property
    def reranks(self) -> bool:
        """Whether known users' lists are in a better order than that of their distances."""
        return self._model.reranker is not None

    @property
    def index(self) -> HammingIndex:
        """The index over the whole catalogue."""
        return self._everything.index

    def recommend(
        self,
        user_id: str,
        k: int = 10,
        options: Options | None = None,
        *,
        strict: bool = False,
        overlay: OverlayView | None = None,
    ) -> Recommendation:
        """Rank the items for a user; an unknown user gets the popular ones.

        A user with events that the model has not learned from is coded anew, by the history that
        they make with what the model knows the user took; so is an unknown user with events.

        Args:
            user_id: external id.
            k: length of the list, 1 to 500.
            options: what to leave out.
            strict: refuse an unknown user.
            overlay: the user's events, and the catalogue as it was changed; None for neither.

        Returns:
            k items, or all that are allowed where those are fewer.

        Raises:
            ConfigError: k is out of range.
            UnknownUserError: the user is unknown and `strict` is set.
        """
        options, overlay = options or Options(), overlay or self._unchanged
        _require_k(k)
        user_row = self._model.users.row(user_id)
        subset = self._subset(options, overlay)
        excluded = self._excluded(user_row, options, overlay)
        hidden = overlay.catalogue.hidden
        source: Source = "personal"
        if (history := self._new_history(user_row, overlay)) is not None:
            source, code = "fold_in", self._fold_in(*map(_one_list, history))
            found = nearest(subset, code, [excluded], k, hidden)[0]
        elif user_row is not None:
            codes, rows = self._model.user_codes[user_row], np.array([user_row])
            found = self._personal(subset, codes, rows, [excluded], k, hidden=hidden)[0]
        elif strict:
            raise UnknownUserError(user_id)
        else:
            return self.popular(k, options, user_id=user_id, overlay=overlay)
        items = self._filled(found, source, subset, excluded, k, hidden=hidden)
        return Recommendation(self.version, source, items)

    def recommend_history(
        self,
        positive: Collection[str],
        negative: Collection[str] = (),
        k: int = 10,
        options: Options | None = None,
        *,
        strict: bool = False,
        overlay: OverlayView | None = None,
    ) -> Recommendation:
        """Rank the items for someone the model does not know, by what they took and refused.

        The history is never recommended, but for positive items with `exclude_seen=False`. Ids that
        the model does not know count for nothing, and neither does repeating one. Without a known
        positive item the list is of popular items.

        Args:
            positive: item ids.
            negative: item ids.
            k: length of the list, 1 to 500.
            options: what to leave out besides.
            strict: refuse a history without a known positive item.
            overlay: the catalogue as it was changed; None leaves it as the model has it.

        Raises:
            ConfigError: k is out of range, or an item is both positive and negative.
            UnknownHistoryError: no positive item is known and `strict` is set.
            NoEncoderError: the artifact is from before there were encoders.
        """
        options, overlay = options or Options(), overlay or self._unchanged
        _require_k(k)
        self._require_encoder()
        taken, refused = frozenset(positive), frozenset(negative)
        if both := taken & refused:
            raise ConfigError(f"item {shorten(min(both))!r} is both positive and negative")
        positives, negatives = (
            np.sort(np.array(self._model.items.known_rows(ids), dtype=np.int64))
            for ids in (taken, refused)
        )
        n_unknown = len(taken) + len(refused) - len(positives) - len(negatives)
        dropped = [negatives, self._model.items.known_rows(options.exclude)]
        if options.exclude_seen:
            dropped.append(positives)
        excluded = np.unique(np.concatenate(dropped)).astype(np.int64)
        subset, hidden = self._subset(options, overlay), overlay.catalogue.hidden
        if not len(positives):
            if strict:
                raise UnknownHistoryError(len(taken))
            items = self._popular_items(subset, np.union1d(excluded, hidden), k, first_rank=1)
            return Recommendation(self.version, subset.popular_source, tuple(items), n_unknown)
        code = self._fold_in(_one_list(positives), _one_list(negatives))
        found = nearest(subset, code, [excluded], k, hidden)[0]
        items = self._filled(found, "fold_in", subset, excluded, k, hidden=hidden)
        return Recommendation(self.version, "fold_in", items, n_unknown)

    def popular(
        self,
        k: int = 10,
        options: Options | None = None,
        *,
        user_id: str | None = None,
        overlay: OverlayView | None = None,
    ) -> Recommendation:
        """Return the most popular items, less those that `user_id` has seen.

        Args:
            k: length of the list, 1 to 500.
            options: what to leave out.
            user_id: someone, who may be unknown.
            overlay: that user's events, and the catalogue as it was changed; None for neither.

        Raises:
            ConfigError: k is out of range.
        """
        options, overlay = options or Options(), overlay or self._unchanged
        _require_k(k)
        user_row = None if user_id is None else self._model.users.row(user_id)
        excluded = self._excluded(user_row, options, overlay)
        subset = self._subset(options, overlay)
        dropped = np.union1d(excluded, overlay.catalogue.hidden)
        items = self._popular_items(subset, dropped, k, first_rank=1)
        return Recommendation(self.version, subset.popular_source, tuple(items))

    def similar_items(
        self, item_id: str, k: int = 10, *, overlay: OverlayView | None = None
    ) -> Recommendation:
        """Return the items whose codes are nearest to an item's, without the item itself.

        A hidden item has similar ones, a deleted one is unknown.

        Args:
            item_id: external id.
            k: length of the list, 1 to 500.
            overlay: the catalogue as it was changed; None leaves it as the model has it.

        Raises:
            ConfigError: k is out of range.
            UnknownItemError: the item is not in the model.
        """
        _require_k(k)
        catalogue = (overlay or self._unchanged).catalogue
        row = self._model.items.row(item_id)
        if row is None or row in catalogue.deleted:
            raise UnknownItemError(item_id)
        itself, code = np.array([row], dtype=np.int64), self._model.item_codes[row]
        found = nearest(self._everything, code, [itself], k, catalogue.hidden)[0]
        return Recommendation(self.version, "similar", tuple(self._items(found, "similar")))

    def title(self, item_id: str) -> str | None:
        """Return an item's title, or None where it or the item is unknown."""
        row = self._model.items.row(item_id)
        return None if row is None else self._model.item_table.title(row)

    def rank_users(
        self,
        user_rows: NDArray[np.integer],
        k: int,
        *,
        exclude_seen: bool = True,
        rerank: bool = True,
    ) -> Iterator[Ranking]:
        """Rank the whole catalogue for many users, in the order of `user_rows`.

        Args:
            user_rows: int, shape (n,).
            k: length of each list; not bounded by the service's limit.
            exclude_seen: leave out what each user has interacted with.
            rerank: as the service does where the model can; False ranks by Hamming distance alone.
        """
        nothing, hidden = NO_ROWS, self._unchanged.catalogue.hidden
        # A batch fetches what its longest list needs. An approximate index breaks ties at the end
        # of what it fetches as it likes, so there each user is searched as the service would.
        size = BATCH if self.index.exact else 1
        for start in range(0, len(user_rows), size):
            batch = user_rows[start : start + size]
            excluded = [self._model.seen[int(row)] if exclude_seen else nothing for row in batch]
            codes = self._model.user_codes[batch]
            yield from self._personal(
                self._everything, codes, batch, excluded, k, hidden=hidden, rerank=rerank
            )

    def rank_histories(
        self, positives: RowLists, negatives: RowLists | None, k: int
    ) -> Iterator[Rows]:
        """Rank the whole catalogue for many histories, as `recommend_history` does for one.

        Args:
            positives: item rows that each user took.
            negatives: item rows that each user refused, as many lists; None is none.
            k: length of each list; not bounded by the service's limit.

        Raises:
            NoEncoderError: the artifact is from before there were encoders.
        """
        codes, hidden = self._fold_in(positives, negatives), self._unchanged.catalogue.hidden
        size = BATCH if self.index.exact else 1  # see `rank_users`
        for start in range(0, len(positives), size):
            batch = range(start, min(start + size, len(positives)))
            excluded = [
                positives[user]
                if negatives is None
                else np.union1d(positives[user], negatives[user])
                for user in batch
            ]
            part = codes[batch.start : batch.stop]
            found = nearest(self._everything, part, excluded, k, hidden)
            for user, dropped, ranking in zip(batch, excluded, found, strict=True):
                if len(positives[user]):
                    yield ranking.rows
                else:
                    yield most_popular(self.n_items, np.union1d(dropped, hidden), k)

    def rank_popular(
        self, user_rows: NDArray[np.integer], k: int, *, exclude_seen: bool = True
    ) -> Iterator[Rows]:
        """Return the most popular rows for many users: the reference for every model."""
        hidden = self._unchanged.catalogue.hidden
        for row in user_rows:
            excluded = self._model.seen[int(row)] if exclude_seen else NO_ROWS
            yield most_popular(self.n_items, np.union1d(excluded, hidden), k)

    def _personal(
        self,
        subset: Subset,
        codes: BinaryCodes,
        user_rows: NDArray[np.integer],
        excluded: Sequence[NDArray[np.integer]],
        k: int,
        *,
        hidden: Rows,
        rerank: bool = True,
    ) -> list[Ranking]:
        """Rank for users of the model: the nearest, in a better order where there is one."""
        reranker = self._model.reranker if rerank else None
        if reranker is None:
            return nearest(subset, codes, excluded, k, hidden)
        rankings: list[Ranking] = []
        found = nearest(subset, codes, excluded, max(k, reranker.depth), hidden)
        for user_row, near in zip(user_rows.tolist(), found, strict=True):
            best = reranker.order(user_row, near.rows, near.hamming)[:k]
            rankings.append(Ranking(near.rows[best], near.hamming[best]))
        return rankings

    def _fold_in(self, positives: RowLists, negatives: RowLists | None) -> BinaryCodes:
        """Return the code of each history."""
        codes = self._require_encoder().users.encode(positives, negatives)
        if self._model.refiner is None:
            return codes
        return self._model.refiner.refine(
            codes, positives, negatives, item_codes=self._model.item_codes, index=self.index
        )

    def _require_encoder(self) -> Encoder:
        if self._model.encoder is None:
            raise NoEncoderError(self.version)
        return self._model.encoder

    def _new_history(
        self, user_row: int | None, overlay: OverlayView
    ) -> tuple[NDArray[np.integer], NDArray[np.integer]] | None:
        """Return what a user took and refused, None where the model knows all that is known.

        None too where nothing is left that they took, or where no history can be coded.
        """
        if self._model.encoder is None or not overlay.has_events:
            return None
        seen = self._seen(user_row)
        positives, negatives = overlay.positives, overlay.negatives
        if not len(negatives) and contained(positives, seen).all():
            return None
        taken = np.union1d(seen[~contained(seen, negatives)], positives)
        return (taken, negatives) if len(taken) else None

    def _seen(self, user_row: int | None) -> NDArray[np.integer]:
        return NO_ROWS if user_row is None else self._model.seen[user_row]

    def _subset(self, options: Options, overlay: OverlayView) -> Subset:
        if not options.categories:
            return self._everything
        members = overlay.catalogue.members
        return self._subsets.get(options.categories, options.category_mode, members)

    def _excluded(
        self, user_row: int | None, options: Options, overlay: OverlayView
    ) -> NDArray[np.integer]:
        """Return a user's rows to leave out, ascending and distinct."""
        excluded = self._seen(user_row) if options.exclude_seen else NO_ROWS
        if overlay.has_events:
            excluded = np.union1d(excluded, overlay.negatives)
            if options.exclude_seen:
                excluded = np.union1d(excluded, overlay.positives)
        if not options.exclude:
            return excluded
        return np.union1d(excluded, self._model.items.known_rows(options.exclude)).astype(np.int64)

    def _filled(
        self,
        found: Ranking,
        source: Source,
        subset: Subset,
        excluded: NDArray[np.integer],
        k: int,
        *,
        hidden: Rows,
    ) -> tuple[RecommendedItem, ...]:
        """Return what was found, and popular items after it if that is fewer than k."""
        items = self._items(found, source)
        if len(items) < k:  # an approximate index can find fewer than there are
            taken = np.union1d(np.union1d(excluded, hidden), found.rows)
            items += self._popular_items(subset, taken, k - len(items), first_rank=len(items) + 1)
        return tuple(items)

    def _items(self, ranking: Ranking, source: Source) -> list[RecommendedItem]:
        return [
            RecommendedItem(item_id, rank, 1 - hamming / self.n_bits, hamming, source)
            for rank, (item_id, hamming) in enumerate(
                zip(self._model.items.ids(ranking.rows), ranking.hamming.tolist(), strict=True), 1
            )
        ]

    def _popular_items(
        self, subset: Subset, excluded: NDArray[np.integer], k: int, *, first_rank: int
    ) -> list[RecommendedItem]:
        if subset.rows is None:
            rows = most_popular(self.n_items, excluded, k)
        else:
            rows = subset.rows[~contained(subset.rows, excluded)][:k]
        most = max(1, int(self._model.popularity[0]))
        return [
            RecommendedItem(
                self._model.items.id(row),
                rank,
                int(self._model.popularity[row]) / most,
                None,
                subset.popular_source,
            )
            for rank, row in enumerate(rows.tolist(), first_rank)
        ]


def _one_list(rows: NDArray[np.integer]) -> RowLists:
    return RowLists(np.array([0, len(rows)], dtype=np.int64), rows.astype(np.int32))


def _require_k(k: int) -> None:
    if not 1 <= k <= MAX_K:
        raise ConfigError(f"k must be from 1 to {MAX_K}, got {k}")
