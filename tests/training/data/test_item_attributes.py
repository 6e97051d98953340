from __future__ import annotations

import gzip

import pytest

from index.errors import DataError, UnknownFormatError
from index.ids import IdMap
from training.data.items import ItemAttributes, find_item_attributes, read_item_attributes

BOTH = ItemAttributes(
    {"01": "Amélie (2001)", "2": "Heat, Again (1995)"}, {"01": ("Comedy", "Romance")}
)
GENRES = b"unknown|0\nComedy|1\nRomance|2\n\n"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        (
            "movies.dat",
            "01::Amélie (2001)::Comedy|Romance\n2::Heat, Again (1995)::(no genres listed)\n".encode(
                "latin-1"
            ),
        ),
        (
            "movies.csv",
            b"movieId,title,genres\n01,Am\xc3\xa9lie (2001),Comedy|Romance\n"
            b'2,"Heat, Again (1995)",(no genres listed)\n',
        ),
        (
            "u.item",
            "01|Amélie (2001)|01-Jan-2001||http://x|0|1|1\n2|Heat, Again (1995)||||1|0|0\n".encode(
                "latin-1"
            ),
        ),
        (
            "items.tsv",
            b"item_id\tcategories\ttitle\n01\tComedy|Romance|Comedy\tAm\xc3\xa9lie (2001)\n"
            b"2\t\tHeat, Again (1995)\n",
        ),
        (
            "items.jsonl",
            b'{"item_id": "01", "title": "Am\\u00e9lie (2001)",'
            b' "categories": ["Comedy", "Romance"]}\n\n'
            b'{"item_id": 2, "title": "Heat, Again (1995)"}\n',
        ),
        (
            "gorse.jsonl",
            b'{"ItemId": "01", "Comment": "Am\xc3\xa9lie (2001)",'
            b' "Categories": ["Comedy", "Romance"]}\n'
            b'{"ItemId": "2", "Comment": "Heat, Again (1995)", "Categories": null}\n',
        ),
    ],
)
def test_every_format_gives_the_same_titles_and_categories(name, content, tmp_path):
    (tmp_path / "u.genre").write_bytes(GENRES)
    (tmp_path / name).write_bytes(content)
    (tmp_path / f"{name}.gz").write_bytes(gzip.compress(content.replace(b"\n", b"\r\n")))
    assert read_item_attributes(tmp_path / name) == BOTH
    if name != "u.item":
        assert read_item_attributes(tmp_path / f"{name}.gz") == BOTH


def test_titles_without_categories_and_categories_without_titles_are_enough(tmp_path):
    path = tmp_path / "items.csv"
    path.write_bytes(b"sku,name\na,Lamp\nb,\n,Nothing\n")
    assert read_item_attributes(path) == ItemAttributes({"a": "Lamp"}, {})
    path.write_bytes(b"id,genre\na,Light\n")
    assert read_item_attributes(path) == ItemAttributes({}, {"a": ("Light",)})


def test_titles_may_hold_the_separator(tmp_path):
    (tmp_path / "movies.dat").write_bytes(b"1::Mission:: Moon::Drama\n")
    assert read_item_attributes(tmp_path / "movies.dat").titles == {"1": "Mission:: Moon"}


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("movies.dat", b"1::Heat\n", "line 1 is not id::title::genres"),
        ("u.item", b"1|Heat\n", "line 1 is not id|title"),
        ("items.jsonl", b'{"item_id": "1", "title": "a"}\n{oops\n', "line 2 is no JSON object"),
        ("items.jsonl", b'{"item_id": "1", "title": "a"}\n[1]\n', "line 2 is no JSON object"),
        ("items.csv", b"item_id\n1\n", "no title, no category"),
        ("items.csv", b"", "no item_id column"),
        ("items.csv.gz", b"\x1f\x8b nothing", "gzip data is damaged"),
    ],
)
def test_file_that_does_not_describe_items_is_refused(name, content, says, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError) as caught:
        read_item_attributes(tmp_path / name)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_columns_without_an_item_id_are_listed(tmp_path):
    (tmp_path / "items.csv").write_bytes(b"number,title\n1,Heat\n")
    with pytest.raises(UnknownFormatError, match=r"no item_id column among .*title"):
        read_item_attributes(tmp_path / "items.csv")


def test_missing_file_is_refused(tmp_path):
    with pytest.raises(DataError, match="cannot be read"):
        read_item_attributes(tmp_path / "items.csv")


def test_attributes_go_to_the_rows_of_their_ids():
    rows = BOTH.by_row(IdMap.build(["2", "unheard of", "01"]))
    assert rows == [
        {"title": "Heat, Again (1995)"},
        {},
        {"title": "Amélie (2001)", "categories": ["Comedy", "Romance"]},
    ]
    assert len(BOTH) == 2


@pytest.mark.parametrize(
    ("data", "beside"),
    [
        ("u.data", "u.item"),
        ("u1.base", "u.item"),
        ("ratings.dat", "movies.dat"),
        ("ratings.csv.gz", "movies.dat"),
        ("ratings.csv", "movies.csv"),
        ("ratings.csv", "movies.csv.gz"),
    ],
)
def test_titles_beside_a_movielens_file_are_found(data, beside, tmp_path):
    assert find_item_attributes(tmp_path / data) is None
    (tmp_path / beside).touch()
    assert find_item_attributes(tmp_path / data) == tmp_path / beside
    assert find_item_attributes(tmp_path) == tmp_path / beside
    assert find_item_attributes(tmp_path / "sales.csv") is None


@pytest.mark.shared_data
@pytest.mark.parametrize(
    ("name", "n_items", "item_id", "title", "categories"),
    [
        ("ml-100k/u.item", 1_682, "1", "Toy Story (1995)", ("Animation", "Children's", "Comedy")),
        ("ml-1m/movies.dat", 3_883, "3952", "Contender, The (2000)", ("Drama", "Thriller")),
    ],
)
def test_movielens_titles_are_read(shared_data, name, n_items, item_id, title, categories):
    attributes = read_item_attributes(shared_data(name))
    assert len(attributes) == n_items
    assert attributes.titles[item_id] == title
    assert attributes.categories[item_id] == categories
