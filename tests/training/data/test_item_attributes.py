from __future__ import annotations

import gzip

import polars as pl
import pytest

from hashrec.index.arrays.ids import IdMap
from hashrec.index.errors import DataError, TooManyBadRowsError, UnknownFormatError
from hashrec.training.data.items import ItemAttributes, find_item_attributes, read_items

BOTH = {
    "01": {"title": "Amélie (2001)", "categories": ["Comedy", "Romance"]},
    "2": {"title": "Heat, Again (1995)"},
}
GENRES = b"unknown|0\nComedy|1\nRomance|2\n\n"


def described(path):
    return read_items(path).attributes.by_id


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
    assert described(tmp_path / name) == BOTH
    if name != "u.item":
        assert described(tmp_path / f"{name}.gz") == BOTH


def test_parquet_gives_the_same_titles_and_categories(tmp_path):
    pl.DataFrame(
        {
            "item_id": ["01", "2"],
            "title": ["Amélie (2001)", "Heat, Again (1995)"],
            "categories": [["Comedy", "Romance"], None],
        }
    ).write_parquet(tmp_path / "items.parquet")
    assert described(tmp_path / "items.parquet") == BOTH


def test_titles_without_categories_and_categories_without_titles_are_enough(tmp_path):
    path = tmp_path / "items.csv"
    path.write_bytes(b"sku,name\na,Lamp\nb,\n")
    assert described(path) == {"a": {"title": "Lamp"}, "b": {}}
    path.write_bytes(b"id,genre\na,Light\n")
    assert described(path) == {"a": {"categories": ["Light"]}}


def test_every_other_column_is_an_attribute(tmp_path):
    path = tmp_path / "items.jsonl"
    path.write_text(
        '{"ItemId": 7.0, "IsHidden": true, "Categories": ["a"], "Timestamp": '
        '"2026-11-24T00:00:00Z", "Labels": {"tags": ["x"]}, "Comment": "Lamp", "price": 3.5}\n'
        '{"ItemId": 8, "IsHidden": false, "Timestamp": "0001-01-01T00:00:00Z", "price": null}\n'
    )
    assert described(path) == {
        "7.0": {
            "hidden": True,
            "categories": ["a"],
            "timestamp": 1_795_478_400,
            "labels": {"tags": ["x"]},
            "title": "Lamp",
            "price": 3.5,
        },
        "8": {},
    }
    assert "1 hidden" in read_items(path).summary()


def test_timestamps_are_read_in_the_unit_that_all_of_them_have(tmp_path):
    path = tmp_path / "items.csv"
    path.write_text("item_id,timestamp,hidden\na,1795478400000,no\nb,,1\nc,1000000000,\n")
    reading = read_items(path)
    assert reading.timestamp_unit == "milliseconds and seconds"
    assert reading.attributes.by_id == {
        "a": {"timestamp": 1_795_478_400}, "b": {"hidden": True}, "c": {"timestamp": 1_000_000_000},
    }  # fmt: skip


def test_the_last_row_of_an_item_is_kept_and_the_others_counted(tmp_path):
    path = tmp_path / "items.csv"
    path.write_text("item_id,title\na,Old\nb,Bed\na,New\n")
    reading = read_items(path)
    assert reading.attributes.by_id == {"a": {"title": "New"}, "b": {"title": "Bed"}}
    assert reading.n_duplicates == 1


BAD_ROWS = {
    "no item id": '{"item_id": "", "title": "a"}',
    "item id is neither a string nor a number": '{"item_id": ["x"]}',
    "control character in the item id": '{"item_id": "a\\u0000"}',
    "item id over 512 bytes": f'{{"item_id": "{"é" * 257}"}}',
    "not valid Unicode": '{"item_id": "a", "note": "\\ud800"}',
    "title is not text": '{"item_id": "a", "title": ["x"]}',
    "categories are not a list of names": '{"item_id": "a", "categories": {"x": 1}}',
    "hidden is neither true nor false": '{"item_id": "a", "hidden": "perhaps"}',
    "timestamp is no known time": '{"item_id": "a", "timestamp": "yesterday"}',
    "not valid Unicode, or nested too deeply": '{"item_id": "a", "note": '
    + "[" * 300
    + "]" * 300
    + "}",
    "not a JSON object": '{"item_id": "a", "price": NaN}',
}


@pytest.mark.parametrize("problem", BAD_ROWS)
def test_a_bad_row_is_refused_with_its_line_or_left_out_where_that_is_allowed(problem, tmp_path):
    path = tmp_path / "items.jsonl"
    good = '{"item_id": "g", "title": "Good", "timestamp": 1000000000}\n'
    path.write_text(f"{good}\n{BAD_ROWS[problem]}\n")
    with pytest.raises(TooManyBadRowsError, match=f"1 bad rows, 0 allowed \\(line 3: {problem}"):
        read_items(path)
    reading = read_items(path, max_bad=1)
    assert reading.attributes.by_id == {"g": {"title": "Good", "timestamp": 1000000000}}
    assert "1 bad rows left out" in reading.summary()


def test_titles_may_hold_the_separator(tmp_path):
    (tmp_path / "movies.dat").write_bytes(b"1::Mission:: Moon::Drama\n")
    assert described(tmp_path / "movies.dat")["1"]["title"] == "Mission:: Moon"


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("movies.dat", b"1::Heat\n", "line 1: not id::title::genres"),
        ("u.item", b"1|Heat\n", "line 1: not id|title"),
        ("items.jsonl", b'{"item_id": "1", "title": "a"}\n{oops\n', "line 2: not a JSON object"),
        ("items.jsonl", b'{"item_id": "1", "title": "a"}\n[1]\n', "line 2: not a JSON object"),
        ("items.csv", b"item_id\n1\n", "no item has an attribute"),
        ("items.csv", b"item_id,title\n1,a,b\n", "line 2: more than 2 fields"),
        ("items.csv", b'item_id,title\n1,"a\n', "close the quote"),
        ("items.csv", b"item_id,title\n", "no rows"),
        ("items.csv", b"", "the file is empty"),
        ("items.parquet", b"PAR1 nothing", "damaged Parquet"),
        ("items.csv.gz", b"\x1f\x8b nothing", "gzip data is damaged"),
    ],
)
def test_file_that_does_not_describe_items_is_refused(name, content, says, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError) as caught:
        read_items(tmp_path / name)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_columns_without_an_item_id_are_listed(tmp_path):
    (tmp_path / "items.csv").write_bytes(b"number,title\n1,Heat\n")
    with pytest.raises(
        UnknownFormatError, match=r"no item column among .*title.*--map-items item=COLUMN"
    ):
        read_items(tmp_path / "items.csv")


def test_missing_file_is_refused(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        read_items(tmp_path / "items.csv")


def test_attributes_go_to_the_rows_of_their_ids():
    rows = ItemAttributes(BOTH).by_row(IdMap.build(["2", "unheard of", "01"]))
    assert rows == [
        {"title": "Heat, Again (1995)"},
        {},
        {"title": "Amélie (2001)", "categories": ["Comedy", "Romance"]},
    ]


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
        ("ml-100k/u.item", 1_682, "1", "Toy Story (1995)", ["Animation", "Children's", "Comedy"]),
        ("ml-1m/movies.dat", 3_883, "3952", "Contender, The (2000)", ["Drama", "Thriller"]),
    ],
)
def test_movielens_titles_are_read(shared_data, name, n_items, item_id, title, categories):
    attributes = described(shared_data(name))
    assert len(attributes) == n_items
    assert attributes[item_id] == {"title": title, "categories": categories}
