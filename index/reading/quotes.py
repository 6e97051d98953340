"""Quotes of delimited texts: find the lines whose quotes are not well formed, and mend them.

RFC 4180 encloses a field in quotes and doubles a quote inside it. Files also have quotes that open
or close nothing (`TV 32"`), quotes escaped by a backslash, and fields that span lines. A parser
that toggles at each quote then joins lines without a word. Here every line that is not well formed
on its own is looked at: it is rewritten as one well-formed line, or named as bad.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import BinaryIO

import numpy as np
import polars as pl
from numpy.typing import NDArray

LONGEST_FIELD_LINES = 1_000  # a quoted field over more lines was never meant as one
LINE_BREAK = "\x1e"  # stands for a line break inside a field of the rewritten text
PLACEHOLDER = "\x1d"  # the row of a line that is bad


@dataclass(frozen=True, eq=False)
class Mended:
    """What became of a text.

    A record is a row, or a blank line; the rewritten text has one line for each.

    Attributes:
        problems: record, counted from 0 -> what is wrong with its quotes.
        joined: records, ascending, that span several lines.
        n_joined: int64, lines beyond the first of each of them.
    """

    problems: dict[int, str] = field(default_factory=dict[int, str])
    joined: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    n_joined: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))

    def lines(self, records: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the line, counted from 0, on which each record begins."""
        before = np.concatenate([[0], np.cumsum(self.n_joined)])
        return records + before[self.joined.searchsorted(records)]


def malformed_lines(lines: pl.LazyFrame, separator: str) -> NDArray[np.int64]:
    """Return the lines, counted from 0, whose quotes are not well formed within the line.

    Args:
        lines: column `text`, one row a line.
        separator: of the fields.
    """
    plain = f'[^"{re.escape(separator)}]*'
    one = f'(?:"(?:[^"]|"")*"|{plain})'
    text = pl.col("text")
    has_quotes = text.str.contains('"', literal=True)
    well_formed = text.str.contains(rf"^{one}(?:{re.escape(separator)}{one})*\r?$")
    found = lines.with_row_index("line").filter(has_quotes & ~well_formed).select("line").collect()
    return found.get_column("line").to_numpy().astype(np.int64)


def mend(
    source: Path,
    target: Path,
    malformed: NDArray[np.int64],
    *,
    separator: str,
    n_fields: int,
    wanted: Collection[int],
    n_before: int,
) -> Mended:
    """Rewrite a text so that each of its records is one well-formed line.

    A line is read in the first of these ways that gives it `n_fields` fields: with its quotes, a
    quote inside a field being text; together with the lines after it, as a quoted field that spans
    them; both with backslashes as escapes; with all quotes as text. A field that spans lines which
    look like rows themselves may be two stray quotes: all these lines are bad then.

    Args:
        source: the text, in UTF-8.
        target: to write.
        malformed: the lines to look at, see `malformed_lines`, counted from `n_before`.
        separator: of the fields.
        n_fields: fields of a row.
        wanted: positions of the fields that are used: there an opening quote is no text.
        n_before: lines to leave out at the beginning.
    """
    problems: dict[int, str] = {}
    joined: list[int] = []
    n_joined: list[int] = []
    with source.open("rb") as lines, target.open("wb") as copy:
        for _ in islice(lines, n_before):
            pass
        text = _Lines(lines, copy)
        for number in malformed.tolist():
            if number < text.number:  # a line that an earlier record took
                continue
            text.copy_to(number)
            record = number - sum(n_joined)
            reading = _read_record(text, separator, n_fields, wanted)
            if reading.problem:
                for i in range(reading.n_lines):
                    problems[record + i] = reading.problem
                    copy.write(f"{PLACEHOLDER}\n".encode())
                continue
            copy.write(_written(reading.fields, separator).encode())
            if reading.n_lines > 1:
                joined.append(record)
                n_joined.append(reading.n_lines - 1)
        text.copy_to(None)
    return Mended(problems, np.array(joined, np.int64), np.array(n_joined, np.int64))


@dataclass(frozen=True)
class _Reading:
    fields: list[str]
    n_lines: int = 1
    problem: str = ""


