"""Codes of new users, improved bit by bit: on the loss as defined, alone or among others."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_models import in_memory, lists_of, model_of, refiner_of, write

from hashrec.index.arrays.codes import BinaryCodes
from hashrec.index.artifacts.artifact import Artifact
from hashrec.index.backends import INDEX_TYPES
from hashrec.index.errors import ConfigError
from hashrec.index.model.model import Model
from hashrec.index.model.refiner import MAX_LIST, UserRefiner
from hashrec.index.ranking.bulk import rank_histories
from hashrec.index.ranking.recommender import Recommender

N_ITEMS = 60
MODEL = model_of(n_users=8, n_items=N_ITEMS, n_bits=32, seed=4)
REFINER = refiner_of(N_ITEMS, n_entries=12, n_places=9, seed=4)
INDEXES = {name: kind.build(MODEL.item_codes) for name, kind in INDEX_TYPES.items()}
STARTS = BinaryCodes(np.random.default_rng(5).integers(0, 256, (12, 4), dtype=np.uint8))

HISTORIES = st.permutations(range(N_ITEMS)).flatmap(
    lambda rows: st.tuples(st.integers(0, 12), st.integers(0, 8)).map(
        lambda sizes: (rows[: sizes[0]], rows[sizes[0] : sum(sizes)])
    )
)


def refine(
    codes: BinaryCodes, positive: list[list[int]], negative: list[list[int]], kind: str = "flat"
) -> BinaryCodes:
    return REFINER.refine(
        codes,
        lists_of(positive),
        lists_of(negative),
        item_codes=MODEL.item_codes,
        index=INDEXES[kind],
    )


def wanted_list(positive: list[int], negative: list[int]) -> list[int]:
    """The best items by the weights' definition."""
    scores = np.zeros(N_ITEMS)
    for factor, history in ((4, positive), (-1, negative)):
        for item in sorted(history):
            row = slice(REFINER.indptr[item], REFINER.indptr[item + 1])
            scores[REFINER.items[row]] += factor * REFINER.weights[row].astype(np.float64)
    allowed = [
        row for row in range(N_ITEMS) if scores[row] > 0 and row not in {*positive, *negative}
    ]
    return sorted(allowed, key=lambda row: (-scores[row], row))[: len(REFINER.places)]


def loss(code: BinaryCodes, positive: list[int], negative: list[int]) -> float:
    """L of a code over all items outside the history: so few are all candidates."""
    listed = wanted_list(positive, negative)
    t = REFINER.places[: len(listed)] / REFINER.places[: len(listed)].sum()
    others = np.setdiff1d(np.arange(N_ITEMS), [*positive, *negative])
    scores = REFINER.scale * (32 - 2.0 * code.hamming(MODEL.item_codes)[0])
    return float(np.log(np.exp(scores[others]).sum()) - t @ scores[listed])


