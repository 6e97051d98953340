"""The next items of a list, near ones and then popular ones, and the bookmark behind them."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from hashrec.index.arrays.codes import BinaryCodes
from hashrec.index.arrays.rows import NO_ROWS, Rows
from hashrec.index.model.model import Model
from hashrec.index.ranking.listing import Allowed, Reasons, near_items
from hashrec.index.ranking.order import POPULAR, Bookmark, Order
from hashrec.index.ranking.pages import diverse_page, plain_page
from hashrec.index.ranking.popular import popular_page
from hashrec.index.ranking.recommendation import Options, RecommendedItem

NextItems = tuple[list[RecommendedItem], Bookmark | None]  # and where the list goes on


def next_items(
    model: Model,
    allowed: Allowed,
    k: int,
    options: Options,
    bookmark: Bookmark,
    *,
    user_row: int | None = None,
    own: NDArray[np.integer] = NO_ROWS,
) -> NextItems:
    """Return the next k items of a list.

    Args:
        model: to rank with.
        allowed: what the list may hold.
        k: how many.
        options: how the list is laid out.
        bookmark: what it is made from, and where it goes on.
        user_row: whose list it is; None for someone the model does not know.
        own: the user's items, ascending, for explanations.
    """
    if bookmark.kind == "popular":
        return next_popular(model, allowed, k, bookmark)
    code = BinaryCodes(np.frombuffer(bookmark.code, dtype=np.uint8)[None])
    reasons = Reasons(code, own) if options.explain else None
    order = Order(
        allowed.subset,
        model.item_codes,
        code,
        allowed.excluded,
        allowed.hidden,
        reranker=model.reranker if bookmark.kind == "personal" else None,
        user_row=-1 if user_row is None else user_row,
        head=bookmark.head,
    )
    items: list[RecommendedItem] = []
    place = bookmark.place
    if place is None or place.stage != POPULAR:
        page = (
            diverse_page(
                order, model.item_codes, place, bookmark.block, k=k, dial=options.diversity
            )
            if options.diversity
            else plain_page(order, place, k)
        )
        items = near_items(
            model,
            page.ranking,
            bookmark.kind,
            first_rank=bookmark.n_given + 1,
            reasons=reasons,
        )
        if page.more:
            n_given = bookmark.n_given + len(items)
            return items, Bookmark(
                bookmark.kind, n_given, bookmark.code, order.head, page.place, page.block
            )
        if order.subset.index.exact:  # an approximate index may have missed some
            return items, None
    found = order.everything()
    filler, following = next_popular(
        model, allowed, k - len(items), bookmark, n_before=len(items), taken=found, reasons=reasons
    )
    return items + filler, following


def next_popular(
    model: Model,
    allowed: Allowed,
    k: int,
    bookmark: Bookmark,
    *,
    n_before: int = 0,
    taken: Rows = NO_ROWS,
    reasons: Reasons | None = None,
) -> NextItems:
    """Return the next k popular items of a list.

    Args:
        model: to rank with.
        allowed: what the list may hold.
        k: how many.
        bookmark: where the list goes on.
        n_before: other items that come between.
        taken: rows to leave out besides, ascending.
        reasons: for explanations, if there are to be any.
    """
    n_given, place = bookmark.n_given + n_before, bookmark.place
    items, last = popular_page(
        model,
        allowed,
        k,
        None if place is None or place.stage != POPULAR else place,
        taken=taken,
        first_rank=n_given + 1,
        reasons=reasons,
    )
    if last is None:
        return items, None
    return items, dataclasses.replace(bookmark, n_given=n_given + k, place=last, block=None)
