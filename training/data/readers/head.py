"""The beginning of a file, from which readers recognise its format."""

from __future__ import annotations

import gzip
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from hashrec.index.errors import DataError, EmptyDataError

HEAD_BYTES = 256 * 1024
GZIP_MAGIC = b"\x1f\x8b"
PARQUET_MAGIC = b"PAR1"
ZIP_MAGIC = b"PK\x03\x04"
MAGIC_BYTES = 16

Kind = Literal["text", "binary"]


@dataclass(frozen=True)
class Head:
    """The first bytes of a file.

    Attributes:
        path: the file, or a folder of Parquet files.
        kind: whether the content is text.
        gzipped: whether the content is gzip-compressed, whatever the name of the file.
        lines: the first lines of a text, without blank lines; a line that the end of the head cuts
            off is left out unless it is the only one.
        magic: the first bytes of a binary file, decompressed.
    """

    path: Path
    kind: Kind
    gzipped: bool = False
    lines: tuple[str, ...] = ()
    magic: bytes = b""

    @property
    def name(self) -> str:
        """The file's name in lower case, without ``.gz``."""
        return self.path.name.lower().removesuffix(".gz")


def read_head(path: Path) -> Head:
    """Read the beginning of a file or of a folder of Parquet files.

    Raises:
        DataError: it is missing, empty, unreadable, damaged, a zip archive, or not UTF-8 text.
    """
    if path.is_dir():
        if not any(path.glob("**/*.parquet")):
            raise DataError(f"{path}: a folder without Parquet files; name the data file in it")
        return Head(path, "binary", magic=PARQUET_MAGIC)
    content, gzipped, complete = _first_bytes(path)
    if not content:
        raise EmptyDataError(str(path), "the file is empty; give a file with interactions")
    if content.startswith(ZIP_MAGIC):
        raise DataError(f"{path}: a zip archive; unzip it and name the data file in it")
    if b"\0" in content or content.startswith(PARQUET_MAGIC):
        return Head(path, "binary", gzipped, magic=content[:MAGIC_BYTES])
    lines = _text(path, content, complete).splitlines()
    if not complete and len(lines) > 1:
        lines.pop()
    lines = tuple(line for line in lines if line.strip())
    if not lines:
        raise EmptyDataError(str(path), "the file holds blank lines only")
    return Head(path, "text", gzipped, lines)


def _first_bytes(path: Path) -> tuple[bytes, bool, bool]:
    """Return the first bytes decompressed, whether they were gzipped, and whether they are all."""
    try:
        with path.open("rb") as file:
            gzipped = file.read(2) == GZIP_MAGIC
        with gzip.open(path) if gzipped else path.open("rb") as file:
            content = file.read(HEAD_BYTES + 1)
    except FileNotFoundError as error:
        raise DataError(
            f"{path}: no such file or data set; `hashrec data list` names them"
        ) from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise damaged_gzip(path) from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    return content[:HEAD_BYTES], gzipped, len(content) <= HEAD_BYTES


def _text(path: Path, content: bytes, complete: bool) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        # the head may end in the middle of a character
        if not complete and error.start >= len(content) - 3:
            return content[: error.start].decode("utf-8-sig")
        line = content.count(b"\n", 0, error.start) + 1
        raise not_utf8(path, f" (line {line})") from error


def damaged_gzip(path: Path) -> DataError:
    """Describe a gzip file that ends early or is corrupt."""
    return DataError(f"{path}: the gzip data is damaged or cut off; copy or download it again")


def not_utf8(path: Path, where: str = "") -> DataError:
    """Describe a text in another encoding."""
    return DataError(
        f"{path}: not UTF-8 text{where}; convert it, e.g. `iconv -f latin1 -t utf-8 IN > OUT`"
    )
