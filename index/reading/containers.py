"""Open files that are compressed, zipped, workbooks, UTF-16, pipes or folders of parts.

What polars cannot read as it is becomes a temporary copy: decompressed, UTF-8, with line feeds. So
every format reads from every container.
"""

from __future__ import annotations

import bz2
import codecs
import csv
import gzip
import importlib
import io
import lzma
import re
import shutil
import stat
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, Any
from urllib.parse import unquote

from hashrec.index.errors import (
    ConfigError,
    DataError,
    EmptyDataError,
    EncodingError,
    MissingLibraryError,
    shorten,
)
from hashrec.index.reading.head import PARQUET_MAGIC, Head

HEAD_BYTES = 256 * 1024
MAGIC_BYTES = 16
COPIED_AT_ONCE = 1 << 20
STANDARD_INPUT = "-"
EXCEL_PART = "xl/workbook.xml"  # a zip archive with it is a workbook
HIVE_NULL = "__HIVE_DEFAULT_PARTITION__"
# Files beside the data that no reader is meant to read.
NOT_DATA = re.compile(
    r"(readme|license|copying|changelog)\b.*|.*\.(md|crc|html|pdf|ipynb|py)", re.IGNORECASE
)
DAMAGED = (EOFError, zlib.error, gzip.BadGzipFile, lzma.LZMAError, zipfile.BadZipFile)
# Binary formats that no reader knows, by their first bytes.
OTHER_FORMATS = {
    b"ARROW1": "an Arrow file; write it as Parquet",
    b"ORC": "an ORC file; write it as Parquet",
    b"Obj\x01": "an Avro file; write it as Parquet or JSON lines",
    b"SQLite format 3": "an SQLite database; export the table as CSV",
    b"\x89HDF": "an HDF5 file; write it as Parquet",
    b"\x93NUMPY": "a NumPy file; write it as CSV",
    b"\xd0\xcf\x11\xe0": "an old Excel file; save it as .xlsx or CSV",
    b"7z\xbc\xaf": "a 7z archive; unpack it and name the data file in it",
}


@dataclass(frozen=True)
class Part:
    """A file to read.

    Attributes:
        path: the file.
        constants: column -> value in every row, from folders such as `type=click`.
    """

    path: Path
    constants: Mapping[str, str | None] = field(default_factory=dict[str, str | None])


@dataclass(frozen=True)
class Parts:
    """The files that a path stands for, in the order of their names.

    Attributes:
        files: at least one.
        skipped: what was left out of a folder, such as "3 files of Spark"; empty for nothing.
    """

    files: tuple[Part, ...]
    skipped: str = ""


def parts_of(path: Path) -> Parts:
    """Return the files of a folder, or the file itself.

    Raises:
        DataError: it is missing, or a folder without data files or with files of several formats.
    """
    if str(path) == STANDARD_INPUT or not path.is_dir():
        return Parts((Part(path),))
    if (path / "_delta_log").is_dir():
        raise DataError(
            f"{path}: a Delta table, in whose folder deleted rows lie beside current ones; write "
            "its current rows as Parquet"
        )
    found = sorted(file for file in path.rglob("*") if file.is_file())
    files = [file for file in found if _is_data(file.relative_to(path))]
    parquet = [file for file in files if file.name.endswith(".parquet")]
    files = parquet or files
    filled = [file for file in files if file.stat().st_size]
    if parquet and len(filled) < len(files):
        empty = next(file for file in files if file not in filled)
        raise DataError(f"{empty}: an empty file, not Parquet; write it again or delete it")
    if not filled:
        raise DataError(f"{path}: a folder without data files; name the data file")
    if len(suffixes := sorted({_suffix(file) for file in filled})) > 1:
        raise DataError(
            f"{path}: a folder with files of several formats ({', '.join(suffixes)}); name one file"
        )
    counts = (
        (len(found) - len(files), "other files"),
        (len(files) - len(filled), "empty parts"),
    )
    skipped = ", ".join(f"{count:,} {what}" for count, what in counts if count)
    return Parts(tuple(Part(file, _partitions(file.relative_to(path))) for file in filled), skipped)


