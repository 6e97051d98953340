"""Codes of histories and of new items: by hand, in batches, and on any machine the same."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_models import encoder_of, lists_of, model_of

from hashrec.index.arrays.codes import BinaryCodes
from hashrec.index.errors import ConfigError
from hashrec.index.model.encoder import BIAS_UNIT, ItemEncoder, UserEncoder


def eight(*first: int) -> list[int]:
    return [*first, *([0] * (8 - len(first)))]


HAND_MADE = UserEncoder(
    weights=np.array([eight(5, -3), eight(-4, 1), eight(2, -1)], np.int8),
    bias=np.array(eight(0, BIAS_UNIT), np.int32),  # 1 in the unit of a weight, on the second bit
)


@pytest.mark.parametrize(
    ("positive", "negative", "first_bits"),
    [
        ([0], [], (1, -1)),  # 5; -3 + 1
        ([0, 1], [], (1, 1)),  # 1; -2 + 2^(3/4) = 1.68, rounded to 2, makes 0, which is +1
        ([1], [], (-1, 1)),  # -4; 1 + 1
        ([0], [2], (1, -1)),  # 5 - 2/4; -3 + 1 + 1/4
        ([2], [0, 1], (1, 1)),  # 2 - 5/4 + 4/4; -1 + 1 + 3/4 - 1/4
        ([2], [1], (1, -1)),  # 2 + 4/4; -1 + 1 - 1/4
        ([1, 2], [0], (-1, 1)),  # -2 - 5/4; 0 + 2 + 3/4
        ([], [1], (1, -1)),  # 4; -1: no bias without a positive
    ],
)
def test_a_code_is_the_sign_of_positives_less_a_quarter_of_the_negatives_and_a_bias(
    positive: list[int], negative: list[int], first_bits: tuple[int, int]
) -> None:
    code = HAND_MADE.encode(lists_of([positive]), lists_of([negative]))
    assert tuple(code.to_signs()[0, :2]) == first_bits


HISTORY = st.sets(st.integers(0, 29), max_size=30).map(sorted)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(HISTORY, HISTORY), min_size=1, max_size=12), st.integers(0, 5))
def test_codes_are_those_of_whole_number_arithmetic_alone_and_in_a_batch(
    drawn: list[tuple[list[int], list[int]]], seed: int
) -> None:
    encoder = encoder_of(30, 16, seed).users
    positives, negatives = (lists_of([pair[side] for pair in drawn]) for side in (0, 1))
    batch = encoder.encode(positives, negatives).to_signs()
    for user, (positive, negative) in enumerate(drawn):
        root = math.sqrt(len(positive))
        for bit in range(16):
            wanted = sum(int(encoder.weights[item, bit]) for item in positive)
            wanted += round(root * math.sqrt(root) * int(encoder.bias[bit]) / BIAS_UNIT)
            refused = sum(int(encoder.weights[item, bit]) for item in negative)
            assert batch[user, bit] == (1 if 4 * wanted >= refused else -1)
        alone = encoder.encode(lists_of([positive]), lists_of([negative]))
        assert np.array_equal(alone.to_signs()[0], batch[user])


def test_no_negatives_are_the_same_as_none_given() -> None:
    encoder = encoder_of(30, 16, 0).users
    positives = lists_of([[1, 2], [3], []])
    given_empty = encoder.encode(positives, lists_of([[], [], []]))
    assert np.array_equal(encoder.encode(positives).packed, given_empty.packed)


def test_more_histories_than_fit_in_a_block_are_coded_like_few(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = model_of(50, 30, 16, seed=2)
    encoder = encoder_of(30, 16, 0)
    users = encoder.users.encode(model.seen)
    items = encoder.items.encode(users, lists_of([[0, 49], [3], [], [1, 2]]))
    monkeypatch.setattr("hashrec.index.model.encoder._BLOCK", 3)
    assert np.array_equal(encoder.users.encode(model.seen).packed, users.packed)
    again = encoder.items.encode(users, lists_of([[0, 49], [3], [], [1, 2]]))
    assert np.array_equal(again.packed, items.packed)


def test_an_item_is_coded_by_its_users_codes_added_up() -> None:
    weights = np.zeros((8, 8), np.int8)
    weights[0, 0], weights[1, 1], weights[0, 2] = 3, -2, 1
    encoder = ItemEncoder(weights, np.array(eight(-4 * BIAS_UNIT, 0, BIAS_UNIT), np.int32))
    users = BinaryCodes.from_signs(
        np.array([eight(1, 1), eight(1, -1), eight(1, 1), eight(-1, 1)], np.int8)
    )
    codes = encoder.encode(users, lists_of([[0, 1, 2], [0], [3]])).to_signs()
    assert codes[0, :3].tolist() == [1, -1, 1]  # 9 - 4 sqrt(3) = 2.1; -2; 3 + sqrt(3)
    assert codes[1, :3].tolist() == [-1, -1, 1]  # 3 - 4; -2; 1 + 1
    assert codes[2, :3].tolist() == [-1, -1, 1]  # -3 - 4; -2; -1 + 1 = 0, which is +1


def test_rounding_to_integers_uses_the_range_of_each_bit() -> None:
    weights = np.array([[1.0, 0.001], [-0.5, 0.002], [0.0, 0.0]])
    encoder = UserEncoder.quantised(weights, np.array([0.25, 0.004]))
    assert encoder.weights.tolist() == [[127, 64], [-64, 127], [0, 0]]
    assert encoder.bias.tolist() == [round(0.25 * 127 * BIAS_UNIT), 2 * 127 * BIAS_UNIT]


def test_a_bit_without_weights_is_decided_by_its_bias() -> None:
    encoder = UserEncoder.quantised(np.zeros((3, 8)), np.array(eight(0.5, -0.5), float))
    assert encoder.encode(lists_of([[1]])).to_signs()[0, :2].tolist() == [1, -1]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_map_that_diverged_is_refused(value: float) -> None:
    with pytest.raises(ConfigError, match="NaN or infinity"):
        UserEncoder.quantised(np.full((3, 8), value))
    with pytest.raises(ConfigError, match="NaN or infinity"):
        UserEncoder.quantised(np.zeros((3, 8)), np.full(8, value))


def test_coding_needs_neither_torch_nor_scipy() -> None:
    script = (
        "import sys\n"
        "import hashrec.index.ranking.recommender, hashrec.index.model.encoder\n"
        "print({'torch', 'scipy', 'hashrec.training', 'hashrec.service'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "set()"
