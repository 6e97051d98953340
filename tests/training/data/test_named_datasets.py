from __future__ import annotations

import gzip
import hashlib
import io
import zipfile

import pytest

from hashrec.index.errors import ConfigError, DataError
from hashrec.index.reading.options import FormatOptions
from hashrec.training.data.catalogue import (
    DATASETS,
    NamedDataset,
    fetch,
    find_data_file,
    list_datasets,
    load_dataset,
    unpack,
)
from hashrec.training.data.synthetic import synthetic_catalogue

RATINGS = b"1::10::5::978300760\n2::10::3::978302109\n"
MOVIES = b"10::Heat (1995)::Crime|Drama\n"


def zipped(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


ARCHIVE = zipped({"ml-tiny/": b"", "ml-tiny/ratings.dat": RATINGS, "ml-tiny/movies.dat": MOVIES})


@pytest.fixture
def tiny(monkeypatch, serve_file):
    """A public set "tiny", as its publisher would serve it."""
    server = serve_file(ARCHIVE)
    known = NamedDataset("two ratings", server.url, hashlib.md5(ARCHIVE).hexdigest())
    monkeypatch.setitem(DATASETS, "tiny", known)
    return server


def test_synthetic_needs_no_file(tmp_path):
    dataset = load_dataset("synthetic", data_home=tmp_path)
    made = synthetic_catalogue()
    assert dataset.interactions.data_hash() == made.interactions.data_hash()
    assert dataset.attributes == made.attributes
    assert dataset.description.startswith("synthetic: invented data, 1,000 users x 600 items")


def test_fetched_set_is_loaded_by_its_name_with_its_titles(tiny, tmp_path):
    assert fetch("tiny", tmp_path) == tmp_path / "tiny"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["tiny"]
    dataset = load_dataset("tiny", data_home=tmp_path)
    assert len(dataset.interactions) == 2
    assert dataset.attributes.by_id["10"]["title"] == "Heat (1995)"
    assert dataset.reading.n_rows == 2
    assert "1 items described in movies.dat" in dataset.description


def test_fetching_twice_asks_the_server_once(tiny, tmp_path):
    fetch("tiny", tmp_path)
    fetch("tiny", tmp_path)
    assert len(tiny.asked) == 1


def test_archive_put_there_by_hand_is_unpacked_without_a_network(tiny, tmp_path):
    (tmp_path / "tiny.zip").write_bytes(ARCHIVE)
    fetch("tiny", tmp_path)
    assert tiny.asked == []
    assert (tmp_path / "tiny" / "ratings.dat").read_bytes() == RATINGS


def test_set_that_was_not_fetched_says_how(tiny, tmp_path):
    with pytest.raises(DataError, match="hashrec data fetch tiny"):
        load_dataset("tiny", data_home=tmp_path)


def test_name_nobody_knows_is_refused(tmp_path):
    with pytest.raises(DataError, match="hashrec data list"):
        load_dataset("tyni", data_home=tmp_path)
    with pytest.raises(ConfigError, match="no data set 'tyni' to fetch; there are ml-100k"):
        fetch("tyni", tmp_path)
    with pytest.raises(ConfigError, match="'synthetic'"):
        fetch("synthetic", tmp_path)


def test_list_tells_what_is_here(tmp_path):
    (tmp_path / "ml-1m").mkdir()
    here = {listing.name: listing.is_here for listing in list_datasets(tmp_path)}
    assert here == {"synthetic": True, "ml-100k": False, "ml-1m": True, "ml-10m": False}


@pytest.mark.parametrize("name", ["u.data", "ratings.dat.gz", "ratings.csv.gz", "train.txt"])
def test_data_file_is_found_in_the_folder_of_a_name(name, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / name).touch()
    (tmp_path / "mine" / "README").touch()
    assert find_data_file("mine", tmp_path) == tmp_path / "mine" / name
    assert (
        find_data_file(str(tmp_path / "mine"), tmp_path / "elsewhere") == tmp_path / "mine" / name
    )


def test_path_goes_before_a_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "synthetic").write_bytes(b"user_id,item_id\nu,i\n")
    assert len(load_dataset("synthetic", data_home=tmp_path).interactions) == 1