def _is_data(inside: Path) -> bool:
    # "_SUCCESS", "_temporary/", ".part-0.crc" are left by Spark; "_year=2020" is a partition
    hidden = any(name.startswith((".", "_")) and "=" not in name for name in inside.parts)
    return not hidden and not NOT_DATA.fullmatch(inside.name)


def _suffix(file: Path) -> str:
    # Hive names its parts 000000_0
    name = file.name.lower()
    for packed in (".gz", ".bz2", ".zst", ".xz"):
        name = name.removesuffix(packed)
    return Path(name).suffix or "no suffix"


def _partitions(inside: Path) -> dict[str, str | None]:
    folders = (folder.partition("=") for folder in inside.parts[:-1] if "=" in folder)
    values = {unquote(name): unquote(value) for name, _, value in folders}
    return {name: None if value == HIVE_NULL else value for name, value in values.items()}


@contextmanager
def opened(part: Part, encoding: str | None = None) -> Generator[Head]:
    """Unpack a file if it has to be, and read its beginning.

    Args:
        part: the file; the path `-` and a pipe are copied first, since they can be read once only.
        encoding: of a text; None detects UTF-8, UTF-16 and UTF-32.

    Raises:
        DataError: it is missing, empty, unreadable, damaged, of a format that no reader knows, or
            not a text in this encoding.
        ConfigError: Python does not know the encoding.
    """
    with tempfile.TemporaryDirectory(prefix="hashrec-") as folder:
        yield _opened(part, Path(folder), encoding)


def _opened(part: Part, folder: Path, encoding: str | None) -> Head:
    path = part.path
    try:
        file, container = _unpacked(path, folder)
        with file.open("rb") as opened_file:
            content = opened_file.read(HEAD_BYTES + 1)
        if not content:
            raise EmptyDataError(str(path), "the file is empty; give a file with rows")
        if content.startswith(PARQUET_MAGIC):
            return Head(
                path,
                file,
                "binary",
                magic=content[:MAGIC_BYTES],
                constants=part.constants,
                container=container,
            )
        for magic, what in OTHER_FORMATS.items():
            if content.startswith(magic):
                raise DataError(f"{path}: {what}")
        found = encoding or _encoding_of(content[:HEAD_BYTES])
        if found is None and b"\0" in content:
            return Head(path, file, "binary", magic=content[:MAGIC_BYTES], container=container)
        is_cr = b"\r" in content and b"\n" not in content
        if found is not None or is_cr:
            file = _transcoded(path, file, folder / "text", found or "utf-8")
            container = ", ".join(filter(None, (container, found, "CR line ends" * is_cr)))
            with file.open("rb") as opened_file:
                content = opened_file.read(HEAD_BYTES + 1)
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error
    return _text_head(part, file, content, container)


def _unpacked(path: Path, folder: Path) -> tuple[Path, str]:
    """Return a plain file, and what it was unpacked from."""
    file, names = path, list[str]()
    if str(path) == STANDARD_INPUT or not stat.S_ISREG(path.stat().st_mode):
        file = folder / "stream"
        with _stream(path) as source, file.open("wb") as copy:
            shutil.copyfileobj(source, copy, COPIED_AT_ONCE)
    for depth in range(3):  # a gzipped file in a zip archive
        with file.open("rb") as opened_file:
            magic = opened_file.read(MAGIC_BYTES)
            opened_file.seek(257)
            if opened_file.read(5) == b"ustar":
                raise DataError(f"{path}: a tar archive; unpack it and name the data file in it")
        name, unpack = next(
            ((name, unpack) for start, name, unpack in UNPACKERS if magic.startswith(start)),
            ("", None),
        )
        if unpack is None:
            return file, ", ".join(names)
        target = folder / f"unpacked-{depth}"
        try:
            note = unpack(path, file, target)
        except DAMAGED as error:
            raise DataError(
                f"{path}: the {name} data is damaged or cut off; copy or download it again"
            ) from error
        names.append(note or name)
        file = target
    raise DataError(f"{path}: packed more than twice; unpack it")


