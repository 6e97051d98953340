"""Quotes of delimited files: every record is read, or its line is named; none is lost."""

from __future__ import annotations

import csv
import io
import random
from pathlib import Path

import pytest

from hashrec.index.reading.options import FormatOptions
from hashrec.index.reading.quotes import split
from hashrec.index.reading.rows import ANY_NUMBER, read_rows

HEADER = "user_id,item_id,note\n"


def read(folder: Path, text: str, **options):
    path = folder / "a.csv"
    path.write_bytes(text.encode())
    return read_rows(path, FormatOptions(**options), max_bad=ANY_NUMBER)


def pairs(rows) -> list[tuple[str, str]]:
    return list(rows.frame.select("user", "item").iter_rows())


@pytest.mark.parametrize(
    ("record", "fields"),
    [
        ("a,b,c", ["a", "b", "c"]),
        ('a,"b,c",d', ["a", "b,c", "d"]),
        ('"a""b",c', ['a"b', "c"]),
        ('TV 32",c', ['TV 32"', "c"]),
        ('"TV 32" wide",c', ['TV 32" wide', "c"]),
        ('"",""', ["", ""]),
        ('a,"never closed', None),
        ("", [""]),
    ],
)
def test_a_record_is_split_at_its_separators(record, fields):
    assert split(record, ",") == fields


def test_a_backslash_escapes_a_quote_only_where_it_is_said_so():
    record = r'"a \"b\", c",d'
    assert split(record, ",", backslash=True) == ['a "b", c', "d"]
    assert split(record, ",") == [r"a \"b\ "[:-1], ' c"', "d"]


@pytest.mark.parametrize(
    "line",
    [
        'u1,i1,TV 32"',
        'u1,i1,"TV 32" wide"',
        r'u1,i1,"a \"b\", c"',
        'u1,i1,"never closed',
        'u1,i1, "after a blank"',
        'u1,i1,""""',
        'u1,i1,"',
        '"u1","i1","all quoted"',
        '"u1",i1,32"',
        "u1,i1,''",
    ],
)
def test_a_quote_in_a_column_that_nobody_uses_loses_nothing(line, tmp_path):
    rows = read(tmp_path, HEADER + "u0,i0,a\n" + line + "\nu2,i2,b\n")
    assert pairs(rows) == [("u0", "i0"), ("u1", "i1"), ("u2", "i2")]
    assert rows.n_rows == 3


def test_a_field_that_spans_lines_is_one_record_and_later_lines_keep_their_numbers(tmp_path):
    text = HEADER + 'u1,i1,"first\n\nthird, with a comma"\n,i2,b\nu3,i3,c\n'
    rows = read(tmp_path, text)
    assert pairs(rows) == [("u1", "i1"), ("u3", "i3")]
    assert rows.n_rows == 3
    assert rows.bad_examples == ("line 5: no user id",)


def test_two_stray_quotes_around_rows_are_named_and_no_row_vanishes(tmp_path):
    text = HEADER + 'u1,i1,"TV\nu2,i2,a\nu3,i3,b\nu4,i4,32"\nu5,i5,c\n'
    rows = read(tmp_path, text)
    assert (rows.n_rows, rows.n_bad) == (5, 4)
    assert rows.bad_examples[0].startswith("line 2: a quoted field spans 4 lines that look like")
    assert "--no-quoting" in rows.bad_examples[0]
    assert pairs(read(tmp_path, text, quoting=False)) == [(f"u{i}", f"i{i}") for i in range(1, 6)]


def test_a_stray_quote_before_an_id_is_named(tmp_path):
    rows = read(tmp_path, HEADER + 'u1,i1,a\n"u2,i2,b\nu3,"i3,c\nu4,i4,d\n')
    assert pairs(rows) == [("u1", "i1"), ("u4", "i4")]
    assert [example.split(":")[0] for example in rows.bad_examples] == ["line 3", "line 4"]


def test_a_row_whose_ids_are_missing_is_bad_and_a_blank_line_is_none(tmp_path):
    rows = read(tmp_path, HEADER + "\nu1,i1,a\n   \n,,\n,,only a note\n")
    assert (rows.n_rows, rows.n_bad) == (2, 1)
    assert rows.bad_examples == ("line 6: no user id",)


