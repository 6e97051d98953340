"""Lists of rows: each user's seen items, each category's items."""

from __future__ import annotations

from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashrec.index.arrays.seen import RowLists, SeenItems, contained
from hashrec.index.arrays.strings import StringArray
from hashrec.index.errors import DataError
from hashrec.index.model.items import ItemTable

pairs = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 9)), max_size=40)


@given(pairs)
def test_each_list_is_the_sorted_set_of_its_pairs(drawn: list[tuple[int, int]]) -> None:
    owners, items = np.array(drawn, dtype=np.int64).reshape(-1, 2).T
    lists = SeenItems.build(owners, items, 6)
    lists.check("seen", 6, 10)
    assert len(lists) == 6
    for owner in range(6):
        assert lists[owner].tolist() == sorted({item for who, item in drawn if who == owner})
    assert lists.counts().tolist() == [len(lists[owner]) for owner in range(6)]


@given(st.lists(st.integers(-1, 20), max_size=20), st.sets(st.integers(0, 20)))
def test_contained_is_membership(rows: list[int], members: set[int]) -> None:
    found = contained(np.array(rows, np.int64), np.array(sorted(members), np.int32))
    assert found.tolist() == [row in members for row in rows]


@pytest.mark.parametrize(
    ("indptr", "items", "reason"),
    [
        ([0, 1], [0], "do not fit"),  # one list where two are due
        ([1, 1, 2], [0, 1], "do not fit"),
        ([0, 3, 2], [0, 1], "do not fit"),
        ([0, 1, 3], [0, 1], "do not fit"),
        ([0, 2**62, 2], [0, 1], "do not fit"),
        ([0, -5, 2], [0, 1], "do not fit"),
        ([0, 1, 2], [0, 7], "out of range"),
        ([0, 1, 2], [-1, 0], "out of range"),
        ([0, 2, 2], [1, 0], "not ascending"),
        ([0, 2, 2], [1, 1], "not ascending"),
    ],
)
def test_lists_that_contradict_themselves_are_refused(
    indptr: list[int], items: list[int], reason: str
) -> None:
    lists = RowLists(np.array(indptr, np.int64), np.array(items, np.int32))
    with pytest.raises(ValueError, match=f"seen: .*{reason}"):
        lists.check("seen", 2, 7)


@pytest.mark.parametrize("piece", [1, 2, 3, 1000])
@given(st.lists(st.lists(st.integers(0, 6), max_size=5), min_size=1, max_size=8))
def test_order_is_checked_across_the_pieces_in_which_it_is_checked(
    piece: int, lists: list[list[int]]
) -> None:
    indptr = np.cumsum([0, *map(len, lists)])
    items = np.array([item for row in lists for item in row], np.int32)
    with (
        mock.patch("hashrec.index.arrays.seen.PIECE", piece),
        mock.patch("hashrec.index.arrays.strings.PIECE", piece),
    ):
        rows = RowLists(indptr, items)
        if all(row == sorted(set(row)) for row in lists):
            rows.check("seen", len(lists), 7)
        else:
            with pytest.raises(ValueError, match="not ascending"):
                rows.check("seen", len(lists), 7)


def test_a_list_may_start_below_the_end_of_the_one_before() -> None:
    RowLists(np.array([0, 2, 2, 3]), np.array([4, 6, 1], np.int32)).check("seen", 3, 7)


def test_the_item_table_lists_the_items_of_each_category() -> None:
    table = ItemTable.build(
        [
            {"title": "A", "categories": ["x", "é"]},
            {"title": "B"},
            {"categories": ["é", "é"], "year": 1999},
        ]
    )
    table.check(3)
    rows = table.category_rows(["é", "nothing", "x"])
    assert [table.category_items[row].tolist() for row in rows] == [[0, 2], [0]]
    assert [table.title(row) for row in range(3)] == ["A", "B", None]
    assert table.of(2) == {"categories": ["é", "é"], "year": 1999}


def test_an_item_table_without_categories_is_whole() -> None:
    table = ItemTable.build([{}, {}])
    table.check(2)
    assert table.category_rows(["x"]) == []


@pytest.mark.parametrize("item", [{"title": "\ud800"}, {"categories": ["\ud800"]}])
def test_attributes_that_are_not_unicode_are_refused(item: dict[str, object]) -> None:
    with pytest.raises(DataError, match="Unicode"):
        ItemTable.build([item])


@given(st.lists(st.binary(max_size=5), max_size=10))
def test_byte_strings_come_back_as_they_were(strings: list[bytes]) -> None:
    array = StringArray.build(strings)
    array.check("strings")
    assert [array[position] for position in range(len(array))] == strings


@pytest.mark.parametrize(
    "offsets", [[], [0], [1, 3], [0, 2], [0, 4], [0, 3, 2, 3], [0, -1, 3], [0, 2**62, 3]]
)
def test_offsets_that_do_not_fit_the_bytes_are_refused(offsets: list[int]) -> None:
    array = StringArray(np.frombuffer(b"abc", np.uint8), np.array(offsets, np.int64))
    with pytest.raises(ValueError, match="do not fit"):
        array.check("strings")


@given(st.lists(st.binary(max_size=4), max_size=6))
def test_text_is_checked_string_by_string(strings: list[bytes]) -> None:
    def is_text(string: bytes) -> bool:
        try:
            string.decode()
        except UnicodeDecodeError:
            return False
        return True

    array = StringArray.build(strings)
    if all(map(is_text, strings)):
        array.check_text("ids")
    else:
        with pytest.raises(ValueError, match="ids: a string is not UTF-8"):
            array.check_text("ids")


def test_a_character_cut_in_two_is_not_text() -> None:
    with pytest.raises(ValueError, match="not UTF-8"):
        StringArray.build(["é".encode()[:1], "é".encode()[1:]]).check_text("ids")