@contextmanager
def _stream(path: Path) -> Generator[IO[bytes]]:
    if str(path) == STANDARD_INPUT:
        yield sys.stdin.buffer
    else:
        with path.open("rb") as file:
            yield file


def _unpack_with(open_packed: Callable[[Path], Any]) -> Callable[[Path, Path, Path], str]:
    def unpack(path: Path, file: Path, target: Path) -> str:
        try:
            with open_packed(file) as source, target.open("wb") as copy:
                shutil.copyfileobj(source, copy, COPIED_AT_ONCE)
        except OSError as error:
            if error.errno is None:  # bz2 and Arrow report damage so
                raise EOFError from error
            raise DataError(
                f"{path}: cannot be unpacked: {error.strerror}; "
                "set TMPDIR to a folder with enough space"
            ) from error
        return ""

    return unpack


def _open_zstandard(file: Path) -> IO[bytes]:
    try:
        arrow: Any = importlib.import_module("pyarrow")
    except ModuleNotFoundError:
        raise MissingLibraryError("Zstandard", "pyarrow", "files") from None
    return arrow.input_stream(str(file), compression="zstd")


def _unpack_zip(path: Path, file: Path, target: Path) -> str:
    """Extract the one data file of a zip archive, or the rows of an Excel workbook."""
    try:
        with zipfile.ZipFile(file) as archive:
            entries = [
                entry
                for entry in archive.infolist()
                if not entry.is_dir() and "__MACOSX" not in entry.filename
            ]
            if any(entry.filename == EXCEL_PART for entry in entries):
                return _unpack_excel(path, file, target)
            data = [
                entry for entry in entries if _is_data(Path(PurePosixPath(entry.filename)))
            ] or entries
            if len(data) != 1:
                names = ", ".join(entry.filename for entry in data) or "none"
                raise DataError(
                    f"{path}: a zip archive of {len(data)} files ({shorten(names, 100)}); "
                    "unzip it and name the data file in it"
                )
            with archive.open(data[0]) as source, target.open("wb") as copy:
                shutil.copyfileobj(source, copy, COPIED_AT_ONCE)
            return f"zip, {data[0].filename}"
    except (RuntimeError, NotImplementedError) as error:  # encrypted, or an unknown method
        raise DataError(f"{path}: {error}; unzip it and name the data file in it") from error


def _unpack_excel(path: Path, file: Path, target: Path) -> str:
    """Write the first sheet with rows as CSV."""
    try:
        calamine: Any = importlib.import_module("python_calamine")
    except ModuleNotFoundError:
        raise MissingLibraryError("Excel", "python-calamine", "excel") from None
    try:
        with file.open("rb") as source:
            workbook = calamine.CalamineWorkbook.from_filelike(source)
            for name in workbook.sheet_names:
                rows = workbook.get_sheet_by_name(name).to_python()
                if rows:
                    break
            else:
                raise EmptyDataError(str(path), "an Excel workbook without rows")
            n_sheets = len(workbook.sheet_names)
    except calamine.CalamineError as error:
        raise DataError(f"{path}: a damaged Excel workbook; save it again, or as CSV") from error
    with target.open("w", encoding="utf-8", newline="") as copy:
        csv.writer(copy, lineterminator="\n").writerows(
            [_cell(value) for value in row] for row in rows
        )
    return f"Excel, sheet {name!r}" + (f" of {n_sheets}" if n_sheets > 1 else "")


def _cell(value: object) -> object:
    # a workbook stores every number as a float: 7 is meant, not 7.0
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    return value


