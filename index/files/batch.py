"""The lists of all users, by the code that serves single lists."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np

from hashrec.index.files.tables import Schema
from hashrec.index.live.model_overlay import ModelOverlay, OverlayView
from hashrec.index.ranking.bulk import rank_users
from hashrec.index.ranking.nearest import Ranking
from hashrec.index.ranking.recommender import Recommendation, Recommender

USERS_AT_ONCE = 256  # whose lists are in memory at a time
SCHEMA: Schema = {
    "user_id": "text",
    "rank": "int",
    "item_id": "text",
    "score": "float",
    "hamming": "int",
    "source": "text",
}


@dataclass
class Lists:
    """The lists of some users as columns, with one row for each item."""

    n_users: int = 0
    columns: dict[str, list[Any]] = field(default_factory=lambda: {name: [] for name in SCHEMA})

    def add(self, user_id: str, recommendation: Recommendation) -> None:
        """Append the list of a user."""
        items = recommendation.items
        self._extend(
            user_id,
            [item.item_id for item in items],
            [item.score for item in items],
            [item.hamming for item in items],
            [item.source for item in items],
        )

    def add_ranking(
        self, user_id: str, item_ids: Sequence[str], ranking: Ranking, n_bits: int
    ) -> None:
        """Append the list that `Recommender.recommend` would make of a ranking."""
        hamming = ranking.hamming
        scores = (1 - hamming / n_bits).tolist()
        self._extend(user_id, item_ids, scores, hamming.tolist(), ["personal"] * len(item_ids))

    def _extend(self, user_id: str, item_ids: Sequence[str], *others: Sequence[Any]) -> None:
        n_items = len(item_ids)
        self.n_users += 1
        values = ([user_id] * n_items, range(1, n_items + 1), item_ids, *others)
        for name, column in zip(SCHEMA, values, strict=True):
            self.columns[name].extend(column)


def recommend_all(
    recommender: Recommender, overlay: ModelOverlay, user_ids: Iterator[str], k: int
) -> Iterator[Lists]:
    """Recommend to many users, in batches, in the given order.

    Each list, with its sources, is the one that the service returns for
    `GET /recommend/{user_id}?k=`: an unknown user gets popular items.

    Args:
        recommender: recommender over the version to rank with.
        overlay: changes from the journal, bound to that version.
        user_ids: external ids.
        k: length of the lists, 1 to 500.
    """
    while batch := list(islice(user_ids, USERS_AT_ONCE)):
        yield _recommend_some(recommender, overlay, batch, k)


def _recommend_some(
    recommender: Recommender, overlay: ModelOverlay, user_ids: Sequence[str], k: int
) -> Lists:
    model = recommender.artifact.model
    nobody = overlay.view()
    views: list[OverlayView] = [overlay.view(user_id) for user_id in user_ids]
    rows = [
        None if view.has_events else model.users.row(user_id)
        for user_id, view in zip(user_ids, views, strict=True)
    ]
    known = np.array([row for row in rows if row is not None], dtype=np.int64)
    rankings = iter(list(rank_users(recommender.artifact, known, k, catalogue=nobody.catalogue)))
    found = [None if row is None else next(rankings) for row in rows]
    # An item is in many lists; look its id up once.
    distinct = np.unique(np.concatenate([r.rows for r in found if r] or [np.empty(0, np.int64)]))
    names = np.array(model.items.ids(distinct), dtype=object)
    lists = Lists()
    for user_id, view, ranking in zip(user_ids, views, found, strict=True):
        if ranking is None or len(ranking.rows) < k:
            lists.add(user_id, recommender.recommend(user_id, k, overlay=view))
        else:
            item_ids = names[distinct.searchsorted(ranking.rows)].tolist()
            lists.add_ranking(user_id, item_ids, ranking, recommender.n_bits)
    return lists
