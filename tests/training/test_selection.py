from __future__ import annotations

import numpy as np
import pytest
import torch

from hashrec.index.arrays.ids import spread
from hashrec.index.errors import ConfigError
from hashrec.training.data.splits import by_popularity, validation_part
from hashrec.training.jobs import selection
from hashrec.training.jobs.config import JobConfig
from hashrec.training.jobs.job import Job
from hashrec.training.jobs.selection import select
from hashrec.training.jobs.trials import Conditions, RowsOf
from hashrec.training.judging.evaluation import evaluate_scores
from hashrec.training.models.listwise import Listwise
from hashrec.training.progress import QuietProgress
from hashrec.training.teachers import TEACHERS
from hashrec.training.teachers.ease import Ease
from hashrec.training.teachers.ials import Ials
from tests.training.pairs import interactions_of, random_interactions
from tests.training.small_jobs import small_interactions

pytestmark = pytest.mark.usefixtures("one_thread")

CPU = torch.device("cpu")
MODEL = Listwise(n_bits=32, perplexity=7)
N_TEACHERS = len(selection.TEACHERS_OF_FEW_ITEMS)


@pytest.fixture(scope="module")
def train():
    return small_interactions()


def choose(train, teacher=None, *, said=None, seed=0, k=10, **options):
    lines = [] if said is None else said
    job = Job(JobConfig(k=k, seed=seed), CPU, QuietProgress(), lines.append)
    return select(job, train, MODEL, teacher, **options)


@pytest.fixture(scope="module")
def chosen(train):
    said = []
    return choose(train, perplexities=(3, 8), said=said), said


def two_towns():
    """Everyone has ten of the twelve items of their town; the larger town's are more popular."""
    rng = np.random.default_rng(0)
    pairs = [
        (user, 12 * (user >= 40) + item)
        for user in range(70)
        for item in rng.permutation(12)[:10].tolist()
    ]
    return interactions_of(pairs, 70, 24)


def test_everything_tried_is_reported_with_its_figure(chosen):
    found, said = chosen
    report = found.report()
    assert report["k"] == 10
    tried = list(report["ndcg"])
    assert len(tried) == N_TEACHERS + 2
    for what, (name, settings) in zip(tried, selection.TEACHERS_OF_FEW_ITEMS, strict=False):
        assert what.startswith(f"teacher {name}")
        assert what.endswith(")") == bool(settings)
    assert tried[N_TEACHERS:] == [
        "codes of perplexity 3, a short fit",
        "codes of perplexity 8, a short fit",
    ]
    assert all(0 < ndcg <= 1 for ndcg in report["ndcg"].values())
    assert len(said) == 2


def test_settings_of_a_trial_are_said_without_braces():
    settings = {"history_exponent": 0.6, "settings": {"denoised-ease": {"rank": 24}}}
    assert selection._in_words(settings) == "history_exponent 0.6, rank 24"


def test_the_best_of_what_was_tried_is_chosen_and_nothing_else_changed(chosen):
    found, (of_teacher, of_perplexity) = chosen
    of_teachers = [trial.ndcg for trial in found.trials[:N_TEACHERS]]
    name, settings = selection.TEACHERS_OF_FEW_ITEMS[int(np.argmax(of_teachers))]
    assert (found.teacher_name, found.teacher) == (name, TEACHERS[name](**settings))
    assert f"chose teacher {name}: ndcg@10 {max(of_teachers):.4f}" in of_teacher
    narrow, wide = (trial.ndcg for trial in found.trials[N_TEACHERS:])
    perplexity = 8 if wide > narrow else 3
    assert f"chose perplexity {perplexity}: ndcg@10 {max(narrow, wide):.4f}" in of_perplexity
    assert found.model == Listwise(n_bits=32, perplexity=perplexity)


def test_a_teacher_is_judged_by_items_of_training_that_it_was_not_fitted_to(chosen, train):
    part, held_out = by_popularity(*validation_part(train, 0.1, 0))
    scorer = TEACHERS["graph-filter"]().fit(part, seed=0, device=CPU, progress=QuietProgress())
    expected = evaluate_scores(scorer, part, held_out.seen(), 10).ndcg
    assert chosen[0].report()["ndcg"]["teacher graph-filter"] == expected


def test_the_same_data_and_seed_give_the_same_choice_whatever_else_draws(chosen, train):
    np.random.default_rng().random()
    torch.rand(3)
    again = choose(train, perplexities=(3, 8))
    assert again.trials == chosen[0].trials
    assert (again.teacher_name, again.teacher) == (chosen[0].teacher_name, chosen[0].teacher)
    assert again.model == chosen[0].model


def test_a_teacher_that_is_given_is_kept(train):
    given = ("ease", Ease(regularization=30))
    found = choose(train, given, perplexities=(3, 8))
    assert (found.teacher_name, found.teacher) == given
    assert [trial.what for trial in found.trials] == [
        "codes of perplexity 3, a short fit",
        "codes of perplexity 8, a short fit",
    ]


def test_with_a_teacher_and_one_perplexity_nothing_is_tried_and_both_are_kept(train):
    found = choose(train, ("ease", Ease()), perplexities=(50,))
    assert found.trials == ()
    assert found.model.perplexity == 50, "however small the catalogue"


def test_perplexities_beyond_an_eighth_of_the_items_are_tried_as_one(train):
    said = []
    found = choose(train, ("ease", Ease()), said=said)  # of 80 items: all of them 10
    assert found.model.perplexity == 10
    assert found.trials == ()
    assert said == []
    found = choose(train, ("ease", Ease()), perplexities=(2, 40, 60))
    assert [trial.what.split(",")[0] for trial in found.trials] == [
        "codes of perplexity 2",
        "codes of perplexity 10",
    ]


