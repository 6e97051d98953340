"""The kinds of list that the service answers. A new kind is an entry of `LISTS`, and its route."""

from __future__ import annotations

from hashrec.index.errors import UnknownHistoryError, UnknownUserError
from hashrec.index.live.model_overlay import OverlayView
from hashrec.index.ranking.order import Bookmark
from hashrec.index.ranking.recommendation import Recommendation, SimilarUser
from hashrec.index.ranking.recommender import Recommender
from hashrec.service.answers.wanted import ListKind, Personal, Wanted


def _recommend(
    recommender: Recommender, wanted: Wanted, overlay: OverlayView, bookmark: Bookmark | None
) -> Recommendation:
    return recommender.recommend(
        _id(wanted), wanted.k, wanted.options, overlay=overlay, bookmark=bookmark
    )


def _fold_in(
    recommender: Recommender, wanted: Wanted, overlay: OverlayView, bookmark: Bookmark | None
) -> Recommendation:
    return recommender.recommend_history(
        wanted.positive,
        wanted.negative,
        wanted.k,
        wanted.options,
        overlay=overlay,
        bookmark=bookmark,
    )


def _popular(
    recommender: Recommender, wanted: Wanted, overlay: OverlayView, _: Bookmark | None
) -> Recommendation:
    return recommender.popular(
        wanted.k, wanted.options, user_id=wanted.subject, days=wanted.days, overlay=overlay
    )


def _latest(
    recommender: Recommender, wanted: Wanted, overlay: OverlayView, _: Bookmark | None
) -> Recommendation:
    return recommender.latest(wanted.k, wanted.options, user_id=wanted.subject, overlay=overlay)


def _similar(
    recommender: Recommender, wanted: Wanted, overlay: OverlayView, _: Bookmark | None
) -> Recommendation:
    return recommender.similar_items(_id(wanted), wanted.k, overlay=overlay)


def _similar_users(
    recommender: Recommender, wanted: Wanted, overlay: OverlayView, _: Bookmark | None
) -> list[SimilarUser]:
    return recommender.similar_users(_id(wanted), wanted.k, overlay=overlay)


def _id(wanted: Wanted) -> str:
    assert wanted.subject is not None
    return wanted.subject


RECOMMEND = ListKind(
    "recommend",
    _recommend,
    "user_id",
    personal=Personal(
        frozenset({"personal", "fold_in"}),
        "unknown_user",
        lambda wanted: UnknownUserError(_id(wanted)),
    ),
    has_pages=True,
)
FOLD_IN = ListKind(
    "fold_in",
    _fold_in,
    "history",
    personal=Personal(
        frozenset({"fold_in"}),
        "unknown_history",
        lambda wanted: UnknownHistoryError(len(set(wanted.positive))),
    ),
    has_pages=True,
)
POPULAR = ListKind("popular", _popular, "user_id")
# The first list of the latest items reads the attributes of every item.
LATEST = ListKind("latest", _latest, "user_id", in_thread=True)
SIMILAR = ListKind("similar", _similar, "item_id")
SIMILAR_USERS = ListKind("similar_users", _similar_users, "user_id", of_users=True)

LISTS: dict[str, ListKind] = {
    "recommend": RECOMMEND,
    "fold_in": FOLD_IN,
    "popular": POPULAR,
    "latest": LATEST,
    "similar": SIMILAR,
    "similar_users": SIMILAR_USERS,
}
