"""Which requests are ranked on the event loop: those that take less time than a thread costs."""

from __future__ import annotations

from hashrec.index.ranking.recommendation import Options
from hashrec.service.answers.bound_request import BoundRequest

# Catalogues up to these sizes are searched in about a millisecond.
INLINE_ITEMS = 200_000
INLINE_ITEMS_BY_CATEGORY = 20_000  # the first search of a category builds its index
INLINE_IDS = 200  # of a history and of the options, each of which is looked up
INLINE_ITEMS_ARRANGED = 50  # of a list that is diversified or explained


def is_inline(request: BoundRequest) -> bool:
    """Tell whether a request is ranked on the event loop, not in a thread."""
    wanted, options, recommender = request.wanted, request.wanted.options, request.model.recommender
    if wanted.kind.in_thread:
        return False
    n_searched = recommender.n_users if wanted.kind.of_users else recommender.n_items
    n_ids = len(wanted.positive) + len(wanted.negative)
    n_ids += len(options.exclude) + len(options.include)
    return (
        n_searched <= (INLINE_ITEMS_BY_CATEGORY if options.categories else INLINE_ITEMS)
        and n_ids <= INLINE_IDS
        and (wanted.k <= INLINE_ITEMS_ARRANGED or not _is_arranged(options))
    )


def _is_arranged(options: Options) -> bool:
    return options.explain or options.diversity > 0
