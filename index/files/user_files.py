"""Files of user ids: one id a line, or a table with a column of users in any known format."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from hashrec.index.errors import DataError, EmptyDataError, MissingLibraryError

if TYPE_CHECKING:
    from hashrec.index.reading.options import FormatOptions

TABLES = ("parquet", "jsonl", "recbole", "csv")


def read_user_ids(
    path: Path,
    options: FormatOptions | None = None,
    *,
    max_bad: int = 0,
    say: Callable[[str], None] = lambda _message: None,
) -> list[str]:
    """Return the distinct user ids of a file, in order.

    A text without a header is one id a line. Other files are tables, in which the ids are in
    `user_id`, or in a column with another usual name, such as `UserId` in exports of Gorse.

    Args:
        path: the file, a folder of parts, or `-` for standard input.
        options: what detection cannot see.
        max_bad: rows without a valid id to leave out before the read fails.
        say: takes lines that say what was read.

    Raises:
        DataError: the file cannot be read, holds no id, or has more bad rows than `max_bad`.
        ConfigError: an option does not suit the file.
        MissingLibraryError: polars is not installed.
    """
    try:
        from hashrec.index.reading.columns import USERS  # noqa: PLC0415
        from hashrec.index.reading.readers import READERS  # noqa: PLC0415
        from hashrec.index.reading.readers.lists import IdReader  # noqa: PLC0415
        from hashrec.index.reading.rows import DETECT, read_rows  # noqa: PLC0415
    except ModuleNotFoundError as error:
        if error.name != "polars":
            raise
        raise MissingLibraryError("a file of users", "polars", "files") from None
    options = options or DETECT
    readers = {name: READERS[name] for name in TABLES}
    if options.separator is None:
        readers["ids"] = IdReader()
    try:
        rows = read_rows(path, options, max_bad=max_bad, vocabulary=USERS, readers=readers)
    except EmptyDataError as error:
        raise DataError(f"{path}: no user ids; write one id a line") from error
    ids: list[str] = rows.frame.get_column("user").unique(maintain_order=True).to_list()
    if not ids:
        raise DataError(
            f"{path}: every row is bad: {'; '.join(rows.bad_examples)}; write one id a line"
        )
    for line in rows.report():
        say(line)
    say(
        f"{rows.n_rows:,} rows: {rows.n_bad:,} bad, {rows.frame.height - len(ids):,} repeated, "
        f"{len(ids):,} users"
    )
    return ids
