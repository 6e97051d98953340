"""`Recommender`: from an external id to the items to show, over one artifact.

This is the only ranking path. The service answers with it, and `bulk.py`, which the offline
evaluation measures, searches and re-ranks by the same functions: a published figure describes what
a user gets.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from hashrec.index.arrays.codes import BinaryCodes
from hashrec.index.arrays.rows import NO_ROWS, Rows
from hashrec.index.arrays.seen import RowLists, common, contained
from hashrec.index.artifacts.artifact import Artifact
from hashrec.index.backends import EXACT_INDEX, HammingIndex
from hashrec.index.errors import (
    ConfigError,
    UnknownHistoryError,
    UnknownItemError,
    UnknownUserError,
    shorten,
)
from hashrec.index.live.catalogue_view import CatalogueView
from hashrec.index.live.model_overlay import OverlayView
from hashrec.index.model.recent import RecentItems, recent_items
from hashrec.index.model.subsets import Subset, Subsets
from hashrec.index.ranking.fold_in import fold_in, require_encoder
from hashrec.index.ranking.history_weights import history_weights
from hashrec.index.ranking.latest import Latest
from hashrec.index.ranking.listing import Allowed, near_items
from hashrec.index.ranking.nearest import nearest
from hashrec.index.ranking.next_items import next_items
from hashrec.index.ranking.order import Bookmark
from hashrec.index.ranking.recommendation import (
    MAX_K,
    NO_OPTIONS,
    CategoryMode,
    Options,
    Recommendation,
    RecommendedItem,
    SimilarUser,
    Source,
    require_diversity,
    require_k,
)
from hashrec.index.ranking.similar_users import nearest_users

__all__ = [
    "MAX_K",
    "CategoryMode",
    "Options",
    "Recommendation",
    "RecommendedItem",
    "Recommender",
    "Source",
]

_POPULAR_START = Bookmark("popular", 0)


class Recommender:
    """Ranks items for users of one artifact. Immutable and safe to call from several threads.

    Args:
        artifact: to rank with.
        fallback_days: unknown users, and lists with too few personal items, get the popular items
            of the last days that the model learned from; None is all its time.
    """

    def __init__(self, artifact: Artifact, *, fallback_days: int | None = None) -> None:
        self._model = artifact.model
        self._subsets = Subsets(artifact.model.item_codes, artifact.model.item_table)
        self._everything = Subset(artifact.index, None)
        self._latest = Latest(artifact.model)
        self._fallback = None if fallback_days is None else self._learned(fallback_days)
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
        options: Options = NO_OPTIONS,
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
        require_k(k)
        require_diversity(options.diversity)
        overlay = overlay or self._unchanged
        user_row = self._user_row(user_id)
        allowed = self._allowed_for(user_row, options, overlay, self._fallback)
        if bookmark is None:
            bookmark = self._start(user_row, overlay)
            if strict and bookmark.kind == "popular":
                raise UnknownUserError(user_id)
        own = self._own(user_row, overlay) if options.explain else NO_ROWS
        return self._answer(allowed, k, options, bookmark, user_row=user_row, own=own)

    def recommend_history(
        self,
        positive: Collection[str],
        negative: Collection[str] = (),
        k: int = 10,
        options: Options = NO_OPTIONS,
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
        require_k(k)
        require_diversity(options.diversity)
        require_encoder(self.artifact)
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
        allowed = self._allowed(excluded, options, overlay or self._unchanged, self._fallback)
        if not len(positives) and strict:
            raise UnknownHistoryError(len(taken))
        if bookmark is None:
            bookmark = _POPULAR_START
            if len(positives):
                code = fold_in(self.artifact, _one_list(positives), _one_list(negatives))
                bookmark = Bookmark("fold_in", 0, code.packed.tobytes())
        answer = self._answer(allowed, k, options, bookmark, own=positives)
        return dataclasses.replace(answer, n_unknown=n_unknown)

    def popular(
        self,
        k: int = 10,
        options: Options = NO_OPTIONS,
        *,
        user_id: str | None = None,
        days: int | None = None,
        overlay: OverlayView | None = None,
    ) -> Recommendation:
        """Return the most popular items, less those that `user_id` has seen.

        Args:
            k: length of the list, 1 to 500.
            options: what the list may hold.
            user_id: someone, who may be unknown.
            days: only interactions of the last days count, up to the newest that is known; the
                other items follow by popularity. None counts all. An overlay brings the counts.
            overlay: that user's events, and the catalogue as it was changed; None for neither.

        Raises:
            ConfigError: k is out of range.
        """
        require_k(k)
        user_row, overlay = self._user_row(user_id), overlay or self._unchanged
        recent = None if days is None else overlay.recent or self._learned(days)
        allowed = self._allowed_for(user_row, options, overlay, recent)
        return self._answer(allowed, k, options, _POPULAR_START)

    def latest(
        self,
        k: int = 10,
        options: Options = NO_OPTIONS,
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
        require_k(k)
        overlay = overlay or self._unchanged
        allowed = self._allowed_for(self._user_row(user_id), options, overlay)
        items = self._latest.items(k, allowed, options, overlay)
        source = items[0].source if items else allowed.popular_source
        return Recommendation(self.version, source, tuple(items))

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

        Args:
            user_id: external id.
            k: length of the list, 1 to 500.
            overlay: the user's events, which can give them a code; None for none.

        Raises:
            ConfigError: k is out of range.
            UnknownUserError: the user has no code.
        """
        require_k(k)
        user_row = self._user_row(user_id)
        start = self._start(user_row, overlay or self._unchanged)
        if start.kind == "popular":
            raise UnknownUserError(user_id)
        code = BinaryCodes(np.frombuffer(start.code, dtype=np.uint8)[None])
        return nearest_users(self._model, code, user_row, k)

    def title(self, item_id: str) -> str | None:
        """Return an item's title as the model has it, None if it or the item is unknown."""
        row = self._model.items.row(item_id)
        return None if row is None else self._model.item_table.title(row)

    def own_rows(self, user_id: str, overlay: OverlayView) -> Rows:
        """Return the rows of the items that a user took by now, int64, ascending."""
        return self._own(self._user_row(user_id), overlay).astype(np.int64)

    def _start(self, user_row: int | None, overlay: OverlayView) -> Bookmark:
        """Return where a user's list begins, and the code it is made from."""
        if (history := self._new_history(user_row, overlay)) is not None:
            taken, refused = history
            weights = history_weights(self.artifact, user_row, overlay, taken)
            code = fold_in(self.artifact, _one_list(taken), _one_list(refused), weights)
            return Bookmark("fold_in", 0, code.packed.tobytes())
        if user_row is None:
            return _POPULAR_START
        return Bookmark("personal", 0, self._model.user_codes.packed[user_row].tobytes())

    def _answer(
        self,
        allowed: Allowed,
        k: int,
        options: Options,
        bookmark: Bookmark,
        *,
        user_row: int | None = None,
        own: NDArray[np.integer] = NO_ROWS,
    ) -> Recommendation:
        """Return the next items of a list."""
        items, following = next_items(
            self._model, allowed, k, options, bookmark, user_row=user_row, own=own
        )
        source = bookmark.kind
        if source == "popular":
            source = items[0].source if items else allowed.popular_source
        return Recommendation(self.version, source, tuple(items), bookmark=following)

    def _new_history(
        self, user_row: int | None, overlay: OverlayView
    ) -> tuple[NDArray[np.integer], NDArray[np.integer]] | None:
        """Return what a user took and refused, None where the model knows all that is known.

        None too where nothing is left that they took, or where no history can be coded.
        """
        if self._model.encoder is None or not overlay.has_events:
            return None
        if (
            self.artifact.manifest.policy.is_even  # else a repeated event changes a strength
            and not len(overlay.negatives)
            and contained(overlay.positives, self._seen(user_row)).all()
        ):
            return None
        taken = self._own(user_row, overlay)
        return (taken, overlay.negatives) if len(taken) else None

    def _own(self, user_row: int | None, overlay: OverlayView) -> NDArray[np.integer]:
        """Return the items that a user took, ascending."""
        seen = self._seen(user_row)
        if not overlay.has_events:
            return seen
        return np.union1d(seen[~contained(seen, overlay.negatives)], overlay.positives)

    def _user_row(self, user_id: str | None) -> int | None:
        return None if user_id is None else self._model.users.row(user_id)

    def _seen(self, user_row: int | None) -> NDArray[np.integer]:
        return NO_ROWS if user_row is None else self._model.seen[user_row]

    def _learned(self, days: int) -> RecentItems:
        return recent_items(self._model.recent, days, len(self._model.items))

    def _allowed_for(
        self,
        user_row: int | None,
        options: Options,
        overlay: OverlayView,
        recent: RecentItems | None = None,
    ) -> Allowed:
        return self._allowed(self._excluded(user_row, options, overlay), options, overlay, recent)

    def _allowed(
        self,
        excluded: NDArray[np.integer],
        options: Options,
        overlay: OverlayView,
        recent: RecentItems | None = None,
    ) -> Allowed:
        subset, hidden = self._subset(options, overlay), overlay.catalogue.hidden
        if subset.rows is not None:  # so that what is elsewhere costs a search nothing
            excluded, hidden = common(excluded, subset.rows), common(hidden, subset.rows)
        return Allowed(subset, excluded, hidden, options.popular_source, recent)

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
        return Subset(EXACT_INDEX.build(self._model.item_codes[rows]), rows)

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
