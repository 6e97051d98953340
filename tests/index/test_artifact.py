"""What is written can be opened, twice the same, and holds what was put in."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from small_models import encoder_of, model_of, write

from hashrec.index.arrays.codes import BinaryCodes
from hashrec.index.arrays.ids import IdMap
from hashrec.index.arrays.npy import map_array
from hashrec.index.arrays.seen import RowLists, SeenItems
from hashrec.index.arrays.strings import StringArray
from hashrec.index.artifacts.artifact import Artifact, record_metrics
from hashrec.index.backends import INDEX_TYPES
from hashrec.index.errors import ArtifactCorruptError, ConfigError, NoEncoderError
from hashrec.index.model.items import ItemTable
from hashrec.index.model.model import Model
from hashrec.index.ranking.recommender import Recommender


@pytest.mark.parametrize("index_type", sorted(INDEX_TYPES))
def test_an_opened_artifact_holds_the_model_that_was_written(
    small_model: Model, tmp_path: Path, index_type: str
) -> None:
    manifest = write(tmp_path / "artifact", small_model, index_type=index_type)
    artifact = Artifact.open(tmp_path / "artifact")
    assert artifact.manifest == manifest
    assert (manifest.n_users, manifest.n_items, manifest.n_bits) == (60, 40, 32)
    assert manifest.metrics == {"test/ndcg@100": 0.25}
    opened = artifact.model.arrays()
    for name, array in small_model.arrays().items():
        np.testing.assert_array_equal(opened[name], array)
        assert opened[name].dtype == array.dtype
    recommender = Recommender(artifact)
    assert recommender.title("i7") == "Item 7"
    assert len(recommender.recommend("u3", 10).items) == 10


def test_opened_arrays_are_read_only_maps_of_the_files(whole_artifact: Path) -> None:
    for array in Artifact.open(whole_artifact).model.arrays().values():
        assert not array.flags.writeable
        assert isinstance(array.base, np.memmap) or not array.size


@pytest.mark.parametrize("index_type", sorted(INDEX_TYPES))
def test_the_same_model_gives_the_same_version_and_another_model_another(
    small_model: Model, tmp_path: Path, index_type: str
) -> None:
    first, again = (write(tmp_path / name, small_model, index_type=index_type) for name in "ab")
    assert first == again
    assert first.version.startswith("20261123T060000Z-")
    other = write(tmp_path / "c", model_of(60, 40, 32, seed=2), index_type=index_type)
    assert other.version != first.version


def test_metrics_are_added_to_a_written_artifact(small_model: Model, tmp_path: Path) -> None:
    before = write(tmp_path / "artifact", small_model)
    record_metrics(tmp_path / "artifact", {"test/recall@10": 0.5})
    after = Artifact.open(tmp_path / "artifact").manifest
    assert after.metrics == {**before.metrics, "test/recall@10": 0.5}
    assert after.version == before.version


def test_writing_again_replaces_the_earlier_artifact(small_model: Model, tmp_path: Path) -> None:
    write(tmp_path / "artifact", small_model)
    other = write(tmp_path / "artifact", model_of(5, 5, 8, seed=1))
    assert Artifact.open(tmp_path / "artifact").manifest == other
    assert [path.name for path in tmp_path.iterdir()] == ["artifact"]


def test_an_unknown_index_type_is_refused(small_model: Model, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no index 'hnsw'; there are flat, ivf, numpy"):
        write(tmp_path / "artifact", small_model, index_type="hnsw")
    assert not list(tmp_path.iterdir())


def test_an_artifact_from_before_there_were_encoders_opens_and_says_what_it_lacks(
    small_model: Model, tmp_path: Path
) -> None:
    old = write(tmp_path / "artifact", dataclasses.replace(small_model, encoder=None))
    assert not [name for name in old.files if "encoder" in name]
    recommender = Recommender(Artifact.open(tmp_path / "artifact"))
    assert recommender.recommend("u3").source == "personal"
    with pytest.raises(NoEncoderError, match="train and publish it again"):
        recommender.recommend_history(["i1"])


def test_hidden_items_are_kept_apart_from_their_attributes(
    small_model: Model, tmp_path: Path
) -> None:
    described = [{"title": str(row), "hidden": row in (3, 7)} for row in range(40)]
    model = dataclasses.replace(small_model, item_table=ItemTable.build(described))
    write(tmp_path / "artifact", model)
    opened = Artifact.open(tmp_path / "artifact").model.item_table
    assert opened.hidden.tolist() == [3, 7]
    assert opened.of(3) == {"title": "3"}


def test_a_folder_that_is_not_there_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(ArtifactCorruptError, match="No such file"):
        Artifact.open(tmp_path / "nowhere")


CONTRADICTIONS = {
    "user_encoder: it has other items": lambda m: dataclasses.replace(
        m, encoder=encoder_of(len(m.items) - 1, m.item_codes.n_bits, seed=0)
    ),
    "user_encoder: it has other items or another width": lambda m: dataclasses.replace(
        m, encoder=encoder_of(len(m.items), m.item_codes.n_bits + 8, seed=0)
    ),
    "the model has no item": lambda m: dataclasses.replace(m, items=IdMap.build([])),
    "user codes and user ids differ": lambda m: dataclasses.replace(m, user_codes=m.user_codes[1:]),
    "item codes and item ids differ": lambda m: dataclasses.replace(m, item_codes=m.item_codes[1:]),
    "code widths differ": lambda m: dataclasses.replace(
        m, user_codes=BinaryCodes(m.user_codes.padded(5))
    ),
    "popularity and item ids differ": lambda m: dataclasses.replace(m, popularity=m.popularity[1:]),
    "not in descending popularity": lambda m: dataclasses.replace(
        m, popularity=m.popularity[::-1].copy()
    ),
    "popularity is negative": lambda m: dataclasses.replace(m, popularity=m.popularity - 5),
    "item attributes and item ids differ": lambda m: dataclasses.replace(
        m, item_table=ItemTable.build([{}])
    ),
    "user_ids: the lookup table does not fit": lambda m: dataclasses.replace(
        m, users=dataclasses.replace(m.users, hashes=m.users.hashes[::-1].copy())
    ),
    "user_ids: the lookup table belongs to other ids": lambda m: dataclasses.replace(
        m, users=dataclasses.replace(m.users, hashes=m.users.hashes + np.uint64(1))
    ),
    "item_ids: the lookup table does not fit": lambda m: dataclasses.replace(
        m, items=dataclasses.replace(m.items, rows=np.zeros_like(m.items.rows))
    ),
    "item_ids: an id is repeated": lambda m: dataclasses.replace(m, items=with_twin(m.items)),
    "seen: the lists do not fit": lambda m: dataclasses.replace(
        m, seen=SeenItems(m.seen.indptr[1:], m.seen.items)
    ),
    "seen: an item row is out of range": lambda m: dataclasses.replace(
        m, seen=SeenItems(m.seen.indptr, m.seen.items + 1)
    ),
    "category_items: a list is not ascending": lambda m: dataclasses.replace(
        m,
        item_table=dataclasses.replace(
            m.item_table,
            category_items=RowLists(
                m.item_table.category_items.indptr, m.item_table.category_items.items[::-1].copy()
            ),
        ),
    ),
    "hidden_items: not ascending item rows": lambda m: dataclasses.replace(
        m, item_table=dataclasses.replace(m.item_table, hidden=np.array([3, 3], np.int32))
    ),
}


def with_twin(ids: IdMap) -> IdMap:
    """Give two rows one id, everything else in order."""
    names = ids.ids(range(len(ids)))
    distinct = IdMap.build([*names[:-1], "twin"])
    position = int(np.flatnonzero(distinct.rows == len(names) - 1)[0])
    first = int(np.flatnonzero(distinct.rows == 0)[0])
    hashes, rows = distinct.hashes.copy(), distinct.rows.copy()
    hashes[position] = hashes[first]
    order = np.argsort(hashes, kind="stable")
    strings = StringArray.build(name.encode() for name in [*names[:-1], names[0]])
    return IdMap(strings, hashes[order], rows[order])


@pytest.mark.parametrize("reason", CONTRADICTIONS)
def test_a_model_that_contradicts_itself_is_not_written(
    small_model: Model, tmp_path: Path, reason: str
) -> None:
    with pytest.raises(ConfigError, match=reason):
        write(tmp_path / "artifact", CONTRADICTIONS[reason](small_model))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.int64, np.uint64])
@pytest.mark.parametrize("shape", [(0,), (1,), (7,), (0, 3), (5, 3)])
def test_a_mapped_array_is_the_array_saved(
    tmp_path: Path, dtype: type[np.generic], shape: tuple[int, ...]
) -> None:
    array = np.arange(np.prod(shape)).reshape(shape).astype(dtype)
    np.save(tmp_path / "array.npy", array)
    mapped = map_array(tmp_path / "array.npy")
    assert type(mapped) is np.ndarray
    assert mapped.dtype == dtype
    np.testing.assert_array_equal(mapped, array)