class _Lines:
    """Lines of a text with a look ahead; what is not looked at is copied."""

    def __init__(self, source: BinaryIO, copy: BinaryIO) -> None:
        self._source, self._copy = iter(source), copy
        self._ahead: list[bytes] = []
        self.number = 0  # of the next line

    def copy_to(self, number: int | None) -> None:
        """Copy the lines before a line, or all."""
        held = self._ahead if number is None else self._ahead[: number - self.number]
        self._copy.writelines(held)
        del self._ahead[: len(held)]
        self.number += len(held)
        if number is None:
            self._copy.writelines(self._source)
        elif number > self.number:
            self._copy.writelines(islice(self._source, number - self.number))
            self.number = number

    def ahead(self) -> Iterator[str]:
        """Yield the next lines without their ends."""
        position = 0
        while True:
            if position == len(self._ahead):
                line = next(self._source, None)
                if line is None:
                    return
                self._ahead.append(line)
            yield self._ahead[position].decode(errors="replace").rstrip("\r\n")
            position += 1

    def take(self, n_lines: int) -> None:
        """Drop lines that were looked at."""
        del self._ahead[:n_lines]
        self.number += n_lines


def _read_record(text: _Lines, separator: str, n_fields: int, wanted: Collection[int]) -> _Reading:
    first = next(text.ahead())
    for backslash in (False, True):
        fields = split(first, separator, backslash=backslash)
        if fields is None:
            reading = _several_lines(text, separator, n_fields, wanted, backslash=backslash)
        else:
            reading = _Reading(fields) if len(fields) == n_fields else None
        if reading is not None:
            break
    else:
        reading = _incomplete(first, separator, n_fields, wanted)
    text.take(reading.n_lines)
    return reading


def _several_lines(
    text: _Lines, separator: str, n_fields: int, wanted: Collection[int], *, backslash: bool
) -> _Reading | None:
    """Read a record that spans lines; None if no quote closes its field."""
    lines: list[str] = []
    for line in islice(text.ahead(), LONGEST_FIELD_LINES):
        lines.append(line)
        if '"' not in line:
            continue
        fields = split(LINE_BREAK.join(lines), separator, backslash=backslash, strict=True)
        if fields is not None:
            break
    else:
        return None
    if len(fields) != n_fields:
        return None
    if any(_looks_like_row(line, separator, n_fields, wanted) for line in lines[1:]):
        problem = (
            f"a quoted field spans {len(lines)} lines that look like rows; close its quote, or "
            "read quotes as text with --no-quoting"
        )
        return _Reading([], len(lines), problem)
    return _Reading(fields, len(lines))


def _looks_like_row(line: str, separator: str, n_fields: int, wanted: Collection[int]) -> bool:
    fields = line.split(separator)  # prose has a blank after most separators
    return 1 < len(fields) == n_fields and all(
        fields[position] == fields[position].strip() for position in wanted
    )


def _incomplete(line: str, separator: str, n_fields: int, wanted: Collection[int]) -> _Reading:
    """Read a line with its quotes and too few fields, or with its quotes as text."""
    fields = split(line, separator)
    if fields is not None and len(fields) < n_fields:
        return _Reading(fields)
    plain = line.split(separator)
    if len(plain) > n_fields or any(
        plain[position].startswith('"') for position in wanted if position < len(plain)
    ):
        problem = (
            "a quote opens a field and none closes it; close the quote, or read quotes as text "
            "with --no-quoting"
        )
        return _Reading([], problem=problem)
    return _Reading(plain)


def split(
    text: str, separator: str, *, backslash: bool = False, strict: bool = False
) -> list[str] | None:
    """Split a record into fields; a quote at the beginning of a field encloses it.

    The field ends at a quote before a separator or the end. A doubled quote inside it is one quote;
    a single one is text.

    Args:
        text: the record.
        separator: of the fields.
        backslash: a quote after a backslash is inside the field too.
        strict: a single quote inside a field is an error.

    Returns:
        The fields; None if no quote closes a field; an empty list for an error.
    """
    fields: list[str] = []
    start = 0
    while True:
        if not text.startswith('"', start):
            end = text.find(separator, start)
            if end < 0:
                return [*fields, text[start:]]
            fields.append(text[start:end])
            start = end + 1
            continue
        at = text.find('"', start + 1)
        while at >= 0:
            if backslash and text[at - 1] == "\\":
                at += 1
            elif text.startswith('""', at):
                at += 2
            elif at + 1 == len(text) or text.startswith(separator, at + 1):
                break
            elif strict:
                return []
            else:
                at += 1
            at = text.find('"', at)
        if at < 0:
            return None
        inside = text[start + 1 : at].replace('""', '"')
        fields.append(inside.replace('\\"', '"') if backslash else inside)
        if at + 1 == len(text):
            return fields
        start = at + 2


def _written(fields: list[str], separator: str) -> str:
    return (
        separator.join(
            '"' + text.replace('"', '""') + '"' if '"' in text or separator in text else text
            for text in fields
        )
        + "\n"
    )
