"""Signs become bits in one stated order, and distances follow from them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hashrec.index.arrays.codes import MAX_BITS, BinaryCodes
from hashrec.index.errors import CodeWidthError, ConfigError

n_bits = st.sampled_from([8, 16, 24, 64, 72, 192])


@st.composite
def sign_matrices(draw: st.DrawFn, n_matrices: int) -> list[np.ndarray]:
    width = draw(n_bits)
    lengths = st.integers(1, 6)
    signs = st.sampled_from([-1, 1])
    return [
        draw(arrays(np.int8, (draw(lengths), width), elements=signs)) for _ in range(n_matrices)
    ]


def test_dimension_d_is_bit_d_modulo_8_of_byte_d_over_8_least_significant_first() -> None:
    signs = -np.ones((11, 16))
    signs[np.arange(8), np.arange(8)] = 1  # one positive dimension each: 0 .. 7
    signs[8, 8] = signs[9, 15] = 1
    signs[10] = 1
    packed = BinaryCodes.from_signs(signs).packed
    assert packed[:8, 0].tolist() == [1, 2, 4, 8, 16, 32, 64, 128]
    assert packed[8:].tolist() == [[0, 1], [0, 128], [255, 255]]


def test_zero_counts_as_plus_one() -> None:
    assert BinaryCodes.from_signs(np.array([[0.0, -0.0, 1, -1, -1, -1, -1, -1]])).packed == 0b111


@given(sign_matrices(1))
def test_unpacking_returns_the_signs_packed(matrices: list[np.ndarray]) -> None:
    np.testing.assert_array_equal(BinaryCodes.from_signs(matrices[0]).to_signs(), matrices[0])


@given(sign_matrices(2))
def test_hamming_is_half_of_bits_less_inner_product(matrices: list[np.ndarray]) -> None:
    a, b = matrices
    if a.shape[1] != b.shape[1]:
        b = np.resize(b, (len(b), a.shape[1]))
    inner = a.astype(int) @ b.T.astype(int)
    distances = BinaryCodes.from_signs(a).hamming(BinaryCodes.from_signs(b))
    np.testing.assert_array_equal(2 * distances, a.shape[1] - inner)


@given(sign_matrices(1), st.integers(0, 600))
def test_padding_changes_no_distance(matrices: list[np.ndarray], n_bytes: int) -> None:
    codes = BinaryCodes.from_signs(matrices[0])
    padded = codes.padded(n_bytes % 64)
    assert padded.shape[1] == max(codes.packed.shape[1], n_bytes % 64)
    np.testing.assert_array_equal(
        BinaryCodes(padded).hamming(BinaryCodes(padded)), codes.hamming(codes)
    )


def test_codes_of_different_widths_have_no_distance() -> None:
    narrow = BinaryCodes(np.zeros((1, 1), np.uint8))
    with pytest.raises(CodeWidthError, match="16 bits where 8 are expected"):
        narrow.hamming(BinaryCodes(np.zeros((1, 2), np.uint8)))


@pytest.mark.parametrize("width", [0, 1, 7, 12, MAX_BITS + 8])
def test_a_width_that_is_not_whole_bytes_or_too_large_is_refused(width: int) -> None:
    with pytest.raises(ConfigError):
        BinaryCodes.from_signs(np.ones((2, width)))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_codes_of_a_diverged_model_are_refused(bad: float) -> None:
    signs = np.ones((3, 8))
    signs[1, 5] = bad
    with pytest.raises(ConfigError, match="diverged"):
        BinaryCodes.from_signs(signs)


@pytest.mark.parametrize(
    "packed", [np.zeros(8, np.uint8), np.zeros((2, 8), np.int8), np.zeros((1, 2, 3), np.uint8)]
)
def test_only_a_matrix_of_bytes_is_codes(packed: np.ndarray) -> None:
    with pytest.raises(ConfigError):
        BinaryCodes(packed)


def test_a_vector_of_signs_is_refused() -> None:
    with pytest.raises(ConfigError, match="2-d"):
        BinaryCodes.from_signs(np.ones(8))


def test_selecting_one_row_keeps_two_dimensions(rng: np.random.Generator) -> None:
    codes = BinaryCodes(rng.integers(0, 256, (5, 3), dtype=np.uint8))
    assert codes[2].packed.shape == (1, 3)
    np.testing.assert_array_equal(codes[np.array([4, 0])].packed, codes.packed[[4, 0]])
    assert codes[::2].packed.flags.c_contiguous


@given(
    n_bytes=st.sampled_from([1, 2, 4, 6, 8, 12, 24, 33, 512]),
    n=st.integers(0, 40),
    seed=st.integers(0, 2**32 - 1),
)
def test_distances_from_one_code_are_those_between_pairs(n_bytes: int, n: int, seed: int) -> None:
    packed = np.random.default_rng(seed).integers(0, 256, (n + 1, n_bytes), dtype=np.uint8)
    query, codes = BinaryCodes(packed[:1]), BinaryCodes(packed[1:])
    distances = codes.distances(query)
    assert distances.dtype == np.int32
    np.testing.assert_array_equal(distances, query.hamming(codes)[0])


def test_distances_are_right_beyond_one_piece_and_at_their_largest() -> None:
    packed = np.zeros((40_000, 512), dtype=np.uint8)
    packed[[0, 16_383, 16_384, 39_999]] = 255
    query = BinaryCodes(np.zeros((1, 512), dtype=np.uint8))
    assert np.flatnonzero(BinaryCodes(packed).distances(query)).tolist() == [0, 16383, 16384, 39999]
    assert BinaryCodes(packed).distances(query).max() == MAX_BITS


def test_distances_from_a_code_of_another_width_are_refused() -> None:
    with pytest.raises(CodeWidthError):
        BinaryCodes(np.zeros((3, 8), np.uint8)).distances(BinaryCodes(np.zeros((1, 4), np.uint8)))
