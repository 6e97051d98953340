"""Files that cannot be used are refused in one line that says what to do."""

from __future__ import annotations

import gzip
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hashrec.index.errors import DataError, EmptyDataError, TooManyBadRowsError, UnknownFormatError
from hashrec.index.reading.options import FormatOptions
from hashrec.index.reading.readers import READERS
from hashrec.training.data.reading import read_interactions

HEADER = b"user_id,item_id,rating,timestamp\n"
GOOD = b"u,i,5,100\n"
MANY = HEADER + GOOD * 100_000  # longer than what is looked at first


def refusal(path: Path, **options) -> DataError:
    with pytest.raises(DataError) as caught:
        read_interactions(path, **options)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600
    return caught.value


@pytest.mark.parametrize(
    ("content", "kind", "says"),
    [
        (b"", EmptyDataError, "empty"),
        (b"\n\n  \n", EmptyDataError, "blank"),
        (HEADER, EmptyDataError, "no rows"),
        (b"user_id\nu\nv\n", UnknownFormatError, "one column"),
        (b"u\nv\n", UnknownFormatError, "--map"),
        (b"a,b,c\n1,2,3\n", UnknownFormatError, "--map"),
        (b"A1,B1,5.0,1400000000\n", UnknownFormatError, "--preset"),
        (b"Once upon a time\nthere was a file.\n", UnknownFormatError, "--preset"),
        (bytes(range(256)), DataError, "binary"),
        (b"PK\x03\x04\0\0", DataError, "the zip data is damaged"),
        (b"PAR1 and nothing else", DataError, "damaged Parquet"),
        (HEADER + "u,caf\xe9,1,1\n".encode("latin-1"), DataError, "not UTF-8 text (line 2)"),
        (MANY + "u,caf\xe9,1,1\n".encode("latin-1"), DataError, "--encoding latin-1"),
        (HEADER + b'u,"i,5,100\nv,i,5,100\n', DataError, "quote"),
        (b"\x1f\x8b and nothing else", DataError, "gzip data is damaged"),
        (gzip.compress(HEADER + GOOD, mtime=0)[:-9], DataError, "gzip data is damaged"),
    ],
)
def test_unusable_file_is_refused_with_its_reason(content, kind, says, tmp_path):
    path = tmp_path / "data.csv"
    path.write_bytes(content)
    error = refusal(path)
    assert isinstance(error, kind)
    assert says in str(error)
    assert str(path) in str(error)


def test_gzip_cut_off_far_behind_its_beginning_is_refused(tmp_path, rng):
    path = tmp_path / "data.csv.gz"
    rows = "".join(f"{user},{user % 97},1,1\n" for user in rng.integers(0, 10**9, 100_000))
    content = gzip.compress(HEADER + rows.encode())
    path.write_bytes(content[: len(content) - 1000])
    assert "cut off" in str(refusal(path))


def test_missing_file_and_folder_without_data_are_refused(tmp_path):
    assert "no such file" in str(refusal(tmp_path / "nothing.csv"))
    assert "a folder without data files" in str(refusal(tmp_path))


def test_fractional_ids_in_parquet_are_refused(tmp_path):
    path = tmp_path / "a.parquet"
    pl.DataFrame({"user_id": [1.0], "item_id": ["a"]}).write_parquet(path)
    assert "store ids as strings or integers" in str(refusal(path))


BAD_ROWS = (
    HEADER
    + b"""u,i,5,100
v,,3,100
,j,3,100

w,k,three,100
w,l,nan,100
w,m,inf,100
w,n,5
w,o,5,100,7
w,p,5,yesterday
   ,q,5,100
x,i,4,200
"""
)
REASONS = [
    "line 3: no item id",
    "line 4: no user id",
    "line 6: value is not a number (column 'rating')",
    "line 7: value is not a number (column 'rating')",
    "line 8: value is not a number (column 'rating')",
    "line 9: timestamp is no known time (column 'timestamp')",
    "line 10: more than 4 fields",
    "line 11: timestamp is no known time (column 'timestamp')",
    "line 12: no user id",
]
# What makes a row bad if it is needed, and is missing otherwise.
ALL_NEEDED = {"min_value": 1, "needed": ("timestamp",)}


def test_entries_that_nobody_needs_may_be_missing(tmp_path):
    path = tmp_path / "data.csv"
    path.write_bytes(BAD_ROWS)
    result = read_interactions(path, max_bad=4)
    assert (result.n_rows, result.n_bad, len(result.interactions)) == (11, 4, 7)
    value, timestamp = result.columns[2:4]
    assert (value.n_missing, value.n_unreadable, value.example) == (1, 2, "line 6: 'three'")
    assert (timestamp.n_missing, timestamp.n_unreadable) == (1, 1)
    assert timestamp.example == "line 11: 'yesterday'"
    assert result.interactions.timestamps is None  # not every row has one
    assert "timestamps not used, because not every row has one" in result.summary()


