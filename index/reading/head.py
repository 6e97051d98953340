"""`Head`: the beginning of a file, from which readers recognise its format."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

PARQUET_MAGIC = b"PAR1"

Kind = Literal["text", "binary"]


@dataclass(frozen=True)
class Head:
    """The first bytes of a file.

    Attributes:
        path: as the user named it, for messages.
        file: to read: `path`, or a temporary copy, decompressed, a text in UTF-8 with line feeds.
        kind: whether the content is text.
        lines: the first lines of a text, without blank lines and without comments before the first
            row; a line that the end of the head cuts off is left out unless it is the only one.
        n_before: lines of the file before `lines[0]`: blank ones and comments.
        separator: given by a first line `sep=;`, as spreadsheets write it; empty without one.
        magic: the first bytes of a binary file.
        constants: column -> value in every row, from the folders that the file lies in.
        container: what the file was unpacked from, such as "gzip"; empty for a plain file.
    """

    path: Path
    file: Path
    kind: Kind
    lines: tuple[str, ...] = ()
    n_before: int = 0
    separator: str = ""
    magic: bytes = b""
    constants: Mapping[str, str | None] = field(default_factory=dict[str, str | None])
    container: str = ""

    @property
    def name(self) -> str:
        """The file's name in lower case, without the suffix of a compression."""
        name = self.path.name.lower()
        for suffix in (".gz", ".bz2", ".zst", ".xz", ".zip"):
            name = name.removesuffix(suffix)
        return name
