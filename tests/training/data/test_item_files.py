"""Files of items as people have them: names of columns, containers, categories, overlap."""

from __future__ import annotations

import bz2
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from typer.testing import CliRunner

import hashrec
from hashrec.index.errors import ConfigError, DataError, EncodingError, UnknownFormatError
from hashrec.index.reading.options import FormatOptions
from hashrec.training.commands.jobs import app
from hashrec.training.data.catalogue import load_dataset
from hashrec.training.data.categories import read_categories
from hashrec.training.data.items import ItemReading, read_items

LAMP = {"7": {"title": "Lamp, red", "categories": ["Light"]}, "8": {"title": "Bed"}}
CSV = b'item_id,title,categories\n7,"Lamp, red",Light\n8,Bed,\n'


def written(folder: Path, name: str, content: bytes | str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def described(path: Path, **options: Any) -> dict[str, Any]:
    return dict(read_items(path, FormatOptions(**options)).attributes.by_id)


def zipped(content: bytes) -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("items.csv", content)
    return archive.getvalue()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("items.csv.bz2", bz2.compress(CSV)),
        ("items.zip", zipped(CSV)),
        ("utf16.csv", CSV.decode().encode("utf-16")),
        ("old-mac.csv", CSV.replace(b"\n", b"\r")),
        ("semicolons.csv", b'item_id;title;categories\r\n"7";Lamp, red;Light\r\n8;Bed;\r\n'),
        ("sep.csv", b"sep=|\nitem_id|title|categories\n7|Lamp, red|Light\n8|Bed|\n"),
        (
            "array.json",
            b'[{"item_id": 7, "title": "Lamp, red", "categories": ["Light"]},\n'
            b' {"item_id": 8, "title": "Bed"}]',
        ),
        (
            "items.item",
            b"item_id:token\ttitle:token_seq\tclass:token_seq\n7\tLamp, red\tLight\n8\tBed\t\n",
        ),
    ],
)
def test_every_container_and_format_gives_the_same_items(
    tmp_path: Path, name: str, content: bytes
) -> None:
    assert described(written(tmp_path, name, content)) == LAMP


def test_a_folder_is_read_as_one_table_with_its_partitions(tmp_path: Path) -> None:
    written(tmp_path, "items/categories=Light/part-0.csv", 'item_id,title\n7,"Lamp, red"\n')
    written(
        tmp_path, "items/categories=__HIVE_DEFAULT_PARTITION__/part-0.csv", "item_id,title\n8,Bed\n"
    )
    written(tmp_path, "items/_SUCCESS", "")
    reading = read_items(tmp_path / "items")
    assert reading.attributes.by_id == LAMP
    assert "skipped 1 other files" in reading.summary()


def test_parts_with_other_columns_are_put_together_and_bad_rows_name_their_part(
    tmp_path: Path,
) -> None:
    written(tmp_path, "items/a.csv", "item_id,title\n7,Lamp\n")
    written(tmp_path, "items/b.csv", "item_id,colour\n8,red\n,blue\n")
    with pytest.raises(DataError, match=r"b.csv line 3: no item id"):
        read_items(tmp_path / "items")
    reading = read_items(tmp_path / "items", max_bad=1)
    assert reading.attributes.by_id == {"7": {"title": "Lamp"}, "8": {"colour": "red"}}
    assert (reading.n_rows, reading.n_bad) == (3, 1)


def test_values_of_json_and_parquet_keep_their_types(tmp_path: Path) -> None:
    row = {"price": 3.5, "sizes": [1, 2], "new": True, "maker": {"name": "A", "since": 1990}}
    expected = {"7": {"title": "7", **row}}
    line = json.dumps({"item_id": 7, "title": 7, "none": None, **row})
    assert described(written(tmp_path, "a.jsonl", line)) == expected
    assert described(written(tmp_path, "a.json", f"[{line}]")) == expected
    pl.DataFrame([{"item_id": 7, "title": 7, "none": None, **row}]).write_parquet(
        tmp_path / "a.parquet"
    )
    assert described(tmp_path / "a.parquet") == expected


