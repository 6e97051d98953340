"""Re-ranking against a plain reference, and as a part of an artifact."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from small_models import CATEGORIES, in_memory, model_of, write

from hashrec.index.artifacts.artifact import Artifact
from hashrec.index.errors import ArtifactCorruptError, ConfigError
from hashrec.index.model.model import Model
from hashrec.index.model.reranker import MAX_DIM, Reranker
from hashrec.index.ranking.bulk import rank_users
from hashrec.index.ranking.recommender import Options, Recommender


def hand_made(weight: int = 0, depth: int = 3) -> Reranker:
    return Reranker(
        items=np.array([[1, 0], [0, 1], [5, 5], [2, 0], [9, 9]], np.int8),
        users=np.array([[3, 1]], np.int8),
        weights=np.array([weight], np.int32),
        depth=depth,
    )


def reranked(model: Model, depth: int, seed: int = 0) -> Model:
    rng = np.random.default_rng(seed)
    reranker = Reranker(
        items=rng.integers(-127, 128, (len(model.items), 6)).astype(np.int8),
        users=rng.integers(-127, 128, (len(model.users), 6)).astype(np.int8),
        weights=rng.integers(0, 1000, len(model.users)).astype(np.int32),
        depth=depth,
    )
    return dataclasses.replace(model, reranker=reranker)


ROWS = np.array([0, 3, 1, 4, 2])
HAMMING = np.array([1, 1, 2, 3, 4])


def test_the_first_few_are_put_in_order_and_the_rest_stay() -> None:
    # the products with (3, 1) are 3, 6 and 1 for the items 0, 3 and 1
    assert ROWS[hand_made().order(0, ROWS, HAMMING)].tolist() == [3, 0, 1, 4, 2]


def test_a_bit_of_distance_takes_off_the_weight() -> None:
    # with weight w the items 0, 3, 1, 4 and 2 have 3 - w, 6 - w, 1 - 2w, 36 - 3w and 20 - 4w
    for weight, expected in ((14, [4, 3, 0, 1, 2]), (16, [3, 4, 0, 1, 2]), (18, [3, 0, 4, 1, 2])):
        assert ROWS[hand_made(weight, 5).order(0, ROWS, HAMMING)].tolist() == expected


def test_equal_scores_stay_in_hamming_order() -> None:
    flat = dataclasses.replace(hand_made(0, 5), users=np.zeros((1, 2), np.int8))
    assert flat.order(0, ROWS, HAMMING).tolist() == [0, 1, 2, 3, 4]


def test_no_candidate_is_no_order() -> None:
    assert hand_made().order(0, ROWS[:0], HAMMING[:0]).tolist() == []


def test_the_largest_products_are_exact() -> None:
    items = np.full((3, MAX_DIM), 127, np.int8)
    items[1, 0] = 126  # one less in 16 million
    items[2] = -128
    widest = Reranker(items, np.full((1, MAX_DIM), 127, np.int8), np.zeros(1, np.int32), 3)
    order = widest.order(0, np.array([2, 1, 0]), np.zeros(3, np.int32))
    assert order.tolist() == [2, 1, 0]


@pytest.mark.parametrize("depth", [1, 7, 25, 500])
@pytest.mark.parametrize("k", [1, 10, 40])
def test_recommend_equals_the_reference_with_every_filter(depth: int, k: int) -> None:
    model = reranked(model_of(n_users=8, n_items=60, n_bits=16, seed=4), depth)
    recommender, vectors = Recommender(in_memory(model)), model.reranker
    assert vectors is not None
    for user in range(8):
        seen = set(model.seen[user].tolist())
        for options in (
            Options(),
            Options(exclude_seen=False, exclude=("i3", "i9", "nothing")),
            Options(categories=CATEGORIES[:2]),
        ):
            allowed = [
                row
                for row in range(60)
                if not (options.exclude_seen and row in seen)
                and f"i{row}" not in options.exclude
                and (
                    not options.categories
                    or set(options.categories) & set(model.item_table.of(row)["categories"])
                )
            ]
            distances = model.user_codes[user].hamming(model.item_codes)[0].tolist()
            allowed.sort(key=lambda row: (distances[row], row))
            scores = {
                row: sum(
                    int(a) * int(b)
                    for a, b in zip(vectors.users[user], vectors.items[row], strict=True)
                )
                - int(vectors.weights[user]) * distances[row]
                for row in allowed[:depth]
            }
            expected = sorted(scores, key=lambda row: -scores[row]) + allowed[depth:]
            answer = recommender.recommend(f"u{user}", k, options)
            assert [item.item_id for item in answer.items] == [f"i{r}" for r in expected[:k]]
            assert [item.hamming for item in answer.items] == [distances[r] for r in expected[:k]]
            assert [item.score for item in answer.items] == [
                1 - distances[r] / 16 for r in expected[:k]
            ]


@pytest.mark.parametrize("index_type", ["flat", "ivf"])
def test_ranking_many_users_equals_recommending_to_each(index_type: str) -> None:
    model = reranked(model_of(n_users=300, n_items=90, n_bits=16, seed=5), 30)
    recommender = Recommender(in_memory(model, index_type=index_type))
    rows = np.arange(300)[::-1]
    for row, ranking in zip(rows, rank_users(recommender.artifact, rows, 20), strict=True):
        items = recommender.recommend(f"u{row}", 20).items
        assert [f"i{r}" for r in ranking.rows] == [item.item_id for item in items]


def test_a_longer_list_begins_with_the_shorter_one() -> None:
    model = reranked(model_of(n_users=5, n_items=200, n_bits=32, seed=6), 50)
    recommender = Recommender(in_memory(model))
    for user in range(5):
        longest = [item.item_id for item in recommender.recommend(f"u{user}", 150).items]
        for k in (1, 49, 50, 51, 100):
            items = recommender.recommend(f"u{user}", k).items
            assert [item.item_id for item in items] == longest[:k]


def test_ranking_by_codes_alone_and_all_other_lists_are_as_without_a_reranker() -> None:
    plain = model_of(n_users=20, n_items=70, n_bits=16, seed=7)
    with_one, without = (Recommender(in_memory(m)) for m in (reranked(plain, 40), plain))
    assert with_one.reranks
    assert not without.reranks
    rows = np.arange(20)
    lists = [ranking.rows.tolist() for ranking in rank_users(without.artifact, rows, 30)]
    assert [r.rows.tolist() for r in rank_users(with_one.artifact, rows, 30, rerank=False)] == lists
    assert [r.rows.tolist() for r in rank_users(with_one.artifact, rows, 30)] != lists
    assert with_one.similar_items("i0", 9) == without.similar_items("i0", 9)
    assert with_one.popular(9, user_id="u1") == without.popular(9, user_id="u1")
    assert with_one.recommend("nobody", 9) == without.recommend("nobody", 9)


def test_an_artifact_keeps_the_vectors_and_says_what_an_item_takes(tmp_path: Path) -> None:
    model = reranked(model_of(n_users=9, n_items=30, n_bits=32, seed=8), 12)
    manifest = write(tmp_path / "artifact", model)
    assert manifest.rerank is not None
    assert (manifest.rerank.dim, manifest.rerank.depth) == (6, 12)
    assert manifest.bytes_per_item == 4 + 6
    opened = Recommender(Artifact.open(tmp_path / "artifact"))
    direct = Recommender(in_memory(model))
    for user in range(9):
        assert opened.recommend(f"u{user}").items == direct.recommend(f"u{user}").items


def test_an_artifact_from_before_there_was_re_ranking_opens(tmp_path: Path) -> None:
    write(tmp_path / "artifact", model_of(n_users=3, n_items=9, n_bits=8, seed=1))
    path = tmp_path / "artifact" / "manifest.json"
    manifest = json.loads(path.read_text())
    del manifest["rerank"]
    path.write_text(json.dumps(manifest))
    artifact = Artifact.open(tmp_path / "artifact")
    assert artifact.model.reranker is None
    assert artifact.manifest.bytes_per_item == 1


def test_a_manifest_that_says_otherwise_than_the_vectors_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "artifact", reranked(model_of(n_users=3, n_items=9, n_bits=8, seed=1), 5))
    path = tmp_path / "artifact" / "manifest.json"
    path.write_text(path.read_text().replace('"depth": 5', '"depth": 6'))
    with pytest.raises(ArtifactCorruptError, match="its re-ranking vectors differ from manifest"):
        Artifact.open(tmp_path / "artifact")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"items": np.zeros((8, 6), np.int8)}, "vectors of items and item ids differ"),
        ({"users": np.zeros((3, 5), np.int8)}, "fit neither the users nor the items"),
        ({"users": np.zeros((2, 6), np.int8)}, "fit neither the users nor the items"),
        ({"items": np.zeros((9, 0), np.int8)}, "0 numbers, not 1 to 1024"),
        ({"weights": np.zeros(2, np.int32)}, "weights and user ids differ"),
        ({"weights": np.array([1, -1, 0], np.int32)}, "weight is negative"),
        ({"depth": 0}, "depth of re-ranking is 0"),
        ({"depth": 10_001}, "depth of re-ranking is 10001"),
    ],
)
def test_parts_that_do_not_fit_are_refused(
    tmp_path: Path, change: dict[str, object], says: str
) -> None:
    model = reranked(model_of(n_users=3, n_items=9, n_bits=8, seed=1), 5)
    assert model.reranker is not None
    broken = dataclasses.replace(model.reranker, **change)
    with pytest.raises(ConfigError, match=says):
        write(tmp_path / "artifact", dataclasses.replace(model, reranker=broken))