def test_bad_rows_are_left_out_and_counted_by_line(tmp_path):
    path = tmp_path / "data.csv"
    path.write_bytes(BAD_ROWS)
    result = read_interactions(path, **ALL_NEEDED, max_bad=len(REASONS))
    assert result.interactions.users.ids(range(2)) == ["u", "x"]
    assert (result.n_rows, result.n_bad) == (11, 9)
    assert list(result.bad_examples) == REASONS[:5]


@pytest.mark.parametrize("options", [{}, {"max_bad": 0}, {"max_bad": len(REASONS) - 1}])
def test_more_bad_rows_than_allowed_fail_the_read(options, tmp_path):
    path = tmp_path / "data.csv"
    path.write_bytes(BAD_ROWS)
    error = refusal(path, **ALL_NEEDED, **options)
    assert isinstance(error, TooManyBadRowsError)
    assert "9 bad rows" in str(error)
    assert REASONS[0] in str(error)


@pytest.mark.parametrize("reason", REASONS)
def test_each_bad_row_is_found_alone(reason, tmp_path):
    line = int(reason.split()[1].rstrip(":"))
    path = tmp_path / "data.csv"
    path.write_bytes(HEADER + GOOD * 3 + BAD_ROWS.splitlines(keepends=True)[line - 1])
    result = read_interactions(path, **ALL_NEEDED, max_bad=1)
    assert result.bad_examples == (f"line 5: {reason.split(': ')[1]}",)


def test_file_of_bad_rows_alone_is_refused_even_if_they_are_allowed(tmp_path):
    path = tmp_path / "data.csv"
    path.write_bytes(HEADER + b",,1,1\n" * 3)
    assert isinstance(refusal(path, max_bad=10), EmptyDataError)


@pytest.mark.parametrize(
    ("user_id", "reason"),
    [
        ("é" * 257, "user id over 512 bytes"),
        ('"line\nbreak"', "a quoted field spans 2 lines that look like rows"),
        ('"line\n break"', "control character in the user id"),
        ("tab\tbed", "control character in the user id"),
    ],
)
def test_ids_that_nobody_means_are_bad(user_id, reason, tmp_path):
    path = tmp_path / "data.csv"
    path.write_bytes(HEADER + f"{user_id},i,5,100\n".encode() + GOOD)
    result = read_interactions(path, max_bad=2)
    assert result.bad_examples[0].startswith(f"line 2: {reason}")


def test_id_of_512_bytes_is_good(tmp_path):
    path = tmp_path / "data.csv"
    path.write_bytes(HEADER + ("é" * 256).encode() + b",i,5,100\n")
    assert read_interactions(path).interactions.users.id(0) == "é" * 256


def test_json_lines_that_are_no_records_are_bad(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(
        b'{"user_id": "u", "item_id": "i"}\n{"user_id": "u"\n[1]\n'
        b'{"user_id": true, "item_id": "i"}\n{"user_id": "u", "item_id": ["i"]}\n{"user_id": "u"}\n'
        + b"[" * 100_000
        + b"\n"
    )
    result = read_interactions(path, max_bad=6)
    assert len(result.interactions) == 1
    assert result.n_bad == 6
    assert result.bad_examples == (
        "line 2: not a JSON object",
        "line 3: not a JSON object",
        "line 4: user_id is neither a string nor a number",
        "line 5: item_id is neither a string nor a number",
        "line 6: no item id",
    )


def test_missing_entry_in_parquet_is_a_bad_row(tmp_path):
    path = tmp_path / "a.parquet"
    pl.DataFrame({"user_id": [1, None], "item_id": ["a", "b"]}).write_parquet(path)
    assert read_interactions(path, max_bad=1).bad_examples == ("row 2: no user id",)


def test_least_value_needs_values_that_reach_it(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(b"user_id,item_id\nu,i\n")
    assert "--map value=COLUMN" in str(refusal(path, min_value=4))
    path.write_bytes(HEADER + GOOD)
    assert "no value reaches 6" in str(refusal(path, min_value=6))


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=150
)
@given(
    content=st.one_of(
        st.binary(max_size=300),
        st.binary(max_size=200).map(lambda tail: HEADER + tail),
        st.binary(max_size=100).map(gzip.compress),
        st.text('u,\t:"{}[]|; 0123456789\n', max_size=200).map(str.encode),
    ),
    preset=st.sampled_from([None, *sorted(READERS)]),
)
def test_whatever_the_bytes_the_read_works_or_is_refused_in_one_line(content, preset, tmp_path):
    path = tmp_path / "data"
    path.write_bytes(content)
    refused, n_pairs = "", 0
    try:
        n_pairs = len(
            read_interactions(path, FormatOptions(preset=preset), max_bad=1000).interactions
        )
    except DataError as error:
        refused = str(error)
    assert "\n" not in refused
    assert bool(refused) != bool(n_pairs)
