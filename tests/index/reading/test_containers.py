"""The same three rows come out of every container; what no reader knows is named for what it is."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import threading
import zipfile

import openpyxl
import polars as pl
import pyarrow as pa
import pytest

from hashrec.index.errors import ConfigError, DataError, EmptyDataError, TooManyBadRowsError
from hashrec.index.reading.options import FormatOptions
from hashrec.index.reading.rows import GoodRows, read_rows

ROWS = [("u1", "café"), ("u2", "i2"), ("u1", "07")]
TEXT = "user_id,item_id\n" + "".join(f"{user},{item}\n" for user, item in ROWS)
CSV = TEXT.encode()


def zipped(**files: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name.replace("__", "."), content)
    return buffer.getvalue()


def pairs(rows: GoodRows) -> list[tuple[str, str]]:
    return list(rows.frame.select("user", "item").iter_rows())


CONTAINERS = {
    "plain": (CSV, ""),
    "gzip": (gzip.compress(CSV), "gzip, "),
    "bzip2": (bz2.compress(CSV), "bzip2, "),
    "xz": (lzma.compress(CSV), "xz, "),
    "zstd": (bytes(pa.compress(CSV, codec="zstd", asbytes=True)), "Zstandard, "),
    "zip": (zipped(ratings__csv=CSV, README=b"about"), "zip, ratings.csv, "),
    "gzip in zip": (zipped(r=gzip.compress(CSV)), "zip, r, gzip, "),
    "byte order mark": (b"\xef\xbb\xbf" + CSV, ""),
    "utf-16": (TEXT.encode("utf-16"), "UTF-16, "),
    "utf-16 without mark": (TEXT.encode("utf-16-le"), "UTF-16LE, "),
    "utf-16 big endian without mark": (TEXT.encode("utf-16-be"), "UTF-16BE, "),
    "utf-32": (TEXT.encode("utf-32"), "UTF-32, "),
    "cr line ends": (CSV.replace(b"\n", b"\r"), "CR line ends, "),
    "crlf line ends": (CSV.replace(b"\n", b"\r\n"), ""),
    "no last line end": (CSV[:-1], ""),
    "separator line": (b"sep=,\r\n" + CSV, ""),
    "comments": (b"# made by hand\n%\n\n" + CSV, ""),
}


@pytest.mark.parametrize("name", CONTAINERS)
def test_every_container_is_opened_by_its_content(name, tmp_path):
    content, said = CONTAINERS[name]
    path = tmp_path / "data"
    path.write_bytes(content)
    rows = read_rows(path)
    assert pairs(rows) == ROWS
    assert rows.description == f"{said}CSV: user=user_id,item=item_id"


def test_line_numbers_are_those_of_the_file(tmp_path):
    path = tmp_path / "data"
    path.write_bytes(b"# a comment\n\n" + CSV + b",i3\n")
    with pytest.raises(TooManyBadRowsError, match="line 7: no user id"):
        read_rows(path)


def test_an_encoding_can_be_named_and_has_to_be_known(tmp_path):
    path = tmp_path / "data"
    path.write_bytes(TEXT.encode("latin-1"))
    assert pairs(read_rows(path, FormatOptions(encoding="latin-1"))) == ROWS
    with pytest.raises(DataError, match=r"not UTF-8 text \(line 2\); .*--encoding latin-1"):
        read_rows(path)
    with pytest.raises(DataError, match="not ascii text"):
        read_rows(path, FormatOptions(encoding="ascii"))
    with pytest.raises(ConfigError, match="no encoding 'klingon'"):
        read_rows(path, FormatOptions(encoding="klingon"))


def test_a_workbook_is_read_from_its_first_sheet_with_rows(tmp_path):
    workbook = openpyxl.Workbook()
    sheet = workbook.create_sheet("Ratings")
    for row in (("user_id", "item_id", "rating"), (1, "a", 4.5), (20000000, "b", 5)):
        sheet.append(row)
    workbook.save(tmp_path / "r.xlsx")
    rows = read_rows(tmp_path / "r.xlsx")
    assert pairs(rows) == [("1", "a"), ("20000000", "b")]
    assert rows.frame.get_column("value").to_list() == [4.5, 5.0]
    assert rows.description.startswith("Excel, sheet 'Ratings' of 2, CSV")


def test_an_array_of_json_objects_is_read_element_by_element(tmp_path):
    path = tmp_path / "data.json"
    path.write_text('[\n  {"user_id": 7, "item_id": "a"},\n  {"user_id": 7.0, "item_id": "b"}, 5]')
    rows = read_rows(path, max_bad=1)
    assert pairs(rows) == [("7", "a"), ("7.0", "b")]
    assert rows.bad_examples == ("element 3: not a JSON object",)
    path.write_text('[{"user_id": 7, "item_id": "a"}, {"user_id"')
    with pytest.raises(DataError, match="element 2 of the array is not JSON"):
        read_rows(path)


def test_parts_in_a_folder_are_one_table_and_what_is_no_part_is_left_out(tmp_path):
    (tmp_path / "_temporary" / "0").mkdir(parents=True)
    (tmp_path / "_temporary" / "0" / "part-9.csv").write_bytes(b"half a")
    (tmp_path / "_SUCCESS").touch()
    (tmp_path / ".part-0.csv.crc").write_bytes(b"crc")
    (tmp_path / "part-0.csv").write_bytes(CSV)
    (tmp_path / "part-1.csv.gz").write_bytes(gzip.compress(b"item_id,user_id\nx,u3\ny,\n"))
    (tmp_path / "part-2.csv").touch()
    rows = read_rows(tmp_path, max_bad=1)
    assert pairs(rows) == [*ROWS, ("u3", "x")]
    assert rows.bad_examples == ("part-1.csv.gz line 3: no user id",)
    assert rows.skipped == "3 other files, 1 empty parts"


def test_parts_with_other_columns_or_formats_are_refused_by_name(tmp_path):
    (tmp_path / "a.csv").write_bytes(CSV)
    (tmp_path / "b.csv").write_bytes(b"user_id,item_id,rating\nu,i,5\n")
    with pytest.raises(DataError, match=r"b\.csv: other columns .*than a\.csv"):
        read_rows(tmp_path)
    (tmp_path / "c.json").write_bytes(b"{}")
    with pytest.raises(DataError, match=r"several formats \(\.csv, \.json\)"):
        read_rows(tmp_path)


def test_folders_named_like_columns_are_columns(tmp_path):
    for kind, user in (("click", "u1"), ("my%20type", "u2"), ("__HIVE_DEFAULT_PARTITION__", "u3")):
        folder = tmp_path / f"type={kind}" / "_day=2020-01-02"
        folder.mkdir(parents=True)
        pl.DataFrame({"user_id": [user], "item_id": [1]}).write_parquet(folder / "0.parquet")
    rows = read_rows(tmp_path, FormatOptions(columns={"timestamp": "_day"}))
    found = set(rows.frame.select("user", "type", "timestamp").iter_rows())
    midnight = 1_577_923_200
    assert found == {("u1", "click", midnight), ("u2", "my type", midnight), ("u3", None, midnight)}


def test_integers_of_different_widths_are_one_column(tmp_path):
    for name, dtype in (("a", pl.Int32), ("b", pl.Int64), ("c", pl.UInt16)):
        frame = pl.DataFrame({"user_id": [1], "item_id": [name], "rating": [5]})
        frame.with_columns(pl.col("user_id", "rating").cast(dtype)).write_parquet(
            tmp_path / f"{name}.parquet"
        )
    rows = read_rows(tmp_path)
    assert pairs(rows) == [("1", "a"), ("1", "b"), ("1", "c")]
    assert rows.frame.get_column("value").to_list() == [5.0] * 3


def test_text_that_old_writers_of_parquet_call_binary_is_text(tmp_path):
    frame = pl.DataFrame(
        {"user_id": [b"u1"], "item_id": ["café".encode()], "date": [b"2020-01-02"]}
    )
    frame.write_parquet(tmp_path / "a.parquet")
    rows = read_rows(tmp_path / "a.parquet")
    assert pairs(rows) == [("u1", "café")]
    assert rows.frame.get_column("timestamp").to_list() == [1_577_923_200]


def test_a_delta_table_is_not_read_as_its_files(tmp_path):
    (tmp_path / "_delta_log").mkdir()
    pl.DataFrame({"user_id": ["u"], "item_id": ["i"]}).write_parquet(tmp_path / "0.parquet")
    with pytest.raises(DataError, match="a Delta table"):
        read_rows(tmp_path)


def test_a_pipe_is_read_once(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(gzip.compress(CSV),))
    writer.start()
    assert pairs(read_rows(pipe)) == ROWS
    writer.join()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (zipped(a__csv=CSV, b__csv=CSV), r"a zip archive of 2 files \(a\.csv, b\.csv\)"),
        (zipped(), "a zip archive of 0 files"),
        (gzip.compress(CSV)[:-9], "the gzip data is damaged or cut off"),
        (bz2.compress(CSV)[:-9], "the bzip2 data is damaged or cut off"),
        (lzma.compress(CSV)[:-9], "the xz data is damaged or cut off"),
        (bytes(pa.compress(CSV, codec="zstd", asbytes=True))[:-9], "the Zstandard data is damaged"),
        (gzip.compress(gzip.compress(gzip.compress(gzip.compress(CSV)))), "packed more than twice"),
        (b"SQLite format 3\0", "an SQLite database; export the table as CSV"),
        (b"ARROW1\0\0", "an Arrow file; write it as Parquet"),
        (b"x" * 257 + b"ustar", "a tar archive; unpack it"),
        (bytes(range(256)), "a binary file of an unknown format"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_no_reader_knows_is_named_for_what_it_is(content, says, tmp_path):
    path = tmp_path / "data"
    path.write_bytes(content)
    with pytest.raises(DataError, match=says):
        read_rows(path)


def test_an_empty_file_in_an_archive_is_empty(tmp_path):
    path = tmp_path / "data"
    path.write_bytes(gzip.compress(b""))
    with pytest.raises(EmptyDataError, match="the file is empty"):
        read_rows(path)
