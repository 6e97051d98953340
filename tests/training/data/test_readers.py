"""Every format reads the same five interactions; one added to READERS must bring its sample."""

from __future__ import annotations

import gzip
import io
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from hashrec.index.errors import ConfigError, DataError
from hashrec.index.reading.options import FormatOptions
from hashrec.index.reading.readers import READERS
from hashrec.training.data.interactions import Interactions
from hashrec.training.data.reading import read_interactions

# user, item, value, seconds; the ids keep their leading zeros
ROWS = [
    ("007", "10", 5.0, 978300760),
    ("007", "011", 3.0, 978302109),
    ("8", "10", 4.0, 978300275),
    ("8", "0", 1.0, 978824291),
    ("09", "011", 2.5, 978302268),
]


def joined(separator: str, order: str = "uivt", header: str = "") -> bytes:
    lines = [
        separator.join(str(dict(zip("uivt", row, strict=True))[letter]) for letter in order)
        for row in ROWS
    ]
    return (header + "\n".join(lines) + "\n").encode()


def parquet() -> bytes:
    buffer = io.BytesIO()
    names = ["user_id", "item_id", "rating", "timestamp"]
    pl.DataFrame(ROWS, schema=names, orient="row").write_parquet(buffer)
    return buffer.getvalue()


def json_lines(user: str, item: str, value: str, timestamp: str) -> bytes:
    return "".join(
        f'{{"{user}": "{u}", "{item}": "{i}", "{value}": {v}, "{timestamp}": {t}}}\n'
        for u, i, v, t in ROWS
    ).encode()


SAMPLES = {
    "parquet": ("data.parquet", parquet()),
    "jsonl": ("data.jsonl", json_lines("user_id", "item_id", "value", "timestamp")),
    "movielens-dat": ("ratings.dat", joined("::")),
    "movielens-100k": ("u.data", joined("\t")),
    "recbole": (
        "ml.inter",
        joined("\t", header="user_id:token\titem_id:token\trating:float\ttimestamp:float\n"),
    ),
    "csv": ("ratings.csv", joined(",", header="userId,movieId,rating,timestamp\n")),
    "lightgcn": ("train.txt", b"007 10 011\n8 10 0 \n12\n09 011\n"),
    "amazon-2014": ("ratings_Books.csv", joined(",")),
    "amazon-2018": ("Books.csv", joined(",", order="iuvt")),
    "netflix-prize": (
        "combined_data_1.txt",
        "".join(f"{item}:\n{user},{value},{time}\n" for user, item, value, time in ROWS).encode(),
    ),
    # users 1 to 3, items 1 to 3; the first number counts the user's ratings
    "jester": ("jester.csv", b"2,5.0,99,3.0\n2,4.0,1.0,99\n1,99,99,2.5\n"),
    "mind": (
        "behaviors.tsv",
        "".join(f"{i}\t{u}\t{t}\t\t{item}-1\n" for i, (u, item, _, t) in enumerate(ROWS)).encode(),
    ),
}
WITHOUT_TIMES = {"lightgcn", "jester"}
TEXTS = sorted(name for name, reader in READERS.items() if reader.kind == "text")
ON_DEMAND = {"amazon-2014", "amazon-2018", "netflix-prize", "jester", "mind"}


def written(folder: Path, name: str, content: bytes) -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def rows_of(data: Interactions) -> list[tuple[str, str, float | None, int | None]]:
    values = [None] * len(data) if data.values is None else data.values.tolist()
    times = [None] * len(data) if data.timestamps is None else data.timestamps.tolist()
    users, items = data.users.ids(data.user_rows), data.items.ids(data.item_rows)
    return list(zip(users, items, values, times, strict=True))


def expected(name: str) -> list[tuple[str, str, float | None, int | None]]:
    if name == "lightgcn":
        return [(user, item, None, None) for user, item, _, _ in ROWS]
    if name == "mind":
        return [(user, item, None, time) for user, item, _, time in ROWS]
    if name == "jester":
        pairs = (("1", "1"), ("1", "3"), ("2", "1"), ("2", "2"), ("3", "3"))
        return [(*pair, row[2], None) for pair, row in zip(pairs, ROWS, strict=True)]
    return list(ROWS)


@pytest.mark.parametrize("name", sorted(READERS))
def test_format_reads_every_row_as_it_is(name: str, tmp_path: Path) -> None:
    path = written(tmp_path, *SAMPLES[name])
    result = read_interactions(path, FormatOptions(preset=name))
    assert rows_of(result.interactions) == expected(name)
    assert (result.n_rows, result.n_bad, result.n_duplicates) == (5, 0, 0)
    assert result.timestamp_unit == (None if name in WITHOUT_TIMES else "seconds")


