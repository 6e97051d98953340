from __future__ import annotations

import numpy as np
import pytest

from hashrec.index.arrays.codes import BinaryCodes
from hashrec.index.model.items import ItemTable
from hashrec.index.model.subsets import MAX_BYTES, Members, Subsets

N_ITEMS = 12
A_SUBSET = 4 * (8 + 8)  # four items of a category: 8 bytes of code and 8 of row each


def subsets(max_bytes: int = MAX_BYTES) -> Subsets:
    """Twelve items; c0, c1 and c2 have four each, `low` the first six, `every` all of them."""
    table = ItemTable.build(
        [
            {"categories": [f"c{row % 3}", "every", *(["low"] if row < 6 else [])]}
            for row in range(N_ITEMS)
        ]
    )
    return Subsets(BinaryCodes(np.zeros((N_ITEMS, 8), dtype=np.uint8)), table, max_bytes=max_bytes)


def test_a_subset_is_built_once_while_it_is_kept():
    found = subsets()
    assert found.get(["c0"], "any") is found.get(["c0", "c0"], "any")
    assert found.get(["c0", "low"], "any") is found.get(["low", "c0"], "any")
    assert found.get(["c0", "low"], "any") is not found.get(["c0", "low"], "all")


def test_of_one_category_any_and_all_are_the_same_subset():
    found = subsets()
    assert found.get(["c1"], "any") is found.get(["c1"], "all")


def test_bytes_bound_what_is_kept_and_the_least_recently_used_goes_first():
    found = subsets(max_bytes=2 * A_SUBSET)
    first, second = found.get(["c0"], "any"), found.get(["c1"], "any")
    assert first.n_bytes == A_SUBSET
    assert found.get(["c0"], "any") is first
    third = found.get(["c2"], "any")
    assert found.get(["c0"], "any") is first
    assert found.get(["c2"], "any") is third
    assert found.get(["c1"], "any") is not second


def test_a_subset_larger_than_the_bound_is_answered_and_pushes_nothing_out():
    found = subsets(max_bytes=A_SUBSET)
    kept = found.get(["c0"], "any")
    assert len(found.get(["every"], "any").index) == N_ITEMS
    assert found.get(["c0"], "any") is kept


@pytest.mark.parametrize("mode", ["any", "all"])
def test_unknown_names_push_nothing_out(mode: str):
    found = subsets(max_bytes=A_SUBSET)
    kept = found.get(["c0"], "any")
    for number in range(2000):
        assert len(found.get([f"none-{number}"], mode).index) == 0
    assert found.get(["c0", "none"], "any") is kept
    assert len(found.get(["c0", "none"], "all").index) == 0
    assert found.get(["c0"], "any") is kept


def test_empty_intersections_push_nothing_out(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("hashrec.index.model.subsets.MAX_KEPT", 1)
    found = subsets()
    kept = found.get(["c0"], "any")
    assert len(found.get(["c0", "c1"], "all").index) == 0
    assert found.get(["c0"], "any") is kept
    assert found.get(["c1"], "any") is not kept
    assert found.get(["c0"], "any") is not kept


def test_changed_members_take_the_place_of_the_tables_for_whoever_has_them():
    found = subsets()
    before = found.get(["c0"], "any")
    changed = {"c0": Members(np.array([1, 3])), "new": Members(np.array([3, 11]))}
    again = {"c0": Members(np.array([1, 3, 5]))}
    assert found.get(["c0"], "any", changed).rows.tolist() == [1, 3]
    assert found.get(["c0"], "any", again).rows.tolist() == [1, 3, 5]
    assert found.get(["c0", "new"], "all", changed).rows.tolist() == [3]
    assert found.get(["c1", "new"], "any", changed).rows.tolist() == [1, 3, 4, 7, 10, 11]
    assert found.get(["c0"], "any", changed) is found.get(["c0"], "any", changed)
    assert found.get(["c0"], "any") is before
