"""What every Hamming index promises, held against the reference in numpy."""

from __future__ import annotations

from pathlib import Path

import faiss
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hashrec.index.arrays.codes import BinaryCodes
from hashrec.index.backends import (
    INDEX_TYPES,
    NO_DISTANCE,
    NO_ROW,
    HammingIndex,
    Neighbors,
)
from hashrec.index.backends.faiss_index import FAST_CODE_BYTES, by_distance_then_row, padded_bytes
from hashrec.index.backends.numpy_exact import NumpyExact
from hashrec.index.errors import ArtifactCorruptError, CodeWidthError

EXACT = sorted(name for name, index_type in INDEX_TYPES.items() if index_type.exact)
same_fixture = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60
)


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> None:
    """Waking a second thread takes longer than any search here."""
    faiss.omp_set_num_threads(1)


@pytest.fixture(params=sorted(INDEX_TYPES))
def index_type(request: pytest.FixtureRequest) -> type[HammingIndex]:
    return INDEX_TYPES[request.param]


@pytest.fixture(params=EXACT)
def exact_type(request: pytest.FixtureRequest) -> type[HammingIndex]:
    return INDEX_TYPES[request.param]


def draw_codes(seed: int, n: int, n_bytes: int, n_distinct: int | None = None) -> BinaryCodes:
    """Draw codes; with few distinct ones nearly every distance is a tie."""
    rng = np.random.default_rng(seed)
    if n_distinct is None:
        return BinaryCodes(rng.integers(0, 256, (n, n_bytes), dtype=np.uint8))
    pool = rng.integers(0, 256, (n_distinct, n_bytes), dtype=np.uint8)
    return BinaryCodes(pool[rng.integers(0, n_distinct, n)])


def clustered_codes(seed: int, n: int, n_bytes: int, n_centres: int) -> BinaryCodes:
    """Flip a tenth of the bits of random centres."""
    rng = np.random.default_rng(seed)
    centres = rng.integers(0, 256, (n_centres, n_bytes), dtype=np.uint8)
    flips = np.packbits(rng.random((n, 8 * n_bytes)) < 0.1, axis=1)
    return BinaryCodes(centres[rng.integers(0, n_centres, n)] ^ flips)


@same_fixture
@given(
    seed=st.integers(0, 2**32 - 1),
    n_bytes=st.sampled_from([1, 2, 4, 8, 12, 24, 33, 65]),
    n=st.integers(1, 400),
    n_queries=st.integers(1, 5),
    k=st.integers(1, 500),
    n_distinct=st.sampled_from([1, 2, 7, None]),
)
def test_exact_indexes_return_what_the_reference_does_ties_by_row_included(
    exact_type: type[HammingIndex],
    seed: int,
    n_bytes: int,
    n: int,
    n_queries: int,
    k: int,
    n_distinct: int | None,
) -> None:
    codes = draw_codes(seed, n, n_bytes, n_distinct)
    queries = draw_codes(seed + 1, n_queries, n_bytes, n_distinct)
    found = exact_type.build(codes).search(queries, k)
    distances = np.array(
        [[np.bitwise_count(q ^ c).sum() for c in codes.packed] for q in queries.packed]
    )
    for position, row in enumerate(distances):
        expected = sorted(zip(row.tolist(), range(n), strict=True))[:k]
        missing = [(NO_DISTANCE, NO_ROW)] * (k - len(expected))
        actual = zip(found.distances[position].tolist(), found.rows[position].tolist(), strict=True)
        assert list(actual) == expected + missing


@same_fixture
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 2000), k=st.integers(1, 60))
def test_ties_go_to_the_lower_row_in_large_scans_too(
    exact_type: type[HammingIndex], seed: int, n: int, k: int
) -> None:
    codes, queries = draw_codes(seed, n, 1), draw_codes(seed + 1, 40, 1)  # 9 distances at most
    found = exact_type.build(codes).search(queries, k)
    expected = NumpyExact.build(codes).search(queries, k)
    np.testing.assert_array_equal(found.rows, expected.rows)
    np.testing.assert_array_equal(found.distances, expected.distances)


