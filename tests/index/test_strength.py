"""The worth of interactions."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from hashrec.index.errors import ConfigError
from hashrec.index.strength import MOST, NEGATIVE_TYPES, NEWEST, UNIT, Strength

DAY = 86_400


def test_by_default_all_positives_are_alike_refusals_take_back_and_impressions_are_neutral():
    policy = Strength()
    assert policy.is_even
    assert [policy.amount(kind) for kind in ("purchase", "anything", None)] == [UNIT] * 3
    assert [policy.amount(kind) for kind in ("dislike", "Skip", "hide")] == [-1] * 3
    assert policy.amount("impression") == 0
    assert {"dislike", "skip", "hide"} == NEGATIVE_TYPES


def test_types_keep_apart_what_an_event_is_worth():
    policy = Strength.of({"types": {"view": 1, "Cart": 3, "purchase": 5}})
    assert not policy.is_even
    assert [policy.amount(kind) / UNIT for kind in ("view", "cart", "PURCHASE", "else")] == [
        1, 3, 5, 1,
    ]  # fmt: skip
    assert policy.amount("dislike") == -1  # what is not named stays


def test_a_value_multiplies_within_its_range():
    policy = Strength(value="multiplied", value_range=(2, 10), missing_value=4)
    assert [policy.amount(None, value) / UNIT for value in (1, 3, 500, None)] == [2, 3, 10, 4]


def test_repeats_add_up_or_the_largest_counts():
    two, three = np.array([2 * UNIT]), np.array([3 * UNIT])
    assert Strength(repeats="sum").combined(two, three).tolist() == [5 * UNIT]
    assert Strength(repeats="largest").combined(two, three).tolist() == [3 * UNIT]
    assert Strength(repeats="sum").combined(np.array([MOST]), three).tolist() == [MOST]


def test_a_logarithm_counts_doublings():
    policy = Strength(value="multiplied", scale="logarithm")
    amounts = np.array([1, 3, 7, 1023]) * UNIT
    assert (policy.strengths(amounts) / UNIT).tolist() == [1, 2, 3, 10]


def test_a_half_life_halves_and_never_ends_at_nothing():
    policy = Strength(half_life_days=10)
    seconds = np.array([100, 90, 80, -10_000]) * DAY
    recency = policy.recency(seconds)
    assert recency is not None
    assert recency.tolist() == [NEWEST, 128, 64, 1]
    amounts = np.full(4, UNIT)
    assert (policy.strengths(amounts, recency)).tolist() == [16, 8, 4, 1]
    assert Strength().recency(seconds) is None


def test_the_order_of_events_does_not_change_their_sum():
    policy = Strength(types={"view": 0.1, "cart": 3.3}, repeats="sum")
    events = ["view", "cart", "view", "cart", "view"]

    def total(kinds: list[str]) -> int:
        amount = np.array([0])
        for kind in kinds:
            amount = policy.combined(amount, np.array([policy.amount(kind)]))
        return int(amount[0])

    assert total(events) == total(sorted(events)) == 3 * 2 + 2 * 53


def test_a_policy_goes_through_toml_and_json_unchanged():
    policy = Strength(
        types={"view": 0.5}, value="multiplied", value_range=(1, 5), scale="logarithm",
        repeats="sum", half_life_days=90,
    )  # fmt: skip
    assert Strength.model_validate_json(policy.model_dump_json()) == policy
    lines = [
        f"{name} = {value!r}" for name, value in policy.model_dump().items() if name != "types"
    ]
    lines = [line.replace("(", "[").replace(")", "]") for line in lines]
    types = [f"{name} = {worth}" for name, worth in policy.types.items()]
    toml = "\n".join(["[strength]", *lines, "[strength.types]", *types])
    assert Strength.of(tomllib.loads(toml)["strength"]) == policy


def test_other_negative_types_take_the_place_of_the_usual_ones():
    policy = Strength(types={"cart": 3}).with_negative_types(("return",))
    assert policy.negative_types == {"return"}
    assert policy.amount("dislike") == UNIT
    assert (policy.amount("cart"), policy.amount("impression")) == (3 * UNIT, 0)


def test_an_even_policy_keeps_the_signs():
    policy = Strength(types={"cart": 3, "return": -2, "seen": 0}, value="multiplied").even()
    assert policy.is_even
    assert [policy.amount(kind) for kind in ("cart", "return", "seen")] == [UNIT, -1, 0]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"view": 1}, "no setting 'view'"),
        ({"view": 1}, "types of events go into [strength.types]"),
        ({"types": {"view": 0.01}}, "types.view: a worth is 0, or of a size from 0.0625 to 4095"),
        ({"value": "cubed"}, "value: "),
        ({"value_range": [5, 1]}, "value_range: the first end must be below the second"),
        ({"half_life_days": 0}, "half_life_days: "),
        ({"other": -1}, "other: "),
    ],
)
def test_a_wrong_setting_is_named(settings: dict[str, Any], said: str):
    with pytest.raises(ConfigError) as error:
        Strength.of(settings)
    assert said in str(error.value)


def test_a_file_without_the_table_says_so(tmp_path: Path):
    path = tmp_path / "policy.toml"
    path.write_text("[other]\n")
    with pytest.raises(ConfigError, match=r"no table \[strength\]"):
        Strength.read(path)
    path.write_text("[strength]\nscale = 'logarithm'\n")
    assert Strength.read(path).scale == "logarithm"


def test_a_policy_does_not_change():
    with pytest.raises(ValidationError):
        Strength().scale = "logarithm"  # pyright: ignore[reportAttributeAccessIssue]