@pytest.mark.parametrize("name", sorted(READERS.keys() - ON_DEMAND))
def test_format_is_detected_from_its_content(name: str, tmp_path: Path) -> None:
    by_preset = read_interactions(written(tmp_path, *SAMPLES[name]), FormatOptions(preset=name))
    detected = read_interactions(written(tmp_path, "some-name", SAMPLES[name][1]))
    assert detected.description == by_preset.description
    assert rows_of(detected.interactions) == expected(name)


@pytest.mark.parametrize("name", sorted(READERS))
def test_format_reads_gzipped_whatever_the_name(name: str, tmp_path: Path) -> None:
    file_name, content = SAMPLES[name]
    for gzipped_name in (file_name, file_name + ".gz"):
        path = written(tmp_path, gzipped_name, gzip.compress(content))
        assert rows_of(
            read_interactions(path, FormatOptions(preset=name)).interactions
        ) == expected(name)


@pytest.mark.parametrize("name", TEXTS)
def test_windows_line_ends_change_nothing(name: str, tmp_path: Path) -> None:
    file_name, content = SAMPLES[name]
    path = written(tmp_path, file_name, content.replace(b"\n", b"\r\n"))
    assert rows_of(read_interactions(path, FormatOptions(preset=name)).interactions) == expected(
        name
    )


@pytest.mark.parametrize("name", TEXTS)
def test_byte_order_mark_blank_lines_and_a_missing_last_newline_change_nothing(
    name: str, tmp_path: Path
) -> None:
    file_name, content = SAMPLES[name]
    content = b"\xef\xbb\xbf" + content.replace(b"\n", b"\n\n").removesuffix(b"\n\n")
    result = read_interactions(written(tmp_path, file_name, content), FormatOptions(preset=name))
    assert rows_of(result.interactions) == expected(name)
    assert result.n_bad == 0


def test_rows_are_numbered_in_order_of_first_appearance(tmp_path: Path) -> None:
    data = read_interactions(written(tmp_path, *SAMPLES["csv"])).interactions
    assert data.users.ids(range(3)) == ["007", "8", "09"]
    assert data.items.ids(range(3)) == ["10", "011", "0"]
    assert data.user_rows.dtype == data.item_rows.dtype == np.int32


def test_columns_of_any_name_can_be_mapped(tmp_path: Path) -> None:
    path = written(tmp_path, "sales.tsv", b"day\tuid\tsku\n2024-01-01\tanna\tbook\n")
    result = read_interactions(
        path, FormatOptions(columns={"user": "uid", "item": "sku", "timestamp": "day"})
    )
    second = int(datetime(2024, 1, 1, tzinfo=UTC).timestamp())
    assert rows_of(result.interactions) == [("anna", "book", None, second)]
    assert result.description == "TSV: user=uid,item=sku,timestamp=day"


def test_columns_without_a_header_can_be_mapped_by_number(tmp_path: Path) -> None:
    path = written(tmp_path, "pairs.csv", b"book,5,anna\npen,3,ben\n")
    result = read_interactions(path, FormatOptions(columns={"user": "3", "item": "1"}))
    assert rows_of(result.interactions) == [
        ("anna", "book", None, None),
        ("ben", "pen", None, None),
    ]


def test_mapping_applies_to_json_and_parquet_and_recbole(tmp_path: Path) -> None:
    columns = {"user": "who", "item": "what"}
    frame = pl.DataFrame({"who": ["u"], "what": ["i"], "user_id": ["other"]})
    frame.write_parquet(tmp_path / "a.parquet")
    written(tmp_path, "a.jsonl", b'{"who": "u", "what": "i", "user_id": "other"}\n')
    written(tmp_path, "a.inter", b"who:token\twhat:token\tuser_id:token\nu\ti\tother\n")
    for name in ("a.parquet", "a.jsonl", "a.inter"):
        data = read_interactions(tmp_path / name, FormatOptions(columns=columns)).interactions
        assert rows_of(data) == [("u", "i", None, None)]


def test_mapping_to_a_column_that_is_not_there_lists_those_that_are(tmp_path: Path) -> None:
    path = written(tmp_path, *SAMPLES["csv"])
    with pytest.raises(DataError, match="no column 'uid' for user; it has userId, movieId"):
        read_interactions(path, FormatOptions(columns={"user": "uid"}))


def test_unknown_roles_and_presets_are_refused_by_name(tmp_path: Path) -> None:
    path = written(tmp_path, *SAMPLES["csv"])
    with pytest.raises(ConfigError, match="'usr'"):
        read_interactions(path, FormatOptions(columns={"usr": "uid"}))
    with pytest.raises(ConfigError, match=r"'movielens'; there are .*movielens-dat"):
        read_interactions(path, FormatOptions(preset="movielens"))


