from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from hashrec.index.arrays.codes import BinaryCodes
from hashrec.index.ranking.explanation import nearest_own


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(1, 40),
    n_own=st.integers(0, 40),
    n_bytes=st.sampled_from([1, 2, 24]),
)
def test_the_own_items_that_agree_most_are_named_ties_by_row(
    seed: int, n: int, n_own: int, n_bytes: int
) -> None:
    rng = np.random.default_rng(seed)
    codes = BinaryCodes(rng.integers(0, 256, (60, n_bytes), dtype=np.uint8))
    rows = rng.choice(60, n, replace=False)
    own = np.sort(rng.choice(60, n_own, replace=False))
    expected = []
    for row in rows.tolist():
        agreeing = {
            other: 8 * n_bytes - int(d) for other, d in enumerate(codes[row].hamming(codes)[0])
        }
        mine = sorted(
            (other for other in own.tolist() if other != row), key=lambda o: (-agreeing[o], o)
        )
        expected.append([(other, agreeing[other]) for other in mine[:3]])
    assert nearest_own(codes, rows, own) == expected


def test_more_own_items_than_are_compared_at_once() -> None:
    rng = np.random.default_rng(0)
    codes = BinaryCodes(rng.integers(0, 256, (10_000, 8), dtype=np.uint8))
    own = np.arange(1, 10_000)
    (found,) = nearest_own(codes, np.array([0]), own)
    distances = codes[0].hamming(codes)[0]
    nearest = sorted(own.tolist(), key=lambda row: (distances[row], row))[:3]
    assert found == [(row, 64 - distances[row]) for row in nearest]
