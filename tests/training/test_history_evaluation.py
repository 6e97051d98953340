from __future__ import annotations

import numpy as np
import pytest

from hashrec.index.arrays.seen import SeenItems
from hashrec.index.ranking.recommender import Recommender
from hashrec.training.judging.evaluation import evaluate_histories
from hashrec.training.judging.metrics import user_metrics
from tests.index.small_models import in_memory, model_of


def test_histories_are_judged_by_the_lists_that_the_service_gives():
    recommender = Recommender(in_memory(model_of(3, 30, 16, seed=0)))
    there = np.random.default_rng(1).random((8, 30)) < 0.3
    kept = np.random.default_rng(2).random((8, 30)) < 0.5
    history = SeenItems.build(*np.nonzero(there & kept), 8)
    judged = (np.arange(8) != 3)[:, None]  # nothing is held out of the fourth
    relevant = SeenItems.build(*np.nonzero(there & ~kept & judged), 8)
    figures = []
    for user in np.flatnonzero(relevant.counts()):
        answer = recommender.recommend_history([f"i{row}" for row in history[user]], k=5)
        ranked = np.array([int(item.item_id[1:]) for item in answer.items])
        judged = user_metrics(ranked, relevant[user], 5)
        figures.append((judged.recall, judged.map, judged.ndcg))
    found = evaluate_histories(recommender, history, relevant, 5)
    assert found.n_users == len(figures) == 7
    assert (found.recall, found.map, found.ndcg) == pytest.approx(np.mean(figures, axis=0))
