"""`Recommender`: from an external id to the items to show, over one artifact.

This is the only ranking path. The service answers with it and the offline evaluation measures it,
so a published figure describes what a user gets.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from index.artifact import Artifact
from index.backends import FaissFlat, HammingIndex
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
from index.latest import Latest, latest_items
from index.listing import Allowed, Reasons, near_items, popular_items
from index.model_overlay import CatalogueView, OverlayView
from index.order import POPULAR, Bookmark, Order, Place
from index.pages import diverse_page, plain_page
from index.ranking import NO_ROWS, Ranking, Rows, most_popular, nearest
from index.recommendation import (
    MAX_K,
    CategoryMode,
    Options,
    Recommendation,
    RecommendedItem,
    SimilarUser,
    Source,
    require_diversity,
    require_k,
)
from index.seen import RowLists, common, contained
from index.subsets import Subset, Subsets

__all__ = [
    "BATCH",
    "MAX_K",
    "CategoryMode",
    "Options",
    "Recommendation",
    "RecommendedItem",
    "Recommender",
    "Source",
]

BATCH = 256  # queries a search takes at once: bounds the memory of batch ranking
_POPULAR_START = Bookmark("popular", 0)


class Recommender:
    """Ranks items for users of one artifact. Immutable and safe to call from several threads."""

    def __init__(self, artifact: Artifact) -> None:
        self._model = artifact.model
        self._subsets = Subsets(artifact.model.item_codes, artifact.model.item_table)
        self._everything = Subset(artifact.index, None)
        self._latest = Latest(artifact.model)
        self._unchanged = OverlayView(CatalogueView.unchanged(artifact.model.item_table))
        self.artifact = artifact
        self.version = artifact.manifest.version
        self.n_bits = artifact.manifest.n_bits

    @property
    def n_users(self) -> int:
        """Users of the model."""
        return len(self._model.users)

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
        bookmark: Bookmark | None = None,
    ) -> Recommendation:
        """Rank the items for a user; an unknown user gets the popular ones.

        A user with events that the model has not learned from is coded anew, by the history that
        they make with what the model knows the user took; so is an unknown user with events.

        Args:
            user_id: external id.
            k: length of the list, 1 to 500.
            options: what the list may hold, and how it is laid out.
            strict: refuse an unknown user.
            overlay: the user's events, and the catalogue as it was changed; None for neither.
            bookmark: of a list for this user from this model with these options: goes on there, by
                the code that list was made with. What has been hidden since is left out.

        Returns:
            k items, or all that are allowed where those are fewer.

        Raises:
            ConfigError: k or the diversity is out of range.
            UnknownUserError: the user is unknown and `strict` is set.
        """
        options, overlay = options or Options(), overlay or self._unchanged
        require_k(k)
        require_diversity(options.diversity)
        user_row = self._model.users.row(user_id)
        allowed = self._allowed(self._excluded(user_row, options, overlay), options, overlay)
        if bookmark is None:
            bookmark = self._start(user_row, overlay)
            if strict and bookmark.kind == "popular":
                raise UnknownUserError(user_id)
        own = self._seen(user_row)
        if overlay.has_events:
            own = np.union1d(own[~contained(own, overlay.negatives)], overlay.positives)
        items, following = self._page(allowed, k, options, bookmark, user_row=user_row, own=own)
        return self._answer(allowed, bookmark, items, following)

    def recommend_history(
        self,
        positive: Collection[str],
        negative: Collection[str] = (),
        k: int = 10,
        options: Options | None = None,
        *,
        strict: bool = False,
        overlay: OverlayView | None = None,
        bookmark: Bookmark | None = None,
    ) -> Recommendation:
        """Rank the items for someone the model does not know, by what they took and refused.

        The history is never recommended, but for positive items with `exclude_seen=False`. Ids that
        the model does not know count for nothing, and neither does repeating one. Without a known
        positive item the list is of popular items.

        Args:
            positive: item ids.
            negative: item ids.
            k: length of the list, 1 to 500.
            options: what the list may hold besides, and how it is laid out.
            strict: refuse a history without a known positive item.
            overlay: the catalogue as it was changed; None leaves it as the model has it.
            bookmark: of a list for this history from this model with these options.

        Raises:
            ConfigError: k or the diversity is out of range, or an item is both positive and
                negative.
            UnknownHistoryError: no positive item is known and `strict` is set.
            NoEncoderError: the artifact is from before there were encoders.
        """
        options, overlay = options or Options(), overlay or self._unchanged
        require_k(k)
        require_diversity(options.diversity)
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
        allowed = self._allowed(excluded, options, overlay)
        if not len(positives) and strict:
            raise UnknownHistoryError(len(taken))
        if bookmark is None:
            bookmark = _POPULAR_START
            if len(positives):
                code = self._fold_in(_one_list(positives), _one_list(negatives))
                bookmark = Bookmark("fold_in", 0, code.packed.tobytes())
        items, following = self._page(allowed, k, options, bookmark, own=positives)
        return self._answer(allowed, bookmark, items, following, n_unknown)

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
            options: what the list may hold.
            user_id: someone, who may be unknown.
            overlay: that user's events, and the catalogue as it was changed; None for neither.

        Raises:
            ConfigError: k is out of range.
        """
        options, overlay = options or Options(), overlay or self._unchanged
        require_k(k)
        user_row = None if user_id is None else self._model.users.row(user_id)
        allowed = self._allowed(self._excluded(user_row, options, overlay), options, overlay)
        items, following = self._page(allowed, k, options, _POPULAR_START)
        return self._answer(allowed, _POPULAR_START, items, following)

    def latest(
        self,
        k: int = 10,
        options: Options | None = None,
        *,
        user_id: str | None = None,
        overlay: OverlayView | None = None,
    ) -> Recommendation:
        """Return the newest items by their timestamps, then popular ones, as `popular` does.

        Items that the model does not have are among them.

        Args:
            k: length of the list, 1 to 500.
            options: what the list may hold.
            user_id: someone, who may be unknown.
            overlay: that user's events, and the catalogue as it was changed; None for neither.

        Raises:
            ConfigError: k is out of range.
        """
        options, overlay = options or Options(), overlay or self._unchanged
        require_k(k)
        user_row = None if user_id is None else self._model.users.row(user_id)
        allowed = self._allowed(self._excluded(user_row, options, overlay), options, overlay)
        newest = self._latest.newest(k, allowed, options, overlay)
        items = latest_items(self._model, newest)
        taken = np.array([new.row for new in newest if new.row is not None], dtype=np.int64)
        filler, _ = self._popular_page(
            allowed, k - len(items), _POPULAR_START, n_before=len(items), taken=np.sort(taken)
        )
        source = "latest" if items else allowed.popular_source
        return Recommendation(self.version, source, (*items, *filler))

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
        require_k(k)
        catalogue = (overlay or self._unchanged).catalogue
        row = self._model.items.row(item_id)
        if row is None or row in catalogue.deleted:
            raise UnknownItemError(item_id)
        itself, code = np.array([row], dtype=np.int64), self._model.item_codes[row]
        found = nearest(self._everything, code, [itself], k, catalogue.hidden)[0]
        items = near_items(self._model, found, "similar")
        return Recommendation(self.version, "similar", tuple(items))

    def similar_users(
        self, user_id: str, k: int = 10, *, overlay: OverlayView | None = None
    ) -> list[SimilarUser]:
        """Return the users whose codes are nearest to a user's, without that user; ties by row.

        All codes are read, a million of 192 bits in a few milliseconds: an index over them would
        hold as much memory as that of the items, for a question that is asked rarely.

        Args:
            user_id: external id.
            k: length of the list, 1 to 500.
            overlay: the user's events, which can give them a code; None for none.

        Raises:
            ConfigError: k is out of range.
            UnknownUserError: the user has no code.
        """
        require_k(k)
        user_row = self._model.users.row(user_id)
        start = self._start(user_row, overlay or self._unchanged)
        if start.kind == "popular":
            raise UnknownUserError(user_id)
        code = BinaryCodes(np.frombuffer(start.code, dtype=np.uint8)[None])
        distances = self._model.user_codes.distances(code)
        if user_row is not None:
            distances[user_row] = self.n_bits + 1
        n = min(k, len(distances) - (user_row is not None))
        if not n:
            return []
        last = np.partition(distances, n - 1)[n - 1]
        near = np.flatnonzero(distances <= last)
        rows = near[np.argsort(distances[near], kind="stable")][:n]
        found = zip(self._model.users.ids(rows), distances[rows].tolist(), strict=True)
        return [
            SimilarUser(other, rank, 1 - hamming / self.n_bits, hamming)
            for rank, (other, hamming) in enumerate(found, 1)
        ]

    def attributes(self, item_id: str) -> Mapping[str, Any]:
        """Return an item's attributes as the model has them, none for an item it does not have."""
        row = self._model.items.row(item_id)
        return {} if row is None else self._model.item_table.of(row)

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
        catalogue: CatalogueView | None = None,
    ) -> Iterator[Ranking]:
        """Rank the whole catalogue for many users, in the order of `user_rows`.

        Args:
            user_rows: int, shape (n,).
            k: length of each list; not bounded by the service's limit.
            exclude_seen: leave out what each user has interacted with.
            rerank: as the service does where the model can; False ranks by Hamming distance alone.
            catalogue: as it was changed; None leaves it as the model has it.
        """
        nothing, hidden = NO_ROWS, (catalogue or self._unchanged.catalogue).hidden
        for start in range(0, len(user_rows), BATCH):
            batch = user_rows[start : start + BATCH]
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
        for start in range(0, len(positives), BATCH):
            batch = range(start, min(start + BATCH, len(positives)))
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

    def _start(self, user_row: int | None, overlay: OverlayView) -> Bookmark:
        """Return where a user's list begins, and the code it is made from."""
        if (history := self._new_history(user_row, overlay)) is not None:
            code = self._fold_in(*map(_one_list, history))
            return Bookmark("fold_in", 0, code.packed.tobytes())
        if user_row is None:
            return _POPULAR_START
        return Bookmark("personal", 0, self._model.user_codes[user_row].packed.tobytes())

    def _page(
        self,
        allowed: Allowed,
        k: int,
        options: Options,
        bookmark: Bookmark,
        *,
        user_row: int | None = None,
        own: NDArray[np.integer] = NO_ROWS,
    ) -> tuple[list[RecommendedItem], Bookmark | None]:
        """Return the next k items of a list, and where it goes on."""
        if bookmark.kind == "popular":
            return self._popular_page(allowed, k, bookmark)
        code = BinaryCodes(np.frombuffer(bookmark.code, dtype=np.uint8)[None])
        reasons = Reasons(code, own) if options.explain else None
        order = Order(
            allowed.subset,
            self._model.item_codes,
            code,
            allowed.excluded,
            allowed.hidden,
            reranker=self._model.reranker if bookmark.kind == "personal" else None,
            user_row=-1 if user_row is None else user_row,
            head=bookmark.head,
        )
        items: list[RecommendedItem] = []
        place = bookmark.place
        if place is None or place.stage != POPULAR:
            page = (
                diverse_page(
                    order,
                    self._model.item_codes,
                    place,
                    bookmark.block,
                    k=k,
                    dial=options.diversity,
                )
                if options.diversity
                else plain_page(order, place, k)
            )
            first_rank = bookmark.n_given + 1
            items = near_items(
                self._model, page.ranking, bookmark.kind, first_rank=first_rank, reasons=reasons
            )
            if page.more:
                n_given = bookmark.n_given + len(items)
                following = Bookmark(
                    bookmark.kind, n_given, bookmark.code, order.head, page.place, page.block
                )
                return items, following
            if order.subset.index.exact:  # an approximate index may have missed some
                return items, None
        found = order.everything()
        filler, following = self._popular_page(
            allowed, k - len(items), bookmark, n_before=len(items), taken=found, reasons=reasons
        )
        return items + filler, following

    def _popular_page(
        self,
        allowed: Allowed,
        k: int,
        bookmark: Bookmark,
        *,
        n_before: int = 0,
        taken: Rows = NO_ROWS,
        reasons: Reasons | None = None,
    ) -> tuple[list[RecommendedItem], Bookmark | None]:
        """Return the next k popular items behind a bookmark and `n_before` others."""
        place, n_given = bookmark.place, bookmark.n_given + n_before
        after = -1 if place is None or place.stage != POPULAR else place.row
        rows = allowed.most_popular(self.n_items, k + 1, after=after, taken=taken)
        items = popular_items(
            self._model,
            rows[:k],
            allowed.popular_source,
            first_rank=n_given + 1,
            reasons=reasons,
        )
        if len(rows) <= k:
            return items, None
        last = Place(POPULAR, 0, 0, int(rows[k - 1]) if k else after)
        return items, dataclasses.replace(bookmark, n_given=n_given + k, place=last, block=None)

    def _answer(
        self,
        allowed: Allowed,
        bookmark: Bookmark,
        items: list[RecommendedItem],
        following: Bookmark | None,
        n_unknown: int = 0,
    ) -> Recommendation:
        source = allowed.popular_source if bookmark.kind == "popular" else bookmark.kind
        return Recommendation(self.version, source, tuple(items), n_unknown, following)

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

    def _allowed(
        self, excluded: NDArray[np.integer], options: Options, overlay: OverlayView
    ) -> Allowed:
        subset, hidden = self._subset(options, overlay), overlay.catalogue.hidden
        if subset.rows is not None:  # so that what is elsewhere costs a search nothing
            excluded, hidden = common(excluded, subset.rows), common(hidden, subset.rows)
        return Allowed(subset, excluded, hidden, options.popular_source)

    def _subset(self, options: Options, overlay: OverlayView) -> Subset:
        subset = self._everything
        if options.categories:
            members = overlay.catalogue.members
            subset = self._subsets.get(options.categories, options.category_mode, members)
        if not options.include:
            return subset
        rows = np.unique(np.array(self._model.items.known_rows(options.include), dtype=np.int64))
        if subset.rows is not None:
            rows = rows[contained(rows, subset.rows)]
        return Subset(FaissFlat.build(self._model.item_codes[rows]), rows)

    def _excluded(
        self, user_row: int | None, options: Options, overlay: OverlayView
    ) -> NDArray[np.integer]:
        """Return a user's rows to leave out, ascending and distinct."""
        excluded = self._seen(user_row) if options.exclude_seen else NO_ROWS
        if len(overlay.refused):
            excluded = np.union1d(excluded, overlay.refused)
        if overlay.has_events:
            excluded = np.union1d(excluded, overlay.negatives)
            if options.exclude_seen:
                excluded = np.union1d(excluded, overlay.positives)
        if not options.exclude:
            return excluded
        return np.union1d(excluded, self._model.items.known_rows(options.exclude)).astype(np.int64)


def _one_list(rows: NDArray[np.integer]) -> RowLists:
    return RowLists(np.array([0, len(rows)], dtype=np.int64), rows.astype(np.int32))
