"""A request for a list together with the model and the journal that answer it."""

from __future__ import annotations

from typing import NamedTuple

from hashrec.index.live.model_overlay import ModelOverlay, OverlayView
from hashrec.index.ranking.order import Bookmark
from hashrec.index.ranking.recommendation import Recommendation, SimilarUser
from hashrec.service.answers.answer import Answer
from hashrec.service.answers.cursor import Cursor
from hashrec.service.answers.envelope import Content
from hashrec.service.answers.wanted import Wanted
from hashrec.service.versions.served_models import LoadedModel


class BoundRequest(NamedTuple):
    """Everything that determines an answer, and the key under which the caches have it.

    Attributes:
        digest: the recommendation id, 16 bytes.
        overlay: the journal as the model sees it.
        bookmark: of the cursor; None for a first page.
        view: the state of the journal for which the digest stands; None until it is needed.
    """

    wanted: Wanted
    model: LoadedModel
    digest: bytes
    key: str
    overlay: ModelOverlay
    bookmark: Bookmark | None = None
    view: OverlayView | None = None

    @classmethod
    def of(cls, wanted: Wanted, model: LoadedModel, overlay: ModelOverlay) -> BoundRequest:
        """Bind a request.

        Raises:
            InvalidCursorError: the cursor does not belong to this list.
        """
        digest = wanted.digest(model.key, overlay.stamp(wanted.user_id))
        key = f"hashrec:{model.version}:{digest.hex()}"
        bookmark = None
        if wanted.cursor is not None:
            bookmark = Cursor(wanted.cursor).bookmark(model.key, wanted.list_digest(model.key))
        return cls(wanted, model, digest, key, overlay, bookmark)

    def with_view(self) -> BoundRequest:
        """Return the request ready to be ranked; the journal must not have been read since `of`."""
        wanted, model, digest, key, overlay, bookmark, _ = self  # `_replace` is three times slower
        view = overlay.view(wanted.user_id)
        return BoundRequest(wanted, model, digest, key, overlay, bookmark, view)

    def rank(self) -> Recommendation | list[SimilarUser]:
        """Make the list."""
        assert self.view is not None
        return self.wanted.kind.rank(self.model.recommender, self.wanted, self.view, self.bookmark)

    def answer(self, content: Content, cache: str) -> Answer:
        """Return the answer, from a cache tier or newly made."""
        return Answer(
            self.digest.hex(),
            self.model.version,
            content.source,
            content.fallback,
            content.body,
            cache,
        )
