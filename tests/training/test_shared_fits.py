from __future__ import annotations

import numpy as np
import pytest
import torch

from hashrec.training.jobs.shared_fits import SharedFits
from hashrec.training.progress import QuietProgress
from hashrec.training.teachers.blend import Blend
from hashrec.training.teachers.denoised_ease import DenoisedEase
from hashrec.training.teachers.ease import Ease
from hashrec.training.teachers.graph_filter import GraphFilter
from hashrec.training.teachers.ials import Ials
from tests.training.small_jobs import small_interactions

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def train():
    return small_interactions()


def shared(train, progress=None):
    return SharedFits(train, seed=0, device=CPU, progress=progress or QuietProgress())


def scores_of(scorer):
    return scorer.scores(np.arange(scorer.n_users))


def alone(teacher, train):
    return scores_of(teacher.fit(train, seed=0, device=CPU, progress=QuietProgress()))


def test_scores_are_exactly_those_of_separate_fits(train):
    teachers = (
        Blend(),
        Blend(weights={"denoised-ease": 1.0, "ials": 0.3}),
        DenoisedEase(),
        DenoisedEase(rank=None),
        DenoisedEase(regularization=1.0),
        Ials(),
        Ials(factors=8),
        Ease(),
        GraphFilter(),
        GraphFilter(history_exponent=0.6, target_exponent=0.3, low_pass_weight=0.15),
        GraphFilter(rank=4),
        Blend(weights={"graph-filter": 1.0, "ease": 2.0}),
    )
    fits = shared(train)
    for teacher in teachers:
        assert np.array_equal(scores_of(fits.fit(teacher)), alone(teacher, train)), teacher


def test_a_fit_does_not_depend_on_those_before_it(train):
    teachers = (DenoisedEase(rank=8), DenoisedEase(rank=24), Blend(), GraphFilter())
    fits = [
        SharedFits(train, seed=0, device=CPU, progress=QuietProgress(), teachers=teachers)
        for _ in range(2)
    ]
    there = [scores_of(fits[0].fit(teacher)) for teacher in teachers]
    back = [scores_of(fits[1].fit(teacher)) for teacher in reversed(teachers)]
    for teacher, one, other in zip(teachers, there, reversed(back), strict=True):
        assert np.array_equal(one, other), teacher


def test_what_teachers_share_is_fitted_once(train):
    progress = QuietProgress()
    fits = shared(train, progress)
    few = {"denoised-ease": {"rank": 24}}
    for teacher in (Blend(), Blend(settings=few), DenoisedEase(), Ials(), GraphFilter()):
        fits.fit(teacher)
    fits.fit(GraphFilter(target_exponent=0.6))
    passes = {loop: len(curves["loss"]) for loop, curves in progress.history.items()}
    assert passes == {"Factorisation passes": DenoisedEase().passes, "iALS iterations": 15}


@pytest.mark.parametrize("ranks", [(9, 5), (5, 9)], ids=["widest first", "widest last"])
def test_factors_of_each_rank_are_the_best_of_that_rank(train, ranks):
    fits = shared(train)
    scores = scores_of(fits.fit(DenoisedEase(rank=None))).astype(float)
    singular = np.linalg.svd(scores, compute_uv=False)
    for rank in ranks:
        found = fits.fit(DenoisedEase(rank=rank))
        assert found.dim == rank
        error = np.square(scores - scores_of(found)).sum()
        assert error == pytest.approx(np.square(singular[rank:]).sum(), rel=1e-3)


def test_new_users_are_scored_by_factors_that_were_cut(train):
    fits, X = shared(train), train.matrix()
    fits.fit(DenoisedEase(rank=9))
    cut = fits.fit(DenoisedEase(rank=5))
    np.testing.assert_allclose(cut.fold_in(X), scores_of(cut), atol=1e-3)


def test_what_no_later_teacher_needs_is_forgotten(train):
    fits = shared(train)
    denoised, ials = fits.fit(DenoisedEase()), fits.fit(Ials())
    fits.release([Blend(), GraphFilter()])
    assert fits.fit(DenoisedEase()) is denoised
    fits.release([Ials()])
    assert fits.fit(Ials()) is ials
    assert fits.fit(DenoisedEase()) is not denoised
