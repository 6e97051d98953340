"""Ids to rows and back, with hashes that collide and ids nobody foresaw."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashrec.index.arrays.ids import IdMap
from hashrec.index.arrays.strings import StringArray
from hashrec.index.errors import DataError

ids = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@given(st.lists(ids, unique=True, max_size=30), ids)
def test_every_id_finds_its_row_and_every_other_finds_none(known: list[str], other: str) -> None:
    id_map = IdMap.build(known)
    id_map.check("ids")
    assert [id_map.row(external_id) for external_id in known] == list(range(len(known)))
    assert id_map.ids(range(len(known))) == known
    assert id_map.row(other) == (known.index(other) if other in known else None)


@pytest.mark.parametrize(
    "external_id",
    ["", "0", "-1", " 1", "é", "e\u0301", "日本語", "👩‍👩‍👧", "\x00", "a\nb", "9" * 100_000],
    ids=lambda text: repr(text)[:12],
)
def test_strange_ids_are_ids_like_any_other(external_id: str) -> None:
    id_map = IdMap.build(["1", external_id, "2"])
    assert id_map.row(external_id) == 1
    assert id_map.id(1) == external_id


def test_ids_that_only_look_alike_are_different() -> None:
    id_map = IdMap.build(["é", "1"])
    assert id_map.row("e\u0301") is None
    assert id_map.row("01") is None
    assert id_map.row("1\x00") is None


def test_an_id_that_comes_twice_is_refused() -> None:
    with pytest.raises(DataError, match="an id is repeated"):
        IdMap.build(["a", "b", "a"])


def test_a_lone_surrogate_cannot_be_an_id_and_finds_no_row() -> None:
    with pytest.raises(DataError, match="Unicode"):
        IdMap.build(["a", "\ud800"])
    assert IdMap.build(["a"]).row("\ud800") is None


def test_ids_with_equal_hashes_are_told_apart_by_their_bytes() -> None:
    honest = IdMap.build(["wanted"])
    wanted = honest.hashes[0]
    # Three ids under the hash of one: what a collision of 64-bit hashes would look like.
    colliding = IdMap(
        StringArray.build([b"x", b"wanted", b"y"]),
        np.array([wanted] * 3, dtype=np.uint64),
        np.array([2, 0, 1], dtype=np.int32),
    )
    assert colliding.row("wanted") == 1


def test_an_unknown_id_with_a_known_hash_has_no_row() -> None:
    wanted = IdMap.build(["wanted"]).hashes
    assert IdMap(StringArray.build([b"x"]), wanted, np.zeros(1, np.int32)).row("wanted") is None


def test_known_rows_keep_the_order_asked_and_drop_the_unknown() -> None:
    assert IdMap.build("abc").known_rows(["c", "?", "a", "c"]) == [2, 0, 2]


def test_take_renumbers() -> None:
    taken = IdMap.build("abcd").take(np.array([3, 1]))
    assert (taken.row("d"), taken.row("b"), taken.row("a")) == (0, 1, None)


def test_an_empty_map_knows_nothing() -> None:
    empty = IdMap.build([])
    empty.check("ids")
    assert len(empty) == 0
    assert empty.row("a") is None


def test_the_representation_stays_short() -> None:
    assert repr(IdMap.build(["a" * 50, "b", "c", "d"])) == f"IdMap(4 ids: {'a' * 15}…, b, c, ...)"


@given(st.lists(ids, unique=True, max_size=40), st.lists(ids, min_size=8, max_size=40))
def test_many_ids_are_looked_up_as_one_by_one(known: list[str], others: list[str]) -> None:
    id_map = IdMap.build(known)
    wanted = [*others, *known, "\ud800", *known[:3]]
    rows = [id_map.row(external_id) for external_id in wanted]
    assert id_map.known_rows(wanted) == [row for row in rows if row is not None]


def test_many_ids_are_told_apart_where_hashes_are_equal() -> None:
    honest = IdMap.build(["wanted"])
    colliding = IdMap(
        StringArray.build([b"x", b"wanted", b"y"]),
        hashes=np.repeat(honest.hashes[0], 3),
        rows=np.arange(3, dtype=np.int32),
    )
    assert colliding.known_rows(["wanted"] * 9) == [1] * 9
