from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from hashrec.index.artifacts.artifact import Artifact
from hashrec.index.artifacts.store import Store
from hashrec.index.errors import ConfigError
from hashrec.training.jobs.config import load_config
from hashrec.training.jobs.job import Job
from hashrec.training.jobs.recipe import AUTO, Recipe
from hashrec.training.jobs.report import read_report
from hashrec.training.jobs.retraining import retrain
from hashrec.training.jobs.selection import TEACHERS_OF_FEW_ITEMS
from hashrec.training.jobs.training import train
from hashrec.training.models import HASH_MODELS
from hashrec.training.models.listwise import Listwise
from hashrec.training.progress import QuietProgress
from hashrec.training.teachers import TEACHERS
from hashrec.training.teachers.ease import Ease
from hashrec.training.teachers.graph_filter import GraphFilter
from tests.training.pairs import interactions_of
from tests.training.small_jobs import small_interactions, write_csv

pytestmark = pytest.mark.usefixtures("one_thread")

QUICK = {"device": "cpu", "k": 10, "model.n_bits": 32, "model.epochs": 6}


def config_of(**flags):
    return load_config(None, QUICK | {name.replace("__", "."): flags[name] for name in flags})


def settled(train_part, **flags):
    config, said = config_of(**flags), []
    progress = QuietProgress()
    job = Job.of(config, progress, said.append)
    recipe, selection = Recipe.of(config).settle(job, train_part)
    assert not progress.history, "curves are those of the fit that a report describes"
    return recipe, selection, said


def test_without_a_name_the_model_is_listwise_with_teacher_and_perplexity_to_choose():
    for config in (config_of(), config_of(model__name=AUTO)):
        recipe = Recipe.of(config)
        assert (recipe.model_name, type(recipe.model)) == ("listwise", Listwise)
        assert (recipe.chooses_teacher, recipe.chooses_perplexity) == (True, True)
    assert recipe.model.n_bits == 32, "what is set stays set"


def test_a_teacher_that_is_named_is_not_chosen():
    recipe = Recipe.of(config_of(teacher__name="ease", teacher__regularization=30))
    assert recipe.teacher == Ease(regularization=30)
    assert (recipe.chooses_teacher, recipe.chooses_perplexity) == (False, True)


def test_a_perplexity_that_is_given_is_not_chosen():
    recipe = Recipe.of(config_of(model__perplexity=33))
    assert (recipe.chooses_teacher, recipe.chooses_perplexity) == (True, False)
    assert recipe.model.perplexity == 33


@pytest.mark.parametrize("name", sorted(HASH_MODELS))
def test_a_model_that_is_named_is_taken_as_it_is(name):
    config = load_config(None, {"model.name": name, "device": "cpu"})
    recipe = Recipe.of(config)
    assert recipe.model_name == name
    assert (recipe.teacher is not None) == recipe.model.needs_teacher
    job = Job.of(config, QuietProgress(), print)
    assert recipe.settle(job, interactions_of([(0, 0)], 1, 1)) == (recipe, None)


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        ({"model__name": "nonsense"}, "no model 'nonsense'; there are auto, .*listwise"),
        ({"model__name": 3}, "no model 3; there are auto, "),
        ({"teacher__name": "nonsense"}, "no teacher 'nonsense'; there are blend, "),
        ({"index": "nonsense"}, "no index 'nonsense'; there are flat"),
        ({"model__perplexity": 0.5}, "perplexity"),
        ({"model__speed": 3}, "no setting 'speed'"),
        ({"teacher__name": "ease", "teacher__speed": 3}, "no setting 'speed'"),
    ],
)
def test_an_unknown_name_or_setting_is_one_line_that_says_what_there_is(flags, says):
    with pytest.raises(ConfigError, match=says) as error:
        Recipe.of(config_of(**flags))
    assert "\n" not in str(error.value)


class Untaught(Listwise):
    """A model that can do without a teacher."""

    needs_teacher: ClassVar[bool] = False


def test_a_model_that_needs_no_teacher_has_none_and_cannot_rerank(monkeypatch):
    monkeypatch.setitem(HASH_MODELS, "untaught", Untaught)
    recipe = Recipe.of(config_of(model__name="untaught"))
    assert (recipe.teacher_name, recipe.teacher) == (None, None)
    assert recipe.settings() == {"model": {"name": "untaught", **recipe.model.model_dump()}}
    with pytest.raises(ConfigError, match="name one with --teacher"):
        Recipe.of(config_of(model__name="untaught", rerank="auto"))
    taught = Recipe.of(config_of(model__name="untaught", rerank="auto", teacher__name="ease"))
    assert taught.teacher == Ease()


def test_settling_leaves_nothing_open_and_keeps_what_was_set():
    recipe, selection, said = settled(small_interactions())
    assert (recipe.chooses_teacher, recipe.chooses_perplexity) == (False, False)
    assert recipe.teacher_name == selection.teacher_name
    assert recipe.teacher_name in dict(TEACHERS_OF_FEW_ITEMS)
    assert recipe.model == Listwise(n_bits=32, epochs=6, perplexity=10), "an eighth of 80 items"
    assert recipe.settings() == {
        "model": {"name": "listwise", **recipe.model.model_dump()},
        "teacher": {"name": recipe.teacher_name, **recipe.teacher.model_dump()},
    }
    assert len(said) == 1


