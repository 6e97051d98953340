"""Teachers that say they use strengths do, the others do not, and ones change nothing."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from hashrec.training.progress import QuietProgress
from hashrec.training.teachers import TEACHERS
from tests.training.pairs import random_interactions

DATA = random_interactions(60, 24, 0.25, seed=3)
WHO = np.arange(10)
USING = sorted(name for name, teacher in TEACHERS.items() if teacher.uses_strengths)


def scores(name: str, strengths: np.ndarray | None) -> np.ndarray:
    data = dataclasses.replace(DATA, strengths=strengths)
    fitted = TEACHERS[name]().fit(
        data, seed=0, device=torch.device("cpu"), progress=QuietProgress()
    )
    return fitted.scores(WHO)


def test_the_teachers_of_auto_use_strengths():
    assert USING == ["blend", "denoised-ease", "ease", "graph-filter", "ials"]


@pytest.mark.parametrize("name", USING)
def test_strengths_change_scores_by_their_ratios_alone(name: str, one_thread: None):
    rng = np.random.default_rng(0)
    strengths = rng.integers(1, 6, len(DATA)).astype(np.float32)
    plain, ones = scores(name, None), scores(name, np.ones(len(DATA), np.float32))
    weighted, doubled = scores(name, strengths), scores(name, 2 * strengths)
    assert np.array_equal(plain, ones)
    assert np.array_equal(weighted, scores(name, strengths))
    assert np.array_equal(weighted, doubled)
    assert not np.allclose(weighted, plain, rtol=1e-2)


def test_popularity_counts_all_alike():
    strengths = np.arange(1, len(DATA) + 1, dtype=np.float32)
    assert np.array_equal(scores("popularity", None), scores("popularity", strengths))
