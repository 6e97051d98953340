"""`FormatOptions`: what only the user knows about the format of a file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from hashrec.index.errors import ConfigError

NO_COLUMN = "-"  # in place of a column's name: the file has none for this role


@dataclass(frozen=True, kw_only=True)
class FormatOptions:
    """What detection cannot see, or sees wrongly. Every default means: detect.

    Attributes:
        preset: name of a reader.
        columns: role -> column name, or `-` for no column.
        separator: of the fields of a text, one character.
        decimal: mark between the digits of a number, `.` or `,`.
        encoding: of a text, a name that Python knows.
        quoting: whether a `"` at the beginning of a field encloses it; else it is text.
        time_format: of the timestamps: a unit (`seconds`, `milliseconds`, `microseconds`,
            `nanoseconds`) or a pattern of strftime (`%d.%m.%Y %H:%M`).

    Raises:
        ConfigError: an option is out of range.
    """

    preset: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict[str, str])
    separator: str | None = None
    decimal: Literal[".", ","] | None = None
    encoding: str | None = None
    quoting: bool = True
    time_format: str | None = None

    def __post_init__(self) -> None:
        if self.separator is not None:
            written = {"tab": "\t", "\\t": "\t"}.get(self.separator, self.separator)
            if len(written.encode()) != 1 or written in '"\r\n\0':
                raise ConfigError(
                    f"separator {self.separator!r}: give one ASCII character, or `tab`"
                )
            object.__setattr__(self, "separator", written)
        if self.decimal not in (None, ".", ","):
            raise ConfigError(f"decimal mark {self.decimal!r}: give `.` or `,`")
