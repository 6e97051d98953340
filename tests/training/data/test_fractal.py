"""Expanded data keep the shape asked for and the structure they came with."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import sparse

from hashrec.index.errors import ConfigError
from hashrec.training.data.fractal import expand
from hashrec.training.data.interactions import Interactions
from hashrec.training.data.reading import read_interactions
from hashrec.training.data.synthetic import synthetic_catalogue
from hashrec.training.data.writing import write_parquet
from hashrec.training.judging.diagnostics import gini
from hashrec.training.progress import QuietProgress, State
from tests.training.pairs import interactions_of


@pytest.fixture(scope="module")
def source() -> Interactions:
    return synthetic_catalogue(n_users=400, n_items=200, n_interactions=12_000).interactions


@pytest.fixture(scope="module")
def expanded(source: Interactions) -> Interactions:
    return expand(source, 1_500, 900, 60_000)


def activity(data: Interactions) -> np.ndarray:
    return np.bincount(data.user_rows, minlength=data.n_users)


def spectrum(data: Interactions) -> np.ndarray:
    """Singular values, descending, of the matrix divided by the roots of its row and column sums.

    The first is 1; the division takes out what activity and popularity alone explain.
    """
    rows, columns = activity(data), data.popularity()
    scaled = sparse.diags(rows**-0.5) @ data.matrix() @ sparse.diags(columns**-0.5)
    return np.linalg.svd(scaled.toarray(), compute_uv=False)


def shuffled(data: Interactions, rng: np.random.Generator) -> Interactions:
    """Deal the items out anew: users stay as active and items as popular, tastes are gone."""
    keys = np.unique(
        data.user_rows.astype(np.int64) * data.n_items + rng.permutation(data.item_rows)
    )
    rows = (keys // data.n_items).astype(np.int32), (keys % data.n_items).astype(np.int32)
    return replace(data, user_rows=rows[0], item_rows=rows[1])


@pytest.mark.parametrize(
    ("n_users", "n_items", "n_interactions"),
    [
        (1_500, 900, 60_000),  # no multiple of the source's 400 users and 200 items
        (800, 400, 40_000),
        (401, 200, 9_001),  # one user more than one copy has
        (150, 70, 1_000),  # smaller than the source
        (3_000, 900, 3_900),  # hardly more pairs than users and items
    ],
)
def test_sizes_are_exactly_those_asked_for(
    source: Interactions, n_users: int, n_items: int, n_interactions: int
):
    data = expand(source, n_users, n_items, n_interactions)
    assert (data.n_users, data.n_items, len(data)) == (n_users, n_items, n_interactions)
    pairs = set(zip(data.user_rows.tolist(), data.item_rows.tolist(), strict=True))
    assert len(pairs) == n_interactions
    assert activity(data).min() >= 1
    assert data.popularity().min() >= 1


def test_a_seed_gives_the_same_pairs_and_another_seed_others(
    source: Interactions, expanded: Interactions
):
    assert expand(source, 1_500, 900, 60_000, seed=0).data_hash() == expanded.data_hash()
    assert expand(source, 1_500, 900, 60_000, seed=1).data_hash() != expanded.data_hash()


def test_all_copies_of_all_pairs_are_the_kronecker_product_with_ones():
    # Two users of one item each: their copies are users of one copy of it in each block.
    source = interactions_of([(0, 0), (1, 1)], n_users=2, n_items=2)
    data = expand(source, n_users=6, n_items=4, n_interactions=12)
    matrix = data.matrix().toarray()
    assert matrix.sum(axis=1).tolist() == [2] * 6
    assert matrix.sum(axis=0).tolist() == [3] * 4
    assert sorted(np.linalg.svd(matrix, compute_uv=False).round(6).tolist()) == pytest.approx(
        [0, 0, 6**0.5, 6**0.5], abs=1e-5
    )


def test_singular_values_fall_as_those_of_the_source_and_not_as_without_tastes(
    source: Interactions, expanded: Interactions, rng: np.random.Generator
):
    original, ours = spectrum(source), spectrum(expanded)
    control = spectrum(shuffled(expanded, rng))
    tastes = slice(1, 11)  # the source has twelve genres: eleven directions beyond popularity
    assert np.abs(ours[tastes] - original[tastes]).max() < 0.1
    # As much of the spectrum stands above the noise as in the source, and nothing in the control.
    assert (ours[tastes] > control[1]).all()
    assert control[tastes].sum() < 0.8 * ours[tastes].sum()


def test_popularity_and_activity_stay_as_unequal_as_they_were(
    source: Interactions, expanded: Interactions
):
    for counts in (Interactions.popularity, activity):
        before, after = gini(counts(source)), gini(counts(expanded))
        assert before - 0.02 < after < before + 0.15
        # a power law is a line: the tail's share stays, at the top tenth and the top hundredth
        for share in (0.1, 0.01):
            tops = []
            for data in (source, expanded):
                ranked = np.sort(counts(data))[::-1]
                tops.append(ranked[: int(share * len(ranked))].sum() / ranked.sum())
            assert 0.8 < tops[1] / tops[0] < 1.6


def test_order_of_rows_says_nothing(expanded: Interactions):
    for counts in (activity(expanded), expanded.popularity()):
        halves = counts[: len(counts) // 2].mean(), counts[len(counts) // 2 :].mean()
        assert halves[0] == pytest.approx(halves[1], rel=0.2)


def test_rows_without_interactions_have_no_copies():
    source = interactions_of([(0, 0), (2, 1), (2, 0)], n_users=3, n_items=5)
    data = expand(source, n_users=4, n_items=4, n_interactions=12)
    assert len(data) == 12  # all of 2 x 2 copies of the three pairs


def test_a_seed_gives_the_same_pairs_under_every_numpy(expanded: Interactions):
    assert expanded.data_hash().startswith("024bf307f60a1a9a")


def test_progress_follows_the_blocks(source: Interactions):
    seen: list[tuple[str, int]] = []

    class Watching(QuietProgress):
        def track(self, loop: str, total: int, state: State = (), *, first: int = 0):
            seen.append((loop, total))
            return super().track(loop, total, state, first=first)

    expand(source, 1_200, 600, 30_000, progress=Watching())
    assert seen == [("expanding", 3 * 3)]


@pytest.mark.parametrize(
    ("sizes", "says"),
    [
        ((0, 10, 100), "0 users"),
        ((500, 300, 799), "at least as many interactions as both together"),
        ((400, 200, 20_000), "at most 11,708 interactions"),
    ],
)
def test_sizes_that_do_not_go_together_are_refused(
    source: Interactions, sizes: tuple[int, int, int], says: str
):
    with pytest.raises(ConfigError, match=says):
        expand(source, *sizes)


def test_nothing_cannot_be_expanded():
    with pytest.raises(ConfigError, match="no interaction"):
        expand(interactions_of([], 2, 2), 4, 4, 8)


def test_a_written_file_reads_back_as_it_was(expanded: Interactions, tmp_path: Path):
    path = tmp_path / "new" / "expanded.parquet"
    write_parquet(expanded, path)
    reading = read_interactions(path)
    assert reading.n_duplicates == 0
    assert reading.data_hash == expanded.data_hash()
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_values_and_times_are_written_where_there_are(source: Interactions, tmp_path: Path):
    values = np.arange(len(source), dtype=np.float32)
    write_parquet(replace(source, values=values), tmp_path / "source.parquet")
    read = read_interactions(tmp_path / "source.parquet").interactions
    assert read.values is not None
    assert read.values.tolist() == values.tolist()
    assert read.timestamps is not None
    assert read.timestamps.tolist() == source.timestamps.tolist()
