"""Files of user ids: one id a line, JSON lines, or Parquet."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import orjson

from hashrec.index.arrays.ids import require_id
from hashrec.index.errors import DataError
from hashrec.index.files.tables import require_arrow

COLUMNS = ("user_id", "UserId", "userId", "user")
PARQUET_MAGIC = b"PAR1"


def read_user_ids(path: Path) -> list[str]:
    """Return the distinct user ids of a file, in order.

    In JSON lines and Parquet, the ids are in `user_id`, or in `UserId` as in exports of Gorse.

    Raises:
        DataError: the file cannot be read, or a line is not a user id.
        MissingLibraryError: the file is Parquet and pyarrow is not installed.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    if content.startswith(PARQUET_MAGIC):
        ids = _of_parquet(path)
    else:
        ids = [
            _of_line(path, number, line.strip())
            for number, line in enumerate(content.split(b"\n"), start=1)
            if line.strip()
        ]
    distinct = list(dict.fromkeys(ids))
    if not distinct:
        raise DataError(f"{path}: no user ids; write one id a line")
    return distinct


def _of_line(path: Path, number: int, line: bytes) -> str:
    try:
        return require_id(_of_object(line) if line.startswith(b"{") else line.decode())
    except ValueError as error:
        raise DataError(f"{path}: line {number} is not a user id: {error}") from None


def _of_object(line: bytes) -> str:
    members: object = orjson.loads(line)
    if isinstance(members, dict):
        fields = cast("dict[str, Any]", members)
        for name in COLUMNS:
            if (user_id := fields.get(name)) is not None:
                return str(user_id)
    raise ValueError(f"it has no {COLUMNS[0]}")


def _of_parquet(path: Path) -> list[str]:
    parquet = require_arrow().parquet
    try:
        with parquet.ParquetFile(path) as file:
            names: list[str] = file.schema_arrow.names
            name = next((name for name in COLUMNS if name in names), None)
            if name is None:
                raise DataError(f"{path}: no {COLUMNS[0]} column among {', '.join(names)[:200]}")
            values: list[Any] = file.read(columns=[name]).column(0).to_pylist()
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: damaged Parquet; write or copy it again") from error
    return [str(value) for value in values if value is not None]
