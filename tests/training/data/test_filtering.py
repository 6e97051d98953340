from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashrec.index.arrays.ids import IdMap
from hashrec.index.errors import EmptyDataError
from hashrec.training.data.filtering import k_core
from hashrec.training.data.interactions import Interactions
from hashrec.training.data.reading import read_interactions

PAIRS = st.sets(st.tuples(st.integers(0, 8), st.integers(0, 6)), min_size=1)


def interactions(pairs) -> Interactions:
    """Users "a", "b", ...; items "0", "1", ..."""
    users, items = np.array(sorted(pairs), dtype=np.int32).T
    return Interactions(
        users,
        items,
        IdMap.build("abcdefghi"[: users.max() + 1]),
        IdMap.build(map(str, range(items.max() + 1))),
    )


def id_pairs(data: Interactions) -> set[tuple[str, str]]:
    return set(zip(data.users.ids(data.user_rows), data.items.ids(data.item_rows), strict=True))


def test_dropping_an_item_drops_the_user_that_it_leaves_short():
    # item 3 has one user; without it user c has one item, and without c item 2 has one user, a
    data = interactions({(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (2, 2), (2, 3)})
    core = k_core(data, 2)
    assert id_pairs(core) == {("a", "0"), ("a", "1"), ("b", "0"), ("b", "1")}
    assert (core.n_users, core.n_items) == (2, 2)


def test_zero_keeps_even_items_nobody_has():
    data = interactions({(0, 0), (1, 2)})
    assert k_core(data, 0) is data
    assert k_core(data, 1).n_items == 2


def test_nothing_left_says_to_lower_k():
    with pytest.raises(EmptyDataError, match="lower --k-core"):
        k_core(interactions({(0, 0), (1, 2)}), 2)


@given(pairs=PAIRS, k=st.integers(1, 4))
def test_core_is_the_largest_part_where_everyone_has_k(pairs, k):
    data = interactions(pairs)
    kept = {(user, item) for user, item in pairs}
    while True:  # the definition, one user or item at a time
        short = [
            (side, row)
            for side in (0, 1)
            for row in {pair[side] for pair in kept}
            if sum(pair[side] == row for pair in kept) < k
        ]
        if not short:
            break
        side, row = short[0]
        kept = {pair for pair in kept if pair[side] != row}
    try:
        core = id_pairs(k_core(data, k))
    except EmptyDataError:
        core = set()
    assert core == {("abcdefghi"[user], str(item)) for user, item in kept}


@pytest.mark.shared_data
def test_movielens_1m_at_20_has_the_published_size(shared_data):
    core = k_core(read_interactions(shared_data("ml-1m/ratings.csv.gz")).interactions, 20)
    assert (core.n_users, core.n_items, len(core)) == (6_022, 3_043, 995_154)
    assert core.popularity().min() >= 20
    assert np.bincount(core.user_rows).min() >= 20