def test_gorse_feedback_is_json_lines(tmp_path: Path) -> None:
    line = (
        b'{"FeedbackType": "like", "UserId": "u", "ItemId": "i", "Value": 2,'
        b' "Timestamp": "2001-01-01T00:12:40Z"}\n'
    )
    result = read_interactions(written(tmp_path, "feedback.jsonl", line))
    assert rows_of(result.interactions) == [("u", "i", 2.0, 978307960)]
    assert result.timestamp_unit == "ISO 8601"


def test_json_numbers_are_ids_exactly_as_written(tmp_path: Path) -> None:
    content = (
        b'{"user_id": 12345678901234567890123, "item_id": 7}\n{"user_id": 7.0, "item_id": "7"}\n'
    )
    data = read_interactions(written(tmp_path, "a.jsonl", content)).interactions
    assert data.users.ids(range(2)) == ["12345678901234567890123", "7.0"]
    assert data.items.ids(range(data.n_items)) == ["7"]


def test_quoted_fields_may_hold_separators_and_quotes(tmp_path: Path) -> None:
    path = written(tmp_path, "a.csv", b'user_id,item_id\n"Doe, Jane","12"" pan"\n')
    assert rows_of(read_interactions(path).interactions) == [("Doe, Jane", '12" pan', None, None)]


def test_list_lines_that_look_like_ratings_are_not_taken_for_lists(tmp_path: Path) -> None:
    path = written(tmp_path, "a.txt", b"1 10 5 978300760\n2 11 3 978302109\n")
    with pytest.raises(DataError, match="not recognised"):
        read_interactions(path)


def test_parquet_folder_is_read_as_one_in_the_order_of_names(tmp_path: Path) -> None:
    folder = tmp_path / "events"
    (folder / "day=2").mkdir(parents=True)
    pl.DataFrame({"user_id": [2], "item_id": [20]}).write_parquet(folder / "day=2" / "b.parquet")
    pl.DataFrame({"user_id": [1], "item_id": [10]}).write_parquet(folder / "a.parquet")
    data = read_interactions(folder).interactions
    assert rows_of(data) == [("1", "10", None, None), ("2", "20", None, None)]


def test_parquet_may_have_a_column_of_any_name_beside(tmp_path: Path) -> None:
    frame = pl.DataFrame({"line": ["x"], "problem": ["y"], "user": ["u"], "item": ["i"]})
    frame.write_parquet(tmp_path / "a.parquet")
    result = read_interactions(tmp_path / "a.parquet")
    assert rows_of(result.interactions) == [("u", "i", None, None)]


def test_duplicates_keep_the_latest_time_and_the_largest_value(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        "a.csv",
        b"user_id,item_id,rating,timestamp\nu,i,5,100\nu,j,1,200\nu,i,3,300\nu,i,4,200\n",
    )
    result = read_interactions(path)
    assert rows_of(result.interactions) == [("u", "i", 5.0, 300), ("u", "j", 1.0, 200)]
    assert (result.n_rows, result.n_duplicates) == (4, 2)


def test_least_value_picks_positives_and_forgets_ids_without_any(tmp_path: Path) -> None:
    path = written(tmp_path, "a.csv", b"user_id,item_id,rating\nu,i,5\nv,i,3.9\nu,j,4\nw,k,1\n")
    result = read_interactions(path, min_value=4)
    assert rows_of(result.interactions) == [("u", "i", 5.0, None), ("u", "j", 4.0, None)]
    assert (result.interactions.n_users, result.interactions.n_items) == (1, 2)
    assert result.n_below == 2


GORSE = """\
{"FeedbackType":"star","UserId":"u","ItemId":"i","Timestamp":"2026-11-24T00:00:00Z","Comment":""}
{"FeedbackType":"read","UserId":"u","ItemId":"j","Timestamp":"2026-11-24T00:00:01.5Z"}
{"FeedbackType":"dislike","UserId":"u","ItemId":"i","Timestamp":"2026-11-24T00:00:02+00:00"}
{"FeedbackType":"skip","UserId":"v","ItemId":"j","Timestamp":"2026-11-24T00:00:00Z"}
{"FeedbackType":"star","UserId":"v","ItemId":"j","Timestamp":"2026-11-24T01:00:00+01:00"}
{"FeedbackType":"star","UserId":"v","ItemId":"i","Timestamp":"2026-11-24T00:00:03Z"}
"""


def test_feedback_of_gorse_is_read_and_what_was_taken_back_is_no_positive(tmp_path: Path) -> None:
    result = read_interactions(written(tmp_path, "feedback.jsonl", GORSE.encode()))
    midnight = 1_795_478_400
    assert rows_of(result.interactions) == [
        ("u", "j", None, midnight + 1),
        ("v", "j", None, midnight),
        ("v", "i", None, midnight + 3),
    ]
    assert (result.n_rows, result.n_bad, result.n_other_types) == (6, 0, 3)
    assert "3 of types that are not positive" in result.summary()