@pytest.mark.parametrize(
    ("header", "roles"),
    [
        ("anime_id,name,genre,rating", "item=anime_id,title=name,categories=genre"),
        ("article_id,product_code,prod_name,colour", "item=article_id,title=prod_name"),
        ('"ISBN","Book-Title","Book-Author","x"', "item=ISBN,title=Book-Title"),
        ("movieId,movie_title,class,x", "item=movieId,title=movie_title,categories=class"),
        ("product_id,category_code,brand,x", "item=product_id,categories=category_code"),
        ("id,title,tags,is_hidden", "item=id,title=title,categories=tags,hidden=is_hidden"),
        ("wine_id,winery,category_id,x", "item=wine_id"),
        ("x,painting id,main title,y", "item=painting id,title=main title"),
        ("asin,title,brand,also_bought", "item=asin,title=title"),
    ],
)
def test_columns_are_recognised_by_usual_names_and_ends(
    tmp_path: Path, header: str, roles: str
) -> None:
    path = written(tmp_path, "items.csv", f"{header}\n1,a,b,0\n2,c,d,0\n")
    assert read_items(path).description == f"CSV: {roles}"


def test_columns_can_be_named_and_left_out(tmp_path: Path) -> None:
    path = written(tmp_path, "items.csv", "number,item_id,label,genre,date\n1,x,A,G,soon\n")
    mapped = {"item": "number", "title": "label", "categories": "-", "timestamp": "-"}
    assert described(path, columns=mapped) == {
        "1": {"title": "A", "item_id_": "x", "genre": "G", "date": "soon"}
    }
    with pytest.raises(DataError, match=r"timestamp is no known time.*--map-items timestamp=-"):
        read_items(path)
    with pytest.raises(DataError, match=r"no column 'colour' for title; it has number, item_id"):
        read_items(path, FormatOptions(columns={"title": "colour"}))
    with pytest.raises(ConfigError, match=r"--map-items: no role 'user'.*item, title, categories"):
        read_items(path, FormatOptions(columns={"user": "number"}))


def test_a_file_without_a_header_is_mapped_by_numbers(tmp_path: Path) -> None:
    path = written(tmp_path, "news.tsv", "N1\tsport\tgolf\tA title\nN2\tnews\tus\tAnother\n")
    assert described(path, columns={"item": "1", "categories": "2", "title": "4"}) == {
        "N1": {"title": "A title", "categories": ["sport"]},
        "N2": {"title": "Another", "categories": ["news"]},
    }
    with pytest.raises(
        UnknownFormatError, match=r"no item column.*--map-items item=COLUMN"
    ) as said:
        read_items(path)
    assert "preset" not in str(said.value)


def test_quoted_texts_span_lines_and_entities_stay(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        "items.csv",
        'item_id,name,about\n1,A &amp; B,"soft ""jersey"" top,\nwith straps"\n2,TV 32",flat\n',
    )
    assert described(path) == {
        "1": {"title": "A &amp; B", "about": 'soft "jersey" top,\nwith straps'},
        "2": {"title": 'TV 32"', "about": "flat"},
    }


def test_another_encoding_is_told_or_that_of_movielens(tmp_path: Path) -> None:
    content = "item_id,title\n1,Amélie\n".encode("latin-1")
    path = written(tmp_path, "items.csv", content)
    with pytest.raises(EncodingError, match="--encoding latin-1"):
        read_items(path)
    assert described(path, encoding="latin-1") == {"1": {"title": "Amélie"}}
    utf8 = written(tmp_path, "utf8.csv", "item_id,title\n1,Amélie\n")
    assert described(utf8, encoding="latin-1") == {"1": {"title": "Amélie"}}, "it is UTF-8"
    movies = written(tmp_path, "movies.dat", "1::Amélie::Drama\n".encode("latin-1"))
    assert described(movies)["1"]["title"] == "Amélie"


def test_typed_fields_of_recbole_are_lists_and_numbers(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        "r.item",
        "item_id:token\tmovie_title:token_seq\tgenre:token_seq\tvector:float_seq\tprice:float\t"
        "tags:token_seq\tyear:token\n3\tToy Story\tComedy Drama\t0.5 -1\t7.25\tred blue\t1995\n",
    )
    assert described(path) == {
        "3": {
            "title": "Toy Story", "categories": ["Comedy", "Drama"], "vector": [0.5, -1.0],
            "price": 7.25, "tags": ["red", "blue"], "year": "1995",
        }
    }  # fmt: skip


def test_words_for_nothing_are_no_time_and_gaps_are_counted(tmp_path: Path) -> None:
    path = written(
        tmp_path, "items.csv", "item_id,title,date,hidden\n1,A,2026-11-24,NULL\n2,B,NULL,\n3,,,1\n"
    )
    reading = read_items(path)
    assert reading.attributes.by_id == {
        "1": {"title": "A", "timestamp": 1_795_478_400}, "2": {"title": "B"}, "3": {"hidden": True},
    }  # fmt: skip
    assert "1 without title; 2 without date; 1 hidden" in reading.summary()


