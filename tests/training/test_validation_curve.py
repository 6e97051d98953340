from __future__ import annotations

import numpy as np

from hashrec.training.judging.validation_curve import ValidationCurve
from hashrec.training.numerics.embeddings import Embeddings
from hashrec.training.progress import QuietProgress
from tests.training.pairs import random_interactions

TRAIN = random_interactions(30, 200, 0.2, seed=3)


def logged(curve, scores):
    """Return what is logged for a users x items matrix of scores."""
    progress = QuietProgress()
    items = np.eye(TRAIN.n_items, dtype=np.float32)
    list(progress.track("loop", 1))
    curve.log(Embeddings(scores.astype(np.float32), items), progress)
    return progress.history["loop"]


def test_a_tenth_of_the_pairs_is_held_out_and_every_user_keeps_some():
    curve = ValidationCurve(TRAIN, 5, seed=0)
    assert 0.05 < 1 - len(curve.train) / len(TRAIN) < 0.15
    assert np.bincount(curve.train.user_rows, minlength=30).min() > 0
    assert len(ValidationCurve(TRAIN, 0, seed=0).train) == len(TRAIN)


def test_points_are_due_after_every_so_many_epochs():
    curve = ValidationCurve(TRAIN, 3, seed=0)
    assert [epoch for epoch in range(9) if curve.is_due(epoch)] == [2, 5, 8]
    assert not any(ValidationCurve(TRAIN, 0, seed=0).is_due(epoch) for epoch in range(9))


def test_knowing_the_held_out_pairs_scores_1_and_the_opposite_0():
    curve = ValidationCurve(TRAIN, 1, seed=0)
    held_out = (TRAIN.matrix() - curve.train.matrix()).toarray()
    assert logged(curve, held_out) == {"recall@20": [1.0], "ndcg@20": [1.0]}
    assert logged(curve, -held_out) == {"recall@20": [0.0], "ndcg@20": [0.0]}
