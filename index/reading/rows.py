"""Read the rows of a file: unpack, detect the format, choose columns, check every row."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from hashrec.index.arrays.ids import MAX_ID_BYTES
from hashrec.index.errors import (
    ConfigError,
    DataError,
    EmptyDataError,
    TooManyBadRowsError,
    UnknownFormatError,
    shorten,
)
from hashrec.index.reading.columns import (
    INTERACTIONS,
    Columns,
    Vocabulary,
    choose_columns,
    listed,
)
from hashrec.index.reading.containers import Part, opened, parts_of
from hashrec.index.reading.head import Head
from hashrec.index.reading.numbers import to_numbers
from hashrec.index.reading.options import FormatOptions
from hashrec.index.reading.readers import READERS
from hashrec.index.reading.readers.delimited import separator_of
from hashrec.index.reading.readers.reader import Reader, Table
from hashrec.index.reading.times import to_times, with_fractions

# What programs write for an id that is missing; rows of many people are no person.
NO_ID = ("NULL", "null", "NaN", "nan", "None", "\\N", "<NA>")
EXAMPLES = 5  # bad rows that a message shows
DETECT = FormatOptions()
ANY_NUMBER = 2**62  # of bad rows: more than any file has
IDS = ("user", "item")  # roles whose entries have to be ids


@dataclass(frozen=True)
class ColumnReport:
    """A column in use.

    Attributes:
        role: of the column.
        name: in the file.
        why: the column has this role.
        read_as: what its entries were taken for, such as "ISO 8601"; empty for text.
        n_missing: entries that are empty or a word such as NULL.
        n_unreadable: entries that are neither missing nor readable, left out as missing ones.
        example: the first unreadable entry with its line; empty without one.
        note: what the user should know, such as why all entries are refused; empty for nothing.
    """

    role: str
    name: str
    why: str
    read_as: str = ""
    n_missing: int = 0
    n_unreadable: int = 0
    example: str = ""
    note: str = ""

    def summary(self) -> str:
        """Describe the gaps of the column; empty without any."""
        parts: list[str] = []
        if self.n_missing:
            parts.append(f"{self.n_missing:,} without {self.name}")
        if self.n_unreadable:
            parts.append(f"{self.n_unreadable:,} {self.name} unreadable ({self.example})")
        return ", ".join([*parts, *filter(None, [self.note])])

    def line(self) -> str:
        """Say what the column was taken for and why, and its gaps."""
        said = filter(None, (self.read_as, self.summary()))
        return "; ".join([f"column {self.name}: {self.role}, {self.why}", *said])


@dataclass(frozen=True, eq=False, kw_only=True)
class Reading:
    """What is said of a file after it was read.

    Attributes:
        description: format and columns in use, one line.
        n_rows: rows of the file.
        n_bad: rows left out because they cannot be used.
        bad_examples: the first few of them, such as "line 7: no user id".
        columns: the columns in use.
        skipped: what was left out of a folder; empty for nothing.
    """

    description: str
    n_rows: int
    n_bad: int
    bad_examples: tuple[str, ...]
    columns: tuple[ColumnReport, ...]
    skipped: str = ""

    @property
    def timestamp_unit(self) -> str | None:
        """How timestamps are written; None without a column of them."""
        return next((each.read_as for each in self.columns if each.role == "timestamp"), None)

    def lines(self, others_are: str, others: Sequence[str]) -> list[str]:
        """Say, a line each, what the file is, what its columns are, and what is wrong.

        Args:
            others_are: what becomes of the columns without a role.
            others: these columns.
        """
        lines = [self.description, *(column.line() for column in self.columns)]
        if others:
            lines.append(f"{others_are}: {listed(others)}")
        if self.skipped:
            lines.append(f"skipped {self.skipped}")
        if self.n_bad:
            lines.append(f"{self.n_bad:,} bad rows left out ({'; '.join(self.bad_examples)})")
        return lines


@dataclass(frozen=True, eq=False, kw_only=True)
class GoodRows(Reading):
    """The good rows of a file, in its order.

    Attributes:
        frame: `line` and, by role, the columns that the file has: ids and other texts (String),
            `value` (Float64), `timestamp` (Int64, seconds); null where a row has no entry.
        row_name: unit of `line`: "line", "row" or "element".
        ignored: columns without a role.
        preset: name of the reader that the file, or the first part of a folder, was read with.
    """

    frame: pl.DataFrame
    row_name: str
    ignored: tuple[str, ...]
    preset: str

    def report(self) -> list[str]:
        """Say, a line each, what the file is, what its columns are, and what is wrong."""
        return self.lines("not used", self.ignored)


def read_rows(
    path: Path | str,
    options: FormatOptions = DETECT,
    *,
    needed: Collection[str] = (),
    max_bad: int = 0,
    vocabulary: Vocabulary = INTERACTIONS,
    readers: Mapping[str, Reader] = READERS,
    exact_times: bool = False,
) -> GoodRows:
    """Read the rows of a file or a folder and check each of them.

    A row is bad if it has no id, an id over 512 bytes or with control characters, too many fields,
    or no readable entry for a role that is needed.

    Args:
        path: a file, a folder of parts of one table, or `-` for standard input.
        options: what detection cannot see.
        needed: optional roles, `value` or `timestamp`, without which a row is of no use; in other
            rows they may be missing.
        max_bad: bad rows to leave out before the read fails.
        vocabulary: the roles.
        readers: the formats, in the order in which they are asked.
        exact_times: keep fractions of seconds; timestamps are Float64 then.

    Raises:
        DataError: the file is missing, damaged, not of a known format, or has no row, or it has no
            column for a needed role.
        TooManyBadRowsError: it has more bad rows than `max_bad`.
        ConfigError: an option does not exist or does not suit the file.
    """
    path = Path(path)
    parts = parts_of(path)
    read = [_read_part(part, options, vocabulary, readers) for part in parts.files]
    table, columns = read[0].table, read[0].columns
    for part, other in zip(parts.files, read, strict=True):
        if dict(other.columns.columns) != dict(columns.columns):
            raise DataError(
                f"{part.path}: other columns ({other.columns.described()}) than "
                f"{parts.files[0].path.name} ({columns.described()}); name one file"
            )
    frame = pl.concat(_alike([each.frame for each in read]), how="diagonal")
    if not frame.height:
        raise EmptyDataError(str(path), "no rows; give a file with interactions")
    frame, reports = _typed(frame, columns, options, table.row_name, exact_times=exact_times)
    for role in needed:
        if role not in columns.columns:
            raise DataError(f"{path}: no {role} column, which is needed; name it with "
                            f"{vocabulary.option} {role}=COLUMN")  # fmt: skip
    names = [part.path.name if len(parts.files) > 1 else "" for part in parts.files]
    good, examples = _checked(frame, reports, needed, table.row_name, names)
    n_bad = frame.height - good.height
    if n_bad > max_bad:
        raise TooManyBadRowsError(path, n_bad, max_bad, list(examples))
    title = ", ".join(filter(None, [read[0].container, table.title]))
    if len(read) > 1:
        title += f", {len(read):,} files"
    return GoodRows(
        frame=good,
        description=f"{title}: {columns.described()}",
        row_name=table.row_name,
        n_rows=frame.height,
        n_bad=n_bad,
        bad_examples=examples,
        columns=tuple(reports[role] for role in columns.columns),
        ignored=columns.ignored,
        skipped=parts.skipped,
        preset=read[0].preset,
    )


def _table(head: Head, reader: Reader, options: FormatOptions, vocabulary: Vocabulary) -> Table:
    table = reader.open(head, options)
    if options.columns and not reader.takes_columns:
        raise DataError(
            f"{head.path}: {table.title}, has no named columns; leave {vocabulary.option} out, or "
            "name the format with --preset csv"
        )
    return table


@dataclass(frozen=True, eq=False)
class _Read:
    preset: str
    table: Table
    columns: Columns
    frame: pl.DataFrame
    container: str


def _read_part(
    part: Part, options: FormatOptions, vocabulary: Vocabulary, readers: Mapping[str, Reader]
) -> _Read:
    with opened(part, options.encoding) as head:
        preset = _preset(head, options, vocabulary, readers)
        table = _table(head, readers[preset], options, vocabulary)
        names = [*table.names, *(name for name in head.constants if name not in table.names)]
        columns = choose_columns(part.path, names, vocabulary, options.columns, table.roles)
        wanted = {role: name for role, name in columns.columns.items() if name in table.names}
        frame = table.read(wanted)
        constants = {
            role: pl.lit(head.constants[name], pl.String)
            for role, name in columns.columns.items()
            if role not in wanted
        }
        may_repeat = table.roles is None and len(names) > 1
        frame = _with_problems(frame.with_columns(**constants), columns, may_repeat=may_repeat)
        return _Read(preset, table, columns, frame, head.container)


def _with_problems(frame: pl.DataFrame, columns: Columns, *, may_repeat: bool) -> pl.DataFrame:
    """Give a frame a column `problem`, and mark rows that repeat the header, as joined files do."""
    problem = pl.col("problem") if "problem" in frame.columns else pl.lit(None, pl.String)
    if may_repeat:
        repeats = pl.lit(True)
        for role in IDS:
            if role in columns.columns and frame.schema[role] == pl.String:
                repeats = repeats & (pl.col(role) == columns.columns[role])
        problem = pl.coalesce(problem, pl.when(repeats).then(pl.lit("repeats the header")))
    return frame.with_columns(problem=problem)


def _preset(
    head: Head, options: FormatOptions, vocabulary: Vocabulary, readers: Mapping[str, Reader]
) -> str:
    """Return the name of the reader of a file: the user's, or the first that recognises it.

    Raises:
        DataError: no reader recognises it.
        ConfigError: there is no such reader.
    """
    if options.preset is not None:
        if options.preset not in readers:
            raise ConfigError(f"no preset {options.preset!r}; there are {', '.join(readers)}")
        if readers[options.preset].kind != head.kind:
            raise DataError(
                f"{head.path}: a {head.kind} file, which preset {options.preset!r} cannot read; "
                "leave --preset out"
            )
        return options.preset
    for name, reader in readers.items():
        if reader.recognises(head, vocabulary) and (reader.takes_columns or not options.columns):
            return name
    if head.kind == "binary":
        raise DataError(
            f"{head.path}: a binary file of an unknown format; give text (CSV, JSONL, ...) or "
            "Parquet"
        )
    if options.columns or options.separator:
        return "csv"
    begins = f"it begins {shorten(head.lines[0])!r}"
    naming = f"{vocabulary.option} {','.join(f'{role}=COLUMN' for role in vocabulary.required)}"
    preset = f" or the format with {vocabulary.preset_option}" if vocabulary.preset_option else ""
    separator = separator_of(head, None)
    fields = head.lines[0].split(separator)
    if len(fields) == 1:
        raise UnknownFormatError(head.path, f"one column, {begins}", naming + preset)
    if all(field.strip()[:1].isdigit() for field in fields):
        named = ",".join(
            f"{role}={number}" for role, number in zip(vocabulary.required, (1, 2), strict=False)
        )
        raise UnknownFormatError(
            head.path,
            f"{len(fields)} columns without a header, {begins}",
            f"{vocabulary.option} by their numbers, for example {vocabulary.option} {named}"
            + ("," + preset if preset else ""),
        )
    raise UnknownFormatError(head.path, begins, naming + preset)


def _alike(frames: list[pl.DataFrame]) -> list[pl.DataFrame]:
    """Number the parts, and give the columns of all of them one type."""
    numbered = [
        frame.with_columns(pl.col("line").cast(pl.UInt32), part=pl.lit(number, pl.UInt32))
        for number, frame in enumerate(frames)
    ]
    types: dict[str, set[pl.DataType]] = {}
    for frame in numbered:
        for name, dtype in frame.schema.items():
            types.setdefault(name, set()).add(dtype)
    casts: dict[str, type[pl.DataType]] = {}
    for name, found in types.items():
        if len(found) > 1:
            casts[name] = (
                pl.Int64 if all(dtype.is_integer() for dtype in found)
                else pl.Float64 if all(dtype.is_numeric() for dtype in found)
                else pl.String
            )  # fmt: skip
    return [
        frame.with_columns(
            pl.col(name).cast(casts[name]) for name in casts if name in frame.columns
        )
        for frame in numbered
    ]


def _typed(
    frame: pl.DataFrame,
    columns: Columns,
    options: FormatOptions,
    row_name: str,
    *,
    exact_times: bool,
) -> tuple[pl.DataFrame, dict[str, ColumnReport]]:
    """Convert values to numbers and timestamps to seconds; null where that is not possible."""
    reports: dict[str, ColumnReport] = {}
    for role, name in columns.columns.items():
        written = frame.get_column(role)
        why = columns.reasons[role]
        if role == "value":
            numbers = to_numbers(written, options.decimal)
            converted, missing, read_as = numbers.column, numbers.missing, numbers.assumed
            note = (
                ""
                if options.decimal or converted.null_count() <= missing.sum()
                else ("name a decimal comma with --decimal ," if _has_commas(written) else "")
            )
        elif role == "timestamp":
            times = to_times(written, options.time_format)
            converted, missing, read_as, note = (
                times.seconds, times.missing, times.unit, times.refused,
            )  # fmt: skip
            if exact_times:
                converted = with_fractions(written, converted)
        else:
            reports[role] = ColumnReport(role, name, why)
            continue
        unreadable = converted.is_null() & ~missing
        example = ""
        if n_unreadable := int(unreadable.sum()):
            line, entry = next(frame.select("line", role).filter(unreadable).head(1).iter_rows())
            example = f"{row_name} {line}: {shorten(str(entry), 40)!r}"
        frame = frame.with_columns(converted.alias(role))
        reports[role] = ColumnReport(
            role, name, why, read_as, int(missing.sum()), n_unreadable, example, note
        )
    return frame, reports


def _has_commas(column: pl.Series) -> bool:
    return column.dtype == pl.String and bool(column.str.contains(",", literal=True).any())


def _checked(
    frame: pl.DataFrame,
    reports: Mapping[str, ColumnReport],
    needed: Collection[str],
    row_name: str,
    files: list[str],
) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """Return the good rows, and a line of text for each of the first bad ones."""
    problems = [pl.col("problem")]
    for role in IDS:
        if role not in reports:
            continue
        text = pl.col(role)
        missing = text.is_null() | (text.str.strip_chars() == "") | text.is_in(list(NO_ID))
        problems += [
            pl.when(missing).then(pl.lit(f"no {role} id")),
            pl.when(text.str.len_bytes() > MAX_ID_BYTES).then(
                pl.lit(f"{role} id over {MAX_ID_BYTES} bytes")
            ),
            pl.when(text.str.contains(r"[\x00-\x1f\x7f]")).then(
                pl.lit(f"control character in the {role} id (a quote that is not closed?)")
            ),
        ]
    for role in needed:
        report = reports[role]
        what = {"value": "value is not a number", "timestamp": "timestamp is no known time"}
        problem = f"{what.get(role, f'no {role}')} (column {report.name!r})"
        problems.append(pl.when(pl.col(role).is_null()).then(pl.lit(problem)))
    frame = frame.with_columns(problem=pl.coalesce(problems))
    good = frame.filter(pl.col("problem").is_null())
    if good.height == frame.height:
        return good, ()
    bad = frame.filter(pl.col("problem").is_not_null()).head(EXAMPLES)
    where = [f"{name} {row_name}".lstrip() for name in files]
    return good, tuple(
        f"{where[row['part']]} {row['line']}: {row['problem']}"
        for row in bad.select("part", "line", "problem").to_dicts()
    )