CATEGORIES = [
    (["Light|Red", "Light"], [["Light", "Red"], ["Light"]], "names separated by |"),
    (['["Light", "Red|Blue"]', "[]", '["Light"]'], [["Light", "Red|Blue"], [], ["Light"]],
     "lists written as text"),
    (["['Light', 'Children\\'s']", '["O\'s"]'], [["Light", "Children's"], ["O's"]],
     "lists written as text"),
    (["['Light' 'Red']", "[Light, Red]", "{Light,Red}", "('Light',)"],
     [["Light", "Red"], ["Light", "Red"], ["Light", "Red"], ["Light"]], "lists written as text"),
    (["[{'id': 3, 'name': 'Light'}, {'id': 4, 'name': 'Red'}]", '{"id": 3, "name": "Light"}'],
     [["Light", "Red"], ["Light"]], "lists written as text"),
    (["Light, Red", "Red, Blue"], [["Light", "Red"], ["Red", "Blue"]],
     "names separated by commas"),
    (["Light, Red, Blue"], [["Light", "Red", "Blue"]], "names separated by commas"),
    (["Light,Red", "Red", None], [["Light", "Red"], ["Red"], []], "names separated by commas"),
    (["Light;Red", "Red;Blue"], [["Light", "Red"], ["Red", "Blue"]],
     "names separated by semicolons"),
    (["['Light']", "Light, Red"], [["Light"], ["Light", "Red"]],
     "lists written as text, names separated by commas"),
    (["Shoes, Belts & Bags", "Books"], [["Shoes, Belts & Bags"], ["Books"]],
     "one name a row, with its commas ('Shoes, Belts & Bags')"),
    (["Salt &amp; Oil", "Salt &amp; Tea"], [["Salt &amp; Oil"], ["Salt &amp; Tea"]], ""),
    (["home.kitchen", "home.garden"], [["home.kitchen"], ["home.garden"]], ""),
    (["NULL", "(no genres listed)", "", "nan", "(old)"], [[], [], [], [], ["(old)"]], ""),
    ([["a", ["b", "a"]], [{"name": "c"}], 7, {"x": 1}], [["a", "b"], ["c"], ["7"], None], ""),
]  # fmt: skip


@pytest.mark.parametrize(("column", "names", "read_as"), CATEGORIES)
def test_several_categories_are_read_in_every_usual_style(
    column: list[Any], names: list[list[str] | None], read_as: str
) -> None:
    read = read_categories(column)
    assert list(read.names) == names
    assert read.read_as == read_as


@pytest.mark.parametrize(
    ("known", "described_ids", "samples"),
    [
        (["u7", "u8", "u9"], ["U7", "U8", "U9"], ("'U7'", "'u7'")),
        (["12", "7", "8"], ["7.0", "8.0", "12.0"], ("'7.0'", "'7'")),
        (["0071", "0072"], ["x", "72"], ("'72'", "'0072'")),
        (["a", "b", "c"], ["x", "y", "z"], ("'x'", "'a'")),
        (["a", "b", "c"], ["a", "y", "z"], ("'y'", "'b'")),
    ],
)
def test_items_of_other_ids_are_a_warning_that_shows_both(
    tmp_path: Path, known: list[str], described_ids: list[str], samples: tuple[str, str]
) -> None:
    clicks = written(tmp_path, "r.csv", "user,item\n" + "".join(f"u,{name}\n" for name in known))
    items = written(
        tmp_path, "items.csv", "item_id,title\n" + "".join(f"{name},T\n" for name in described_ids)
    )
    (warning,) = load_dataset(str(clicks), items=items).warnings
    here, there = samples
    assert f"for example {here} in items.csv and {there} in the interactions" in warning


def test_a_file_that_describes_most_items_or_some_of_many_is_no_warning(tmp_path: Path) -> None:
    clicks = written(tmp_path, "r.csv", "user,item\nu,a\nu,b\nu,c\nu,d\n")
    for content in ("item_id,title\na,A\n", "item_id,title\na,A\nb,B\nx,X\n"):
        dataset = load_dataset(str(clicks), items=written(tmp_path, "items.csv", content))
        assert dataset.warnings == ()
    assert "they are 2 of 4 items of the interactions" in dataset.description