UNPACKERS: tuple[tuple[bytes, str, Callable[[Path, Path, Path], str]], ...] = (
    (b"\x1f\x8b", "gzip", _unpack_with(gzip.open)),
    (b"BZh", "bzip2", _unpack_with(bz2.open)),
    (b"\xfd7zXZ\0", "xz", _unpack_with(lzma.open)),
    (b"\x28\xb5\x2f\xfd", "Zstandard", _unpack_with(_open_zstandard)),
    (b"PK\x03\x04", "zip", _unpack_zip),
    (b"PK\x05\x06", "zip", _unpack_zip),
)


def _encoding_of(content: bytes) -> str | None:
    """Return the encoding of a text that is not UTF-8; None for UTF-8 and for what is no text."""
    for mark, name in (
        (codecs.BOM_UTF32_LE, "UTF-32"),
        (codecs.BOM_UTF32_BE, "UTF-32"),
        (codecs.BOM_UTF16_LE, "UTF-16"),
        (codecs.BOM_UTF16_BE, "UTF-16"),
    ):
        if content.startswith(mark):
            return name
    # without a mark: of mostly ASCII text every second byte is zero
    pairs = content[: len(content) // 2 * 2]
    for zeros, name in ((pairs[1::2], "UTF-16LE"), (pairs[::2], "UTF-16BE")):
        others = pairs[::2] if zeros == pairs[1::2] else pairs[1::2]
        if zeros and zeros.count(0) > 0.7 * len(zeros) and others.count(0) == 0:
            return name
    return None


def _transcoded(path: Path, file: Path, target: Path, encoding: str) -> Path:
    """Write a copy in UTF-8 whose lines end with a line feed."""
    try:
        name = codecs.lookup(encoding).name
    except LookupError:
        raise ConfigError(
            f"no encoding {encoding!r}; give one that Python knows, for example latin-1"
        ) from None
    name = "utf-8-sig" if name == "utf-8" else name
    try:
        with (
            io.open(file, encoding=name, newline="") as source,  # noqa: UP020
            target.open("w", encoding="utf-8", newline="") as copy,
        ):
            held = ""  # a carriage return at the end of a block may be half of a line end
            while block := source.read(COPIED_AT_ONCE):
                text = held + block
                held = "\r" if text.endswith("\r") else ""
                text = text.removesuffix("\r") if held else text
                copy.write(text.replace("\r\n", "\n").replace("\r", "\n"))
            copy.write("\n" if held else "")
    except UnicodeError as error:
        raise DataError(
            f"{path}: not {encoding} text; name its encoding with --encoding"
        ) from error
    return target


def _text_head(part: Part, file: Path, content: bytes, container: str) -> Head:
    complete = len(content) <= HEAD_BYTES
    text = _decoded(part.path, content[:HEAD_BYTES], complete)
    lines = text.split("\n")
    if not complete and len(lines) > 1:
        lines.pop()
    n_before, separator = 0, ""
    for line in lines:
        bare = line.strip()
        if given := re.fullmatch(r"sep=(.)", line.rstrip("\r"), re.IGNORECASE):
            separator = given[1]
        elif bare and not (bare.startswith(("# ", "% ", "%%")) or bare in ("#", "%")):
            break
        n_before += 1
    kept = tuple(line.rstrip("\r") for line in lines[n_before:] if line.strip())
    if not kept:
        raise EmptyDataError(str(part.path), "the file holds blank lines only")
    return Head(
        part.path, file, "text", kept, n_before, separator,
        constants=part.constants, container=container,
    )  # fmt: skip


def _decoded(path: Path, content: bytes, complete: bool) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        # the head may end in the middle of a character
        if not complete and error.start >= len(content) - 3:
            return content[: error.start].decode("utf-8-sig")
        line = content.count(b"\n", 0, error.start) + 1
        raise EncodingError(path, f" (line {line})") from error