def test_without_times_the_last_row_of_a_pair_counts(tmp_path: Path) -> None:
    content = b"user_id,item_id,event\nu,i,click\nu,j,hide\nu,j,click\nu,i,Hide\n"
    result = read_interactions(written(tmp_path, "events.csv", content))
    assert rows_of(result.interactions) == [("u", "j", None, None)]


def test_types_that_are_asked_for_are_the_positives(tmp_path: Path) -> None:
    path = written(tmp_path, "feedback.jsonl", GORSE.encode())
    result = read_interactions(path, types=("read",))
    assert [row[:2] for row in rows_of(result.interactions)] == [("u", "j")]
    with pytest.raises(DataError, match="no row has a positive type"):
        read_interactions(path, types=("buy",))
    plain = written(tmp_path, "a.csv", b"user_id,item_id\nu,i\n")
    with pytest.raises(DataError, match="drop --types"):
        read_interactions(plain, types=("buy",))


@pytest.mark.parametrize("name", ["a.jsonl", "a.parquet"])
def test_a_field_of_another_meaning_is_no_type(name: str, tmp_path: Path) -> None:
    if name == "a.jsonl":
        content = b'{"user": "u", "item": "i", "event": {"name": "hide"}}\n'
    else:
        buffer = io.BytesIO()
        pl.DataFrame({"user": ["u"], "item": ["i"], "event": [["hide"]]}).write_parquet(buffer)
        content = buffer.getvalue()
    result = read_interactions(written(tmp_path, name, content))
    assert (len(result.interactions), result.n_bad) == (1, 0)


def test_column_without_any_entry_counts_as_absent(tmp_path: Path) -> None:
    path = written(tmp_path, "a.csv", b"user_id,item_id,timestamp\nu,i,\nv,i,\n")
    result = read_interactions(path)
    assert result.interactions.timestamps is None
    assert result.n_bad == 0


def test_summary_tells_format_sizes_and_unit(tmp_path: Path) -> None:
    path = written(tmp_path, *SAMPLES["movielens-dat"])
    assert read_interactions(path).summary() == (
        f"{path}: MovieLens ratings.dat: user=1,item=2,value=3,timestamp=4; 5 rows; "
        "3 users x 3 items; 5 interactions; timestamps in seconds"
    )


def test_data_hash_depends_on_the_pairs_alone(tmp_path: Path) -> None:
    def hash_of(name: str, content: bytes) -> str:
        return read_interactions(written(tmp_path, name, content)).data_hash

    first = hash_of("a.csv", b"user_id,item_id\nu,i\nv,j\n")
    assert hash_of("b.tsv", b"item_id\tuser_id\trating\nj\tv\t1\ni\tu\t1\n") == first
    assert hash_of("c.csv", b"user_id,item_id\nu,i\nv,i\n") != first


@pytest.mark.shared_data
@pytest.mark.parametrize(
    ("name", "n_users", "n_items", "n_pairs"),
    [
        ("ml-100k/u.data", 943, 1_682, 100_000),
        ("ml-1m/ratings.csv.gz", 6_040, 3_706, 1_000_209),
        ("gowalla/train.txt.gz", 29_858, 40_981, 810_128),
        ("yelp2018/train.txt.gz", 31_668, 38_048, 1_237_259),
    ],
)
def test_public_data_have_their_published_sizes(shared_data, name, n_users, n_items, n_pairs):
    data = read_interactions(shared_data(name)).interactions
    assert (data.n_users, data.n_items, len(data)) == (n_users, n_items, n_pairs)


def test_what_mind_showed_is_an_impression_and_a_history_counts_once(tmp_path: Path) -> None:
    content = b"1\tU1\t978300760\tN1 N2\tN3-1 N4-0\n2\tU1\t978300761\tN1 N2\tN5-0\n"
    result = read_interactions(written(tmp_path, "b.tsv", content), FormatOptions(preset="mind"))
    assert result.types == {"click": 3, "impression": 2}
    assert result.n_rows == 5


def test_broken_lines_of_published_layouts_are_bad_rows(tmp_path: Path) -> None:
    path = written(tmp_path, "n.txt", b"9,5,2005-09-06\n1:\n8,3\n7,3,2005-09-06\n")
    result = read_interactions(path, FormatOptions(preset="netflix-prize"), max_bad=2)
    assert result.bad_examples == (
        "line 1: no line ITEM: before it", "line 3: not user,rating,date",
    )  # fmt: skip
    path = written(tmp_path, "b.tsv", b"1\tU1\t5\tN1\n2\tU1\t978300760\t\tN3-1\n")
    result = read_interactions(path, FormatOptions(preset="mind"), max_bad=1)
    assert result.bad_examples == ("line 1: not 5 fields separated by tabs",)