@same_fixture
@given(
    seed=st.integers(0, 1000),
    n=st.integers(1, 900),
    k=st.integers(1, 60),
    n_distinct=st.sampled_from([2, 50, None]),
)
def test_every_returned_distance_is_right_and_the_order_is_distance_then_row(
    index_type: type[HammingIndex], seed: int, n: int, k: int, n_distinct: int | None
) -> None:
    codes, queries = draw_codes(seed, n, 3, n_distinct), draw_codes(seed + 1, 3, 3)
    found = index_type.build(codes).search(queries, k)
    assert found.rows.shape == found.distances.shape == (3, k)
    assert (found.rows.dtype, found.distances.dtype) == (np.int64, np.int32)
    for position in range(3):
        rows = found.rows[position]
        n_found = int((rows != NO_ROW).sum())
        assert (found.distances[position][n_found:] == NO_DISTANCE).all()
        rows, distances = rows[:n_found], found.distances[position][:n_found]
        assert len(set(rows.tolist())) == n_found
        np.testing.assert_array_equal(queries[position].hamming(codes[rows])[0], distances)
        pairs = list(zip(distances.tolist(), rows.tolist(), strict=True))
        assert pairs == sorted(pairs)


@same_fixture
@given(
    seed=st.integers(0, 1000),
    n=st.integers(1, 1500),
    shorter=st.integers(1, 80),
    more=st.integers(0, 1500),
    n_distinct=st.sampled_from([2, 50, None]),
)
def test_a_longer_search_begins_with_the_shorter_one_ties_included(
    index_type: type[HammingIndex], seed: int, n: int, shorter: int, more: int, n_distinct: int
) -> None:
    codes, queries = draw_codes(seed, n, 2, n_distinct), draw_codes(seed + 1, 3, 2)
    index = index_type.build(codes)
    few, many = index.search(queries, shorter), index.search(queries, shorter + more)
    np.testing.assert_array_equal(few.rows, many.rows[:, :shorter])
    np.testing.assert_array_equal(few.distances, many.distances[:, :shorter])


def test_results_in_any_order_are_put_in_that_order_missing_ones_last() -> None:
    found = Neighbors(
        np.array([[7, NO_ROW, 2, 10**7, 3], [NO_ROW, NO_ROW, 5, 1, 0]]),
        np.array([[4, NO_DISTANCE, 4, 0, 4096], [NO_DISTANCE, NO_DISTANCE, 0, 0, 1]], np.int32),
    )
    ordered = by_distance_then_row(found)
    assert ordered.rows.tolist() == [[10**7, 2, 7, 3, NO_ROW], [1, 5, 0, NO_ROW, NO_ROW]]
    assert ordered.distances.tolist() == [
        [0, 4, 4, 4096, NO_DISTANCE],
        [0, 0, 1, NO_DISTANCE, NO_DISTANCE],
    ]
    assert (ordered.rows.dtype, ordered.distances.dtype) == (np.int64, np.int32)


def test_recall_is_high_on_codes_that_form_clusters(index_type: type[HammingIndex]) -> None:
    codes = clustered_codes(3, 10_000, 16, n_centres=100)
    queries = codes[np.arange(0, 10_000, 200)]
    found = index_type.build(codes).search(queries, 20)
    exact = NumpyExact.build(codes).search(queries, 20)
    # Distances, not rows: of items tied at the last place any is right.
    assert (found.distances <= exact.distances[:, -1:]).mean() > 0.99


def test_a_batch_returns_what_single_queries_do(exact_type: type[HammingIndex]) -> None:
    codes, queries = draw_codes(5, 700, 2), draw_codes(6, 70, 2)
    index = exact_type.build(codes)
    together = index.search(queries, 30)
    for position in range(len(queries)):
        alone = index.search(queries[position], 30)
        np.testing.assert_array_equal(together.rows[position], alone.rows[0])


def test_a_query_of_another_width_is_refused(index_type: type[HammingIndex]) -> None:
    index = index_type.build(draw_codes(0, 50, 12))
    for n_bytes in (11, 13, 16):  # 16 bytes is what FAISS holds after padding
        with pytest.raises(CodeWidthError, match="96 are expected"):
            index.search(draw_codes(0, 1, n_bytes), 5)


