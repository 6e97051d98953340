"""Whether strengths and age count is chosen by held-out interactions."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from hashrec.index.artifacts.artifact import Artifact
from hashrec.index.errors import ConfigError
from hashrec.index.strength import UNIT, Strength
from hashrec.training.data.interactions import Interactions
from hashrec.training.data.splits import by_popularity, validation_part
from hashrec.training.data.strengths import EVEN, Derived
from hashrec.training.jobs.config import JobConfig, config_of
from hashrec.training.jobs.job import Job
from hashrec.training.jobs.strength_choice import (
    choose_half_life,
    choose_strengths,
    is_open,
    latest_part,
)
from hashrec.training.jobs.training import train as run_job
from hashrec.training.jobs.trials import Conditions
from hashrec.training.progress import QuietProgress
from hashrec.training.teachers.ease import Ease
from hashrec.training.teachers.popularity import Popularity
from tests.training.pairs import interactions_of

pytestmark = pytest.mark.usefixtures("one_thread")

N_USERS, N_ITEMS, DAY = 80, 24, 86_400
COUNTS = Derived(Strength(value="multiplied", repeats="sum", scale="logarithm"), "counts", True)
TEACHER = Ease(regularization=20)


def two_tastes(strong: int = 30) -> Interactions:
    """Everyone has items of their taste with large amounts, and as many others with small ones."""
    rng = np.random.default_rng(0)
    pairs: dict[tuple[int, int], int] = {}
    for user in range(N_USERS):
        for item in rng.permutation(N_ITEMS)[:8].tolist():
            pairs[user, item] = 1
        mine = 12 * (user % 2) + rng.permutation(12)[:8]
        pairs |= {(user, int(item)): strong for item in mine}
    ordered = sorted(pairs)
    amounts = np.array([pairs[pair] for pair in ordered]) * UNIT
    return dataclasses.replace(
        interactions_of(ordered, N_USERS, N_ITEMS), amounts=amounts.astype(np.uint16)
    )


def new_taste() -> Interactions:
    """Everyone has items of one half in the first half of a year, and of the other half later."""
    rng = np.random.default_rng(1)
    rows = [
        (user, int(item), int(DAY * 182 * (later + rng.random())))
        for user in range(N_USERS)
        for later in (0, 1)
        for item in 12 * ((user + later) % 2) + rng.permutation(12)[:9]
    ]
    rows.sort()
    data = interactions_of([row[:2] for row in rows], N_USERS, N_ITEMS)
    return dataclasses.replace(data, timestamps=np.array([row[2] for row in rows]))


def conditions_of(data: Interactions, said: list[str]) -> Conditions:
    job = Job(JobConfig(k=5), torch.device("cpu"), QuietProgress(), said.append)
    return Conditions(job, *by_popularity(*validation_part(data)))


def chosen_for(data: Interactions, derived: Derived = COUNTS) -> tuple[Strength, list[str]]:
    said: list[str] = []
    conditions = conditions_of(data, said)
    choice = choose_strengths(conditions, TEACHER, derived, lambda: conditions.fitted(TEACHER))
    return choice.policy, said


def test_strengths_are_used_if_they_rank_held_out_items_better():
    policy, said = chosen_for(two_tastes())
    assert policy == COUNTS.policy
    assert len(said) == 1
    assert said[0].startswith("using strengths (values; repeats added up; on a logarithmic scale)")
    with_, without = (
        float(said[0].split(f" {word}")[0].split()[-1]) for word in ("with", "without")
    )
    assert with_ > without > 0


def test_strengths_that_mislead_are_not_used():
    data = two_tastes()
    assert data.amounts is not None
    misleading = dataclasses.replace(
        data, amounts=np.where(data.amounts > UNIT, UNIT, 200 * UNIT).astype(np.uint16)
    )
    policy, said = chosen_for(misleading)
    assert policy.is_even
    assert said[0].startswith("not using strengths")


def test_nothing_is_tried_where_all_are_alike_or_the_teacher_cannot_use_strengths():
    alike = dataclasses.replace(two_tastes(), amounts=None)
    assert chosen_for(alike) == (Strength(), [])
    conditions = conditions_of(two_tastes(), [])
    choice = choose_strengths(
        conditions, Popularity(), COUNTS, lambda: pytest.fail("nothing is to be fitted")
    )
    assert (choice.policy.is_even, choice.trials) == (True, ())


def test_a_half_life_is_chosen_where_tastes_change():
    data, said = new_taste(), list[str]()
    choice = choose_half_life(conditions_of(data, said), data, TEACHER, Strength())
    assert choice.policy.half_life_days is not None
    assert 20 < choice.policy.half_life_days < 92  # a sixteenth or a quarter of the year
    assert said[0].startswith("chose half-life ")
    assert len(choice.trials) == 3
    assert choice.trials[0].ndcg < max(trial.ndcg for trial in choice.trials[1:])


def test_no_half_life_is_chosen_where_time_says_nothing():
    data = two_tastes()
    rng = np.random.default_rng(2)
    times = rng.integers(0, 300 * DAY, len(data))
    data, said = dataclasses.replace(data, timestamps=times), list[str]()
    choice = choose_half_life(conditions_of(data, said), data, TEACHER, Strength())
    assert choice.policy.half_life_days is None
    assert said[0].startswith("chose no half-life")
    without_times = dataclasses.replace(data, timestamps=None)
    nothing = choose_half_life(conditions_of(data, []), without_times, TEACHER, Strength())
    assert nothing.trials == ()


def test_the_latest_part_holds_later_pairs_of_users_who_have_earlier_ones():
    data = new_taste()
    parts = latest_part(data)
    assert parts is not None
    early, late = parts
    assert early.timestamps is not None
    assert late.timestamps is not None
    assert early.timestamps.max() < late.timestamps.min()
    assert set(late.user_rows.tolist()) <= set(early.user_rows.tolist())
    assert len(late) == pytest.approx(len(data) / 10, abs=1)


def test_age_is_open_only_where_the_job_is_judged_by_time():
    data = new_taste()
    assert is_open(data, EVEN, by_time=True)
    assert not is_open(data, EVEN, by_time=False)
    assert not is_open(dataclasses.replace(data, timestamps=None), EVEN, by_time=True)
    assert is_open(data, COUNTS, by_time=False)


# --- whole jobs -------------------------------------------------------------------------------


def plays(folder: Path) -> Path:
    path = folder / "plays.csv"
    data = two_tastes()
    assert data.amounts is not None
    rows = zip(data.user_rows, data.item_rows, data.amounts // UNIT, strict=True)
    path.write_text("user,item,plays\n" + "".join(f"{u},{i},{n}\n" for u, i, n in rows))
    return path


def job_on(path: Path, run: Path, *, model: str, strength: object) -> tuple[Artifact, dict, list]:
    said: list[str] = []
    toml = path.with_name("job.toml")
    toml.write_text(
        f'k = 5\n[model]\nname = "{model}"\nn_bits = 32\n'
        + ("epochs = 3\nperplexity = 5\n" if model in {"auto", "listwise"} else "")
        + '[teacher]\nname = "ease"\nregularization = 20\n'
    )
    config = config_of(toml, {"data": str(path), "strength": strength})
    report = run_job(config, run, QuietProgress(), said.append)
    return Artifact.open(run / "artifact"), report.strength, said


def test_plays_change_the_codes_and_the_artifact_carries_its_policy(tmp_path: Path):
    path = plays(tmp_path)
    artifact, report, said = job_on(path, tmp_path / "run", model="auto", strength="auto")
    plain, off, _ = job_on(path, tmp_path / "off", model="auto", strength="off")
    assert artifact.manifest.policy == COUNTS.policy
    assert artifact.model.strengths is not None
    assert sorted(set(artifact.model.strengths.amounts.tolist())) == [UNIT, 30 * UNIT]
    assert report["data"].startswith("counts from 1 to 30")
    assert "values" in report["used"]
    assert any(line.startswith("strength: counts") for line in said)
    assert (plain.manifest.strength, plain.model.strengths) == (None, None)
    assert off["used"] == "all alike"
    assert plain.model.user_codes.packed.tolist() != artifact.model.user_codes.packed.tolist()


def test_a_given_policy_is_used_as_it_is_and_who_cannot_says_so(tmp_path: Path):
    path, policy = plays(tmp_path), tmp_path / "policy.toml"
    policy.write_text('[strength]\nvalue = "multiplied"\n[strength.types]\nreturn = -1\n')
    listwise, report, _ = job_on(path, tmp_path / "run", model="listwise", strength=policy)
    assert listwise.manifest.policy.value == "multiplied"
    assert (listwise.model.strengths is not None, report["ignored_by"]) == (True, [])
    lsh, report, said = job_on(path, tmp_path / "lsh", model="lsh", strength=str(policy))
    assert report["ignored_by"] == ["model lsh"]
    assert "model lsh: cannot learn from strengths; all count alike" in said
    assert lsh.model.strengths is None
    assert lsh.manifest.policy.is_even
    assert "return" in lsh.manifest.policy.negative_types


def test_other_models_count_all_alike_unless_a_policy_is_given(tmp_path: Path):
    path = plays(tmp_path)
    artifact, report, said = job_on(path, tmp_path / "run", model="listwise", strength="auto")
    assert (artifact.manifest.strength, report["used"]) == (None, "all alike")
    assert any("only the model auto chooses" in line for line in said)


def test_the_setting_is_a_word_or_a_table():
    table = {"types": {"view": 1, "purchase": 5}}
    config = config_of(None, {"strength": table})
    assert config.strength == Strength.of(table)
    assert JobConfig(**config.model_dump(mode="json", exclude={"data"})).strength == config.strength
    with pytest.raises(ConfigError, match="cannot be read as TOML"):
        config_of(None, {"strength": "sometimes"})
    with pytest.raises(ConfigError, match="no setting 'view'"):
        config_of(None, {"strength": {"view": 1}})