def test_with_a_teacher_and_a_perplexity_there_is_nothing_to_settle():
    recipe, selection, said = settled(
        small_interactions(), teacher__name="popularity", model__perplexity=50
    )
    assert selection is None
    assert recipe.teacher == TEACHERS["popularity"]()
    assert recipe.model.perplexity == 50
    assert said == []


def test_a_perplexity_that_is_given_survives_the_choice_of_a_teacher():
    recipe, selection, _ = settled(small_interactions(), model__perplexity=50)
    assert len(selection.trials) == len(TEACHERS_OF_FEW_ITEMS)
    assert recipe.model.perplexity == 50


def test_too_little_data_to_choose_by_keeps_the_defaults_and_says_so():
    recipe, selection, said = settled(interactions_of([(0, 0), (1, 1), (2, 2)], 3, 3))
    assert selection is None
    assert (recipe.teacher_name, recipe.teacher) == ("graph-filter", GraphFilter())
    assert recipe.model == Listwise(n_bits=32, epochs=6)
    assert said == ["too little data to choose a teacher and settings; taking the defaults"]
    assert (recipe.chooses_teacher, recipe.chooses_perplexity) == (False, False)


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return write_csv(tmp_path_factory.mktemp("data") / "clicks.csv", small_interactions())


def run_job(folder, data, **flags):
    config = config_of(data__source=str(data), **flags)
    return train(config, folder, QuietProgress(), lambda _: None)


@pytest.fixture(scope="module")
def run(tmp_path_factory, data) -> Path:
    folder = tmp_path_factory.mktemp("auto") / "run"
    run_job(folder, data)
    return folder


def test_a_job_of_the_default_model_reports_what_it_chose_and_from_what(run):
    report = read_report(run)
    trials = report["selection"]["ndcg"]
    assert all(what.startswith("teacher ") for what in trials)
    assert len(trials) == len(TEACHERS_OF_FEW_ITEMS)
    best = int(np.argmax(list(trials.values())))
    assert report["selection"]["k"] == 10
    config = report["config"]
    assert config["teacher"]["name"] == TEACHERS_OF_FEW_ITEMS[best][0]
    assert (config["model"]["name"], config["model"]["perplexity"]) == ("listwise", 10)
    assert (config["model"]["n_bits"], config["model"]["epochs"]) == (32, 6)
    assert len(report["curves"]["Listwise epochs"]["loss"]) == 6, "of the last fit alone"
    assert report["seconds"]["selection"] > 0
    manifest = Artifact.open(run / "artifact").manifest
    assert manifest.model.name == "listwise"
    assert manifest.model.config["teacher"] == config["teacher"]


def test_a_job_of_the_default_model_ranks_far_better_than_popularity(run):
    figures = read_report(run)["metrics"]["test"]
    assert figures["codes"]["ndcg"] > 1.2 * figures["popularity"]["ndcg"]


def test_the_same_job_again_gives_the_same_choice_and_the_same_codes(run, data, tmp_path):
    again = run_job(tmp_path / "run", data)
    assert again.selection == read_report(run)["selection"]
    for name in ("user_codes.npy", "item_codes.npy"):
        first, second = (folder / "artifact" / name for folder in (run, tmp_path / "run"))
        assert first.read_bytes() == second.read_bytes()


def test_the_choice_does_not_depend_on_the_test_part(tmp_path):
    """Two jobs with the same training part, and test parts that ask for opposite items."""
    training, test = small_interactions(), tmp_path / "test.csv"
    source, found = write_csv(tmp_path / "train.csv", training), []
    for wanted in (range(40), range(40, 80)):
        pairs = [(user, item) for user in range(120) for item in wanted]
        test.write_text(
            "user_id,item_id\n" + "".join(f"{user + 1},{item + 1}\n" for user, item in pairs)
        )
        report = run_job(tmp_path / "run", source, split__strategy="given", split__test=str(test))
        found.append(report)
    first, second = found
    assert first.selection == second.selection
    assert first.config["teacher"] == second.config["teacher"]
    assert first.metrics != second.metrics


def test_a_job_with_everything_given_reports_no_selection(tmp_path, data):
    report = run_job(
        tmp_path / "run", data, teacher__name="ease", model__perplexity=10, split__strategy="none"
    )
    assert report.selection is None


def test_a_retraining_of_the_default_model_chooses_once_and_publishes(tmp_path, data):
    said = []
    store = tmp_path / "store"
    config = config_of(data__source=str(data), model__perplexity=10)
    report = retrain(config, store, 0.5, QuietProgress(), said.append)
    assert len([line for line in said if line.startswith("chose teacher")]) == 1
    assert len(report.selection["ndcg"]) == len(TEACHERS_OF_FEW_ITEMS)
    served = Store(store).open()
    assert served.manifest.version == report.version
    assert served.manifest.model.config["teacher"]["name"] == report.config["teacher"]["name"]
    figures = report.metrics["validation"]
    assert figures["codes"]["ndcg"] > figures["popularity"]["ndcg"]