@pytest.mark.parametrize("n", [1, 38, 500])
@pytest.mark.parametrize("n_distinct", [1, None])
def test_a_loaded_index_answers_as_the_saved_one(
    index_type: type[HammingIndex], tmp_path: Path, n: int, n_distinct: int | None
) -> None:
    codes, queries = draw_codes(1, n, 12, n_distinct), draw_codes(2, 20, 12)
    saved = index_type.build(codes)
    saved.save(tmp_path / "index.bin")
    loaded = index_type.load(tmp_path / "index.bin", 96)
    assert (len(loaded), loaded.n_bits) == (len(saved), saved.n_bits) == (n, 96)
    assert loaded.n_bytes == saved.n_bytes >= n * 12
    before, after = saved.search(queries, 15), loaded.search(queries, 15)
    np.testing.assert_array_equal(before.rows, after.rows)
    np.testing.assert_array_equal(before.distances, after.distances)


def test_the_same_seed_builds_the_same_file(index_type: type[HammingIndex], tmp_path: Path) -> None:
    codes = draw_codes(1, 3000, 12)
    for name in ("a", "b"):
        index_type.build(codes, seed=4).save(tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_an_index_of_another_width_or_kind_is_refused(
    index_type: type[HammingIndex], tmp_path: Path
) -> None:
    path = tmp_path / "index.bin"
    for other in INDEX_TYPES.values():
        other.build(draw_codes(0, 100, 12)).save(path)
        if other is not index_type:
            with pytest.raises(ArtifactCorruptError):
                index_type.load(path, 96)
        else:
            with pytest.raises(ArtifactCorruptError):
                index_type.load(path, 192)


@pytest.mark.parametrize("garbage", [b"", b"\x00", b"IBxF", b"IBwF" + b"\xff" * 200, b"x" * 5000])
def test_a_file_that_is_no_index_is_refused(
    index_type: type[HammingIndex], tmp_path: Path, garbage: bytes
) -> None:
    path = tmp_path / "index.bin"
    path.write_bytes(garbage)
    with pytest.raises(ArtifactCorruptError):
        index_type.load(path, 96)
    path.unlink()
    with pytest.raises(ArtifactCorruptError):
        index_type.load(path, 96)


@pytest.mark.parametrize("n_distinct", [1, None])
def test_an_index_cut_short_anywhere_or_too_long_is_refused(
    index_type: type[HammingIndex], tmp_path: Path, n_distinct: int | None
) -> None:
    path = tmp_path / "index.bin"
    index_type.build(draw_codes(0, 200, 12, n_distinct)).save(path)
    whole = path.read_bytes()
    for length in (*range(0, 400, 7), *range(400, len(whole), 97), len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(ArtifactCorruptError):
            index_type.load(path, 96)
    path.write_bytes(whole + b"\x00")
    with pytest.raises(ArtifactCorruptError):
        index_type.load(path, 96)


@same_fixture
@given(
    position=st.integers(0, 700),
    value=st.sampled_from(
        [b"\xff", b"\x00", b"\xff" * 8, b"\x00" * 8, (2**40).to_bytes(8, "little")]
    ),
)
def test_a_changed_byte_is_refused_or_leaves_an_index_that_answers(
    index_type: type[HammingIndex],
    tmp_path_factory: pytest.TempPathFactory,
    position: int,
    value: bytes,
) -> None:
    # FAISS itself crashes on many of these: run without the checks, this ends the test process.
    path = tmp_path_factory.mktemp("changed") / "index.bin"
    codes = draw_codes(0, 200, 12)
    index_type.build(codes).save(path)
    content = bytearray(path.read_bytes())
    content[position : position + len(value)] = value
    path.write_bytes(content)
    try:
        loaded = index_type.load(path, 96)
    except ArtifactCorruptError:
        return
    assert len(loaded) == 200
    rows = loaded.search(codes[:5], 8).rows
    assert ((rows >= NO_ROW) & (rows < 200)).all()


@pytest.mark.parametrize("n_bits", range(8, 601, 8))
def test_codes_are_padded_to_the_next_fast_size(n_bits: int) -> None:
    size = padded_bytes(n_bits)
    assert size >= n_bits // 8
    assert size in FAST_CODE_BYTES or size > max(FAST_CODE_BYTES)
    assert not any(n_bits // 8 <= fast < size for fast in FAST_CODE_BYTES)


def test_the_table_names_every_kind_once() -> None:
    assert len(set(INDEX_TYPES.values())) == len(INDEX_TYPES)
    assert INDEX_TYPES["numpy"] is NumpyExact