def test_options_reach_the_reader(tmp_path):
    path = tmp_path / "sales.csv"
    path.write_bytes(b"uid,sku,stars\nu,i,5\nv,i,2\n,j,5\n")
    (tmp_path / "titles.csv").write_bytes(b"item_id,title\ni,Lamp\n")
    dataset = load_dataset(
        str(path),
        data_home=tmp_path,
        items=tmp_path / "titles.csv",
        options=FormatOptions(columns={"user": "uid", "value": "stars"}),
        min_value=3,
        max_bad=1,
    )
    assert dataset.interactions.users.ids([0]) == ["u"]
    assert (dataset.reading.n_bad, dataset.reading.n_below) == (1, 1)
    assert dataset.attributes.by_row(dataset.interactions.items) == [{"title": "Lamp"}]
    options = FormatOptions(preset="lightgcn", columns={"user": "uid"})
    with pytest.raises(DataError):
        load_dataset(str(path), data_home=tmp_path, options=options)


def test_test_file_beside_training_lists_is_found(tmp_path):
    (tmp_path / "train.txt.gz").write_bytes(gzip.compress(b"0 1 2\n1 2\n"))
    assert load_dataset(str(tmp_path), data_home=tmp_path).test_path is None
    (tmp_path / "test.txt.gz").touch()
    dataset = load_dataset(str(tmp_path), data_home=tmp_path)
    assert dataset.test_path == tmp_path / "test.txt.gz"


def test_part_of_a_set_keeps_what_came_with_it(tmp_path):
    dataset = load_dataset("synthetic", data_home=tmp_path)
    fewer = dataset.interactions.where(dataset.interactions.user_rows < 3)
    part = dataset.with_interactions(fewer)
    assert part.interactions is fewer
    assert part.attributes is dataset.attributes


def test_no_name_in_an_archive_leads_out_of_its_folder(tmp_path):
    archive = tmp_path / "evil.zip"
    archive.write_bytes(
        zipped({"../../outside": b"x", "/etc/absolute": b"y", "a/b/../c": b"z", "a/..": b"w"})
    )
    unpack(archive, tmp_path / "home" / "evil")
    assert sorted(p.name for p in (tmp_path / "home" / "evil").iterdir()) == [
        "absolute",
        "c",
        "outside",
    ]
    assert sorted(p.name for p in tmp_path.rglob("*") if p.is_file()) == [
        "absolute",
        "c",
        "evil.zip",
        "outside",
    ]


@pytest.mark.parametrize(
    "content", [b"no zip", ARCHIVE[:-30], ARCHIVE.replace(b"ratings.dat", b"movies.dat\0", 2)]
)
def test_archive_that_cannot_be_unpacked_leaves_nothing_behind(content, tmp_path):
    archive = tmp_path / "set.zip"
    archive.write_bytes(content)
    with pytest.raises(DataError):
        unpack(archive, tmp_path / "set")
    assert [path.name for path in tmp_path.iterdir()] == ["set.zip"]


def test_two_files_of_one_name_are_refused(tmp_path):
    archive = tmp_path / "set.zip"
    archive.write_bytes(zipped({"a/x": b"1", "b/x": b"2"}))
    with pytest.raises(DataError, match="two files named x"):
        unpack(archive, tmp_path / "set")


@pytest.mark.shared_data
def test_real_movielens_is_found_by_name_in_any_home(shared_data):
    home = shared_data("ml-100k").parent
    dataset = load_dataset("ml-100k", data_home=home)
    assert len(dataset.interactions) == 100_000
    first = dataset.attributes.by_row(dataset.interactions.items)[0]
    assert first == {"title": "Kolya (1996)", "categories": ["Comedy"]}