def test_a_given_teacher_is_fitted_only_if_there_are_perplexities_to_try(train):
    progress = QuietProgress()
    job = Job(JobConfig(k=10), CPU, progress, print)
    found = select(job, train, MODEL, ("ials", Ials()), perplexities=(40, 60))
    assert found.model.perplexity == 10, "an eighth of the items"
    assert not progress.history
    select(job, train, MODEL, ("ials", Ials()), perplexities=(2, 60))
    assert "iALS iterations" in progress.history


@pytest.mark.parametrize("order", [("popularity", "ease"), ("ease", "popularity")])
def test_the_teacher_that_knows_who_is_like_whom_is_chosen_where_that_matters(order, monkeypatch):
    monkeypatch.setattr(selection, "TEACHERS_OF_FEW_ITEMS", tuple((name, {}) for name in order))
    found = choose(two_towns(), perplexities=(3,), k=2)
    assert found.teacher_name == "ease"
    figures = found.report()["ndcg"]
    assert figures["teacher ease"] > figures["teacher popularity"]


def test_of_equal_teachers_the_first_is_chosen(monkeypatch):
    candidates = (("ease", {"regularization": 100}), ("ease", {"regularization": 100.0000001}))
    monkeypatch.setattr(selection, "TEACHERS_OF_FEW_ITEMS", candidates)
    found = choose(two_towns(), perplexities=(3,), k=2)
    assert found.trials[0].ndcg == found.trials[1].ndcg
    assert found.teacher.regularization == 100


def test_catalogues_too_large_to_invert_are_left_to_other_teachers(train, monkeypatch):
    monkeypatch.setattr(selection, "MOST_ITEMS_TO_INVERT", train.n_items - 1)
    found = choose(train, perplexities=(3,))
    tried = [trial.what for trial in found.trials]
    assert tried[0] == "teacher graph-filter"
    assert tried[1].startswith("teacher graph-filter (history_exponent 0.6, ")
    assert len(set(tried)) == len(tried) == len(selection.TEACHERS_OF_MANY_ITEMS)
    best = int(np.argmax([trial.ndcg for trial in found.trials]))
    name, settings = selection.TEACHERS_OF_MANY_ITEMS[best]
    assert found.teacher == TEACHERS[name](**settings)


@pytest.mark.parametrize("pairs", [[], [(0, 0), (1, 1), (2, 2)]])
def test_too_little_data_to_hold_anything_out_leaves_no_choice(pairs):
    assert choose(interactions_of(pairs, 3, 3)) is None


def test_lists_longer_than_the_catalogue_are_no_error(train):
    assert choose(train, perplexities=(3, 8), k=5_000).k == 5_000


def test_some_users_keep_their_pairs_and_their_scores():
    train = random_interactions(9, 6, 0.4, seed=0)
    held_out = random_interactions(9, 6, 0.2, seed=1)
    job = Job(JobConfig(k=3), CPU, QuietProgress(), print)
    conditions = Conditions(job, train, held_out)
    rows = np.array([7, 2, 4])
    few = conditions.of_users(rows)
    assert (few.train.matrix() != train.matrix()[rows]).nnz == 0
    assert (few.held_out.matrix() != held_out.matrix()[rows]).nnz == 0
    assert (few.train.n_users, few.train.n_items, few.job.k) == (3, 6, 3)
    scorer = conditions.fitted(Ease())
    of_rows = RowsOf(scorer, rows)
    assert (of_rows.n_users, of_rows.n_items) == (3, 6)
    assert np.array_equal(of_rows.scores(np.array([2, 0])), scorer.scores(np.array([4, 7])))


def test_a_part_of_the_users_is_enough_to_choose_by(train, monkeypatch):
    monkeypatch.setattr(selection, "_JUDGED_USERS", 50)
    monkeypatch.setattr(selection, "_TRIAL_USERS", 40)
    monkeypatch.setattr(selection, "TEACHERS_OF_FEW_ITEMS", (("ease", {}),))
    figures = choose(train, perplexities=(3, 8)).report()["ndcg"]
    part, held_out = by_popularity(*validation_part(train, 0.1, 0))
    judged = held_out.where(np.isin(held_out.user_rows, spread(part.n_users, 50)))
    assert 0 < len(judged) < len(held_out)
    scorer = Ease().fit(part, seed=0, device=CPU, progress=QuietProgress())
    expected = evaluate_scores(scorer, part, judged.seen(), 10).ndcg
    assert figures["teacher ease"] == pytest.approx(expected)
    monkeypatch.undo()
    of_everyone = choose(train, ("ease", Ease()), perplexities=(3, 8)).report()["ndcg"]
    short_fits = {what for what in figures if what.endswith("a short fit")}
    assert len(short_fits) == 2
    assert all(figures[what] != of_everyone[what] for what in short_fits)


def test_a_teacher_that_refuses_the_data_is_left_out_with_its_reason(train, monkeypatch):
    candidates = (("ease", {"max_items": 2}), ("popularity", {}))
    monkeypatch.setattr(selection, "TEACHERS_OF_FEW_ITEMS", candidates)
    said = []
    made = choose(train, perplexities=(3,), said=said)
    assert made.teacher_name == "popularity"
    assert said[0].startswith("left out teacher ease: EASE inverts a matrix")
    assert [trial.what for trial in made.trials] == ["teacher popularity"]


def test_when_every_teacher_refuses_the_reason_is_the_error(train, monkeypatch):
    monkeypatch.setattr(selection, "TEACHERS_OF_FEW_ITEMS", (("ease", {"max_items": 2}),))
    with pytest.raises(ConfigError, match="EASE inverts a matrix"):
        choose(train, perplexities=(3,))