@settings(max_examples=60, deadline=None)
@given(HISTORIES, st.integers(0, len(STARTS) - 1))
def test_a_refined_code_is_a_minimum_over_single_flips_of_the_loss_as_defined(
    history: tuple[list[int], list[int]], start: int
) -> None:
    positive, negative = history
    before, after = STARTS[start], refine(STARTS[start], [positive], [negative])
    if not wanted_list(positive, negative):
        assert np.array_equal(after.packed, before.packed)
        return
    reached = loss(after, positive, negative)
    assert reached <= loss(before, positive, negative) + 1e-9
    for bit in range(32):
        flipped = after.packed.copy()
        flipped[0, bit // 8] ^= 1 << bit % 8
        # Softmax terms are rounded to 2^-13, and a gain below 10^-4 is not worth a flip.
        assert loss(BinaryCodes(flipped), positive, negative) > reached - 2e-3


@settings(max_examples=30, deadline=None)
@given(st.lists(HISTORIES, min_size=1, max_size=len(STARTS)), st.sampled_from(sorted(INDEXES)))
def test_a_code_is_the_same_alone_and_among_others(
    histories: list[tuple[list[int], list[int]]], kind: str
) -> None:
    positive, negative = ([pair[side] for pair in histories] for side in (0, 1))
    together = refine(STARTS[: len(histories)], positive, negative, kind)
    for user in range(len(histories)):
        alone = refine(STARTS[user], [positive[user]], [negative[user]], kind)
        assert np.array_equal(alone.packed[0], together.packed[user])


def test_exact_indexes_give_the_same_codes() -> None:
    histories = [[1, 5, 9], [0], [20, 21, 22, 23]]
    by_index = [
        refine(STARTS[:3], histories, [[], [3], []], kind).packed
        for kind, found in INDEX_TYPES.items()
        if found.exact
    ]
    assert len(by_index) > 1
    assert all(np.array_equal(packed, by_index[0]) for packed in by_index)


def test_items_of_equal_weight_are_listed_by_row() -> None:
    equal = dataclasses.replace(REFINER, weights=np.ones_like(REFINER.weights))
    items = np.tile(np.arange(12, dtype=np.int32), N_ITEMS)
    tied = dataclasses.replace(equal, items=items)
    codes = [
        model.refine(
            STARTS[:1], lists_of([[40]]), None, item_codes=MODEL.item_codes, index=INDEXES["flat"]
        )
        for model in (tied, _with_first_places_only(tied))
    ]
    assert np.array_equal(codes[0].packed, codes[1].packed)


def _with_first_places_only(refiner: UserRefiner) -> UserRefiner:
    """Drop what is behind the places there are, which must change nothing."""
    n = len(refiner.places)
    return dataclasses.replace(
        refiner,
        indptr=np.arange(N_ITEMS + 1, dtype=np.int64) * n,
        items=np.tile(np.arange(n, dtype=np.int32), N_ITEMS),
        weights=np.ones(N_ITEMS * n, np.float16),
    )


def test_a_recommender_searches_with_the_refined_code(tmp_path: Path) -> None:
    plain, refined = (
        Recommender(in_memory(dataclasses.replace(MODEL, refiner=refiner)))
        for refiner in (None, REFINER)
    )
    positive = ["i1", "i5", "i9"]
    answer = refined.recommend_history(positive, ["i3"], k=20)
    assert answer.source == "fold_in"
    assert answer != plain.recommend_history(positive, ["i3"], k=20)
    assert MODEL.encoder is not None
    start = MODEL.encoder.users.encode(lists_of([[1, 5, 9]]), lists_of([[3]]))
    code = refine(start, [[1, 5, 9]], [[3]])
    distance = code.hamming(MODEL.item_codes)[0]
    assert [item.hamming for item in answer.items] == [
        distance[int(item.item_id[1:])] for item in answer.items
    ]

    write(tmp_path / "artifact", dataclasses.replace(MODEL, refiner=REFINER))
    stored = Recommender(Artifact.open(tmp_path / "artifact"))
    assert stored.recommend_history(positive, ["i3"], k=20).items == answer.items
    (rows,) = rank_histories(stored.artifact, lists_of([[1, 5, 9]]), lists_of([[3]]), 20)
    assert [f"i{row}" for row in rows] == [item.item_id for item in answer.items]


def test_an_artifact_without_one_opens_and_folds_in_by_the_encoder(tmp_path: Path) -> None:
    write(tmp_path / "artifact", MODEL)
    opened = Artifact.open(tmp_path / "artifact")
    assert opened.model.refiner is None
    assert Recommender(opened).recommend_history(["i1"]).source == "fold_in"


def replaced(values: np.ndarray, position: int, value: float) -> np.ndarray:
    changed = values.copy()
    changed[position] = value
    return changed


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"indptr": REFINER.indptr[:-1]}, "do not fit"),
        ({"items": replaced(REFINER.items, 3, N_ITEMS)}, "out of range"),
        ({"items": replaced(REFINER.items, 3, -1)}, "out of range"),
        ({"items": REFINER.items[::-1].copy()}, "not ascending"),
        ({"weights": REFINER.weights[:-1]}, "do not fit"),
        ({"weights": replaced(REFINER.weights, 0, np.nan)}, "not finite"),
        ({"places": np.empty(0, np.int32)}, "0 places"),
        ({"places": np.ones(MAX_LIST + 1, np.int32)}, f"{MAX_LIST + 1} places"),
        ({"places": np.array([3, -1], np.int32)}, "out of range"),
        ({"places": np.zeros(3, np.int32)}, "out of range"),
        ({"places": np.full(3, 2**23, np.int32)}, "out of range"),
        ({"scale": 0.0}, "scale of 0"),
        ({"scale": float("nan")}, "scale of nan"),
    ],
)
def test_parts_that_do_not_fit_are_refused(
    tmp_path: Path, change: dict[str, Any], reason: str
) -> None:
    broken: Model = dataclasses.replace(MODEL, refiner=dataclasses.replace(REFINER, **change))
    with pytest.raises(ConfigError, match=reason):
        write(tmp_path / "artifact", broken)
