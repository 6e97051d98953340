"""The dial of diversity: what it may never do, and lists whose right order is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hashrec.index.arrays.codes import BinaryCodes
from hashrec.index.ranking.diversity import (
    STEPS,
    continued,
    distances_between,
    diversified,
    n_candidates,
)

DIALS = [0.0, 0.05, 0.1, 0.2, 0.3, 0.45, 0.5, 0.6, 0.75, 0.9, 0.99, 1.0]


def candidates(seed: int, n: int, n_bytes: int = 24) -> tuple[BinaryCodes, np.ndarray]:
    """Draw items of a few clusters around a user, nearest first: some are near-duplicates."""
    rng = np.random.default_rng(seed)
    user = rng.random(8 * n_bytes) < 0.5
    centres = user ^ (rng.random((max(1, n // 8), 8 * n_bytes)) < 0.2)
    bits = centres[rng.integers(0, len(centres), n)] ^ (rng.random((n, 8 * n_bytes)) < 0.06)
    hamming = (bits != user).sum(axis=1)
    order = np.argsort(hamming, kind="stable")
    return BinaryCodes(np.packbits(bits[order], axis=1, bitorder="little")), hamming[order]


def apart(codes: BinaryCodes, positions: np.ndarray) -> int:
    return int(distances_between(codes[positions]).sum())


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(2, 90), share=st.floats(0.05, 1))
def test_the_distance_within_a_list_never_falls_as_the_dial_rises(
    seed: int, n: int, share: float
) -> None:
    codes, hamming = candidates(seed, n)
    k = max(1, int(n * share))
    lists = [diversified(codes, hamming, k, dial)[0] for dial in DIALS]
    within = [apart(codes, positions) for positions in lists]
    far = [int(hamming[positions].sum()) for positions in lists]
    assert within == sorted(within)
    assert far == sorted(far)  # what it costs rises too
    assert all(len(set(positions.tolist())) == k for positions in lists)


def test_it_does_something_on_codes_in_clusters() -> None:
    gains = []
    for seed in range(20):
        codes, hamming = candidates(seed, 100)
        plain, strongest = (diversified(codes, hamming, 10, dial)[0] for dial in (0.0, 1.0))
        assert plain.tolist() == list(range(10))
        gains.append(apart(codes, strongest) / apart(codes, plain))
    assert min(gains) > 1
    assert np.mean(gains) > 1.15


def test_near_duplicates_are_what_is_passed_over() -> None:
    # Two pairs of equal items, at 1 and 2 bits from a user whose code is 0; and one at 3 bits.
    codes = BinaryCodes(np.array([[0b1], [0b1], [0b110], [0b110], [0b111000]], np.uint8))
    hamming = np.array([1, 1, 2, 2, 3])
    assert diversified(codes, hamming, 3, 0.0)[0].tolist() == [0, 1, 2]
    assert diversified(codes, hamming, 3, 1.0)[0].tolist() == [0, 2, 4]
    assert diversified(codes, hamming, 2, 1.0)[0].tolist() == [0, 4]


def test_an_order_that_is_better_than_that_of_the_distances_is_kept_by_a_dial_of_0() -> None:
    codes, hamming = candidates(3, 50)
    better = np.random.default_rng(0).permutation(50)
    assert diversified(codes[better], hamming[better], 50, 0.0)[0].tolist() == list(range(50))


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(1, 60),
    cut=st.floats(0, 1),
    setting=st.integers(0, STEPS),
)
def test_a_list_goes_on_as_a_longer_one_would(seed: int, n: int, cut: float, setting: int) -> None:
    codes, hamming = candidates(seed, n)
    nothing = np.zeros(n, dtype=bool)
    whole = continued(codes, hamming, nothing, n, setting)
    assert sorted(whole.tolist()) == list(range(n))
    first = whole[: int(cut * n)]
    shown = nothing.copy()
    shown[first] = True
    rest = continued(codes, hamming, shown, n, setting)
    assert [*first.tolist(), *rest.tolist()] == whole.tolist()


@pytest.mark.parametrize(("k", "n"), [(1, 100), (10, 100), (25, 100), (26, 104), (500, 1000)])
def test_a_list_is_chosen_from_four_times_as_many_at_least_100_at_most_1000(k: int, n: int) -> None:
    assert n_candidates(k) == n