def test_columns_of_no_file_and_one_input_for_two_files_are_refused(tmp_path: Path) -> None:
    clicks = written(tmp_path, "r.csv", "user,item\nu,a\n")
    with pytest.raises(ConfigError, match="--items FILE"):
        load_dataset(str(clicks), item_columns={"item": "sku"})
    with pytest.raises(ConfigError, match="both read standard input"):
        load_dataset("-", items=Path("-"))
    with pytest.raises(ConfigError, match="'lightgcn' does not read items"):
        read_items(clicks, FormatOptions(preset="lightgcn"))


SHARED: list[tuple[str, int, str, dict[str, Any]]] = [
    ("category-lists/items.csv", 30, "i0",
     {"title": "Title 0", "categories": ["Action", "Sci-Fi"]}),
    ("category-lists/items.csv", 30, "i1", {"title": "Title 1", "categories": ["Action", "Drama"]}),
    ("category-lists/items.csv", 30, "i2", {"title": "Title 2", "categories": ["Action", "Drama"]}),
    ("category-lists/tmdb.csv", 30, "i7",
     {"title": "Title 7", "categories": ["Action", "Adventure"]}),
    ("items-by-any-name/anime.csv", 30, "2",
     {"title": "Name &#039;2&#039;", "categories": ["Drama", "Romance", "School"], "type": "Movie",
      "episodes": "Unknown", "rating": "9.37", "members": "200630"}),
    ("items-by-any-name/articles.csv", 30, "0663713001",
     {"title": "Top 1, blue", "product_code": "663713", "product_type_name": "Top",
      "detail_desc": 'Soft "jersey" top,\nwith straps'}),
    ("items-by-any-name/books-simple.csv", 30, "00245104X", {"title": "Book 2"}),
    ("recbole-item/r.item", 30, "4", {"title": "Name 4", "categories": ["Drama", "Crime"]}),
]  # fmt: skip


@pytest.mark.shared_data
@pytest.mark.parametrize(("name", "n_items", "item_id", "attributes"), SHARED)
def test_items_of_public_reports_are_read(
    shared_cases: Callable[[str], Path],
    name: str,
    n_items: int,
    item_id: str,
    attributes: dict[str, Any],
) -> None:
    reading: ItemReading = read_items(shared_cases(name))
    assert (len(reading.attributes), reading.n_rows, reading.n_bad) == (n_items, n_items, 0)
    assert reading.attributes.by_id[item_id] == attributes


@pytest.mark.shared_data
def test_items_of_a_public_report_that_are_in_no_interaction_are_a_warning(
    shared_cases: Callable[[str], Path],
) -> None:
    dataset = load_dataset(
        str(shared_cases("items-no-overlap/r.csv")),
        items=shared_cases("items-no-overlap/items.csv"),
    )
    (warning,) = dataset.warnings
    assert "0 items in common, of 30 and 30; for example 'I0' in items.csv and 'i0'" in warning
    related = load_dataset(
        str(shared_cases("recbole-item/r.inter")), items=shared_cases("recbole-item/r.item")
    )
    assert related.warnings == ()


def test_columns_of_items_are_named_in_python_in_settings_and_on_the_command_line(
    tmp_path: Path,
) -> None:
    clicks = tmp_path / "r.csv"
    pairs = [f"u{user},i{item}" for user in range(12) for item in range(8) if (user + item) % 3]
    clicks.write_text("user_id,item_id\n" + "\n".join(pairs) + "\n")
    items = written(tmp_path, "items.csv", "number,label\ni0,Lamp\ni1,Bed\n")
    columns = {"item": "number", "title": "label"}
    dataset = hashrec.read(clicks, items=items, item_columns=columns)
    assert dataset.attributes.by_id == {"i0": {"title": "Lamp"}, "i1": {"title": "Bed"}}
    settings = written(
        tmp_path, "job.toml", '[data]\nitem_columns = { item = "number", title = "label" }\n'
    )
    for number, named in enumerate(
        (["--config", str(settings)], ["--map-items", "item=number,title=label"])
    ):
        run = tmp_path / f"run{number}"
        command = ["train", "--data", str(clicks), "--items", str(items), "--model", "lsh",
                   "--bits", "8", "--split", "none", "--out", str(run), *named]  # fmt: skip
        done = CliRunner().invoke(app, command)
        assert done.exit_code == 0, str(done.exception)
        assert "2 items described in items.csv" in done.stderr
        assert hashrec.load(run).title("i0") == "Lamp"