@pytest.mark.parametrize("word", ["NULL", "\\N", "nan", "None"])
def test_a_word_for_a_missing_id_is_no_id(word, tmp_path):
    rows = read(tmp_path, HEADER + f"u1,i1,a\n{word},i2,b\nu3,{word},c\nu4,Nullarbor,d\n")
    assert pairs(rows) == [("u1", "i1"), ("u4", "Nullarbor")]
    assert rows.bad_examples == ("line 3: no user id", "line 4: no item id")


def test_a_header_again_is_no_row(tmp_path):
    rows = read(tmp_path, HEADER + "u1,i1,a\n" + HEADER + "u2,i2,b\n")
    assert rows.bad_examples == ("line 3: repeats the header",)


ALPHABET = ["a", "b", "7", " ", "é", '"', ",", ";", "\t", "|", "\\", "'", "\n"]


def random_file(random_: random.Random) -> tuple[str, str, list[list[str]]]:
    """Return a text in a random dialect, its separator and the records that were written."""
    separator = random_.choice(",;\t|")
    n_fields = random_.randint(3, 5)
    letters = [letter for letter in ALPHABET if letter != "\n" or random_.random() < 0.3]
    others = range(n_fields - 2)
    records = [
        [
            f"u{random_.randint(0, 9)}",
            f"i{random_.randint(0, 9)}",
            *(
                "".join(random_.choices(letters, k=random_.randint(0, 6)))
                for _ in range(n_fields - 2)
            ),
        ]
        for _ in range(random_.randint(1, 12))
    ]
    text = io.StringIO()
    writer = csv.writer(
        text,
        delimiter=separator,
        quoting=random_.choice([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]),
        lineterminator=random_.choice(["\n", "\r\n"]),
    )
    writer.writerow(["user_id", "item_id", *(f"c{i}" for i in others)])
    writer.writerows(records)
    return text.getvalue(), separator, records


def check_files(folder: Path, seed: int, n_files: int) -> None:
    """Compare with Python's `csv`, which knows nothing of this reader."""
    random_ = random.Random(seed)
    n_named = 0
    for number in range(n_files):
        text, separator, records = random_file(random_)
        independent = list(csv.reader(io.StringIO(text, newline=""), delimiter=separator))[1:]
        assert independent == records
        rows = read(folder, text, separator=separator)
        written = [(user, item) for user, item, *_ in records]
        if rows.n_bad:
            # a field whose lines look like rows is named, never joined or split without a word
            assert all("that look like rows" in example for example in rows.bad_examples), text
            assert set(pairs(rows)) <= set(written), (seed, number, text)
            n_named += 1
        else:
            assert rows.n_rows == len(records), (seed, number, text)
            assert pairs(rows) == written, (seed, number, text)
    assert n_named < n_files / 20


def check_stray_quotes(folder: Path, seed: int, n_files: int) -> None:
    """Every line of a file of plain rows, some with stray quotes, is read or named."""
    random_ = random.Random(seed)
    for number in range(n_files):
        lines = [f"u{i},i{i},note {i}" for i in range(random_.randint(2, 30))]
        for position in random_.sample(range(len(lines)), random_.randint(1, min(4, len(lines)))):
            at = random_.randint(0, len(lines[position]))
            lines[position] = lines[position][:at] + '"' + lines[position][at:]
        rows = read(folder, HEADER + "\n".join(lines) + "\n")
        read_lines = set(rows.frame.get_column("line").to_list())
        assert rows.n_rows == len(lines), (seed, number, lines)
        assert len(read_lines) + rows.n_bad == len(lines), (seed, number, lines)
        for line, user, item in rows.frame.select("line", "user", "item").iter_rows():
            assert (
                lines[line - 2].replace('"', "").startswith(f"{user},{item},".replace('"', ""))
            ), (seed, number, lines)


@pytest.mark.parametrize("seed", range(4))
def test_files_of_many_dialects_are_read_as_an_independent_reader_reads_them(seed, tmp_path):
    check_files(tmp_path, seed, 100)
    check_stray_quotes(tmp_path, seed, 100)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_ten_thousand_files_are_read_as_an_independent_reader_reads_them(tmp_path):
    check_files(tmp_path, 1_000, 5_000)
    check_stray_quotes(tmp_path, 1_000, 5_000)
