"""External ids (always strings) and internal rows (integers from 0)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from hashrec.index.arrays.strings import PIECE, StringArray, ascending
from hashrec.index.errors import DataError, shorten

MAX_ID_BYTES = 512  # limit of an external id in UTF-8, in files and in requests
_MANY = 8  # from this number of ids on, one search for all hashes is faster than one for each


def require_id(value: object) -> str:
    """Check an external id.

    Raises:
        ValueError: the id is not a string, is empty, is longer than 512 bytes in UTF-8, or cannot
            be encoded as UTF-8.
    """
    if not isinstance(value, str):
        raise ValueError("must be a string")
    if not value:
        raise ValueError("must not be empty")
    try:
        n_bytes = len(value.encode())
    except UnicodeEncodeError:  # JSON can hold half of a surrogate pair
        raise ValueError("must be valid Unicode") from None
    if n_bytes > MAX_ID_BYTES:
        raise ValueError(f"must have at most {MAX_ID_BYTES} bytes")
    return value


def spread(n: int, samples: int = 64) -> list[int]:
    """Return at most `samples` distinct rows, evenly spread from the first to the last of `n`."""
    return np.unique(np.linspace(0, n - 1, num=min(n, samples)).astype(np.int64)).tolist()


def _hash(key: bytes) -> int:
    return int.from_bytes(blake2b(key, digest_size=8).digest(), "little")


@dataclass(frozen=True, eq=False)
class IdMap:
    """External id <-> row, both ways, without a Python object per id.

    A row is found by binary search over sorted 64-bit hashes and confirmed on the id's bytes, so
    every array can be a memory map that worker processes share.

    Attributes:
        strings: the UTF-8 ids in row order.
        hashes: uint64, shape (n,), ascending.
        rows: int32, shape (n,), the row of each hash.
    """

    strings: StringArray
    hashes: NDArray[np.uint64]
    rows: NDArray[np.int32]

    @classmethod
    def build(cls, ids: Iterable[str]) -> IdMap:
        """Assign rows 0, 1, 2, ... to the ids in their order.

        Raises:
            DataError: an id is repeated, or cannot be encoded as UTF-8.
        """
        try:
            keys = [external_id.encode() for external_id in ids]
        except UnicodeEncodeError as error:
            raise DataError(
                f"an id is not valid Unicode: {error.reason}; correct the id"
            ) from error
        if len(set(keys)) != len(keys):
            raise DataError("an id is repeated; ids must be distinct")
        hashes = np.fromiter(map(_hash, keys), dtype=np.uint64, count=len(keys))
        order = np.argsort(hashes, kind="stable")
        return cls(StringArray.build(keys), hashes[order], order.astype(np.int32))

    def __len__(self) -> int:
        return len(self.strings)

    def id(self, row: int) -> str:
        """Return the external id of a row."""
        return self.strings[row].decode()

    def ids(self, rows: Sequence[int] | NDArray[np.integer]) -> list[str]:
        """Return the external ids of several rows."""
        return [self.strings[int(row)].decode() for row in rows]

    def row(self, external_id: str) -> int | None:
        """Return the row of an id, or None for an unknown id."""
        try:
            key = external_id.encode()
        except UnicodeEncodeError:  # a lone surrogate is in no data set
            return None
        wanted = np.uint64(_hash(key))
        position = int(self.hashes.searchsorted(wanted))
        while position < len(self.hashes) and self.hashes[position] == wanted:
            row = int(self.rows[position])
            if self.strings[row] == key:
                return row
            position += 1
        return None

    def known_rows(self, external_ids: Iterable[str]) -> list[int]:
        """Return the rows of the known ids among the given ones, in their order."""
        wanted = list(external_ids)
        if len(wanted) < _MANY:
            found = (self.row(external_id) for external_id in wanted)
            return [row for row in found if row is not None]
        keys = [external_id.encode(errors="surrogatepass") for external_id in wanted]
        hashes = np.fromiter(map(_hash, keys), dtype=np.uint64, count=len(keys))
        positions = self.hashes.searchsorted(hashes)
        rows: list[int] = []
        inside = np.flatnonzero(positions < len(self.hashes))
        inside = inside[self.hashes[positions[inside]] == hashes[inside]]
        places: list[int] = inside.tolist()
        candidates: list[int] = self.rows[positions[inside]].tolist()
        for place, row in zip(places, candidates, strict=True):
            if self.strings[row] == keys[place]:
                rows.append(row)
            elif (other := self.row(wanted[place])) is not None:  # two ids with equal hashes
                rows.append(other)
        return rows

    def take(self, rows: NDArray[np.integer]) -> IdMap:
        """Return a map whose row i is this map's ``rows[i]``."""
        return IdMap.build(self.ids(rows))

    def check(self, name: str) -> None:
        """Check that ids are text, that hashes ascend, and that each row is listed once.

        Hashes are compared with the ids for some rows only: to hash a million ids would take longer
        than all other steps of opening an artifact.

        Raises:
            ValueError: a check fails.
        """
        self.strings.check(name)
        self.strings.check_text(name)
        if not self._lists_each_row_once():
            raise ValueError(f"{name}: the lookup table does not fit the ids")
        if any(self.row(self.id(row)) is None for row in spread(len(self))):
            raise ValueError(f"{name}: the lookup table belongs to other ids")
        for twin in np.flatnonzero(self.hashes[1:] == self.hashes[:-1]).tolist():
            if self.strings[int(self.rows[twin])] == self.strings[int(self.rows[twin + 1])]:
                raise ValueError(f"{name}: an id is repeated")

    def _lists_each_row_once(self) -> bool:
        n, rows = len(self), self.rows
        if not (len(self.hashes) == len(rows) == n and ascending(self.hashes)):
            return False
        if n and rows.view(np.uint32).max() >= n:  # negative rows become huge ones
            return False
        listed = np.zeros(n, dtype=bool)
        for first in range(0, n, PIECE):
            listed[rows[first : first + PIECE]] = True
        return bool(listed.all())

    def __repr__(self) -> str:
        first = ", ".join(shorten(self.id(row), 16) for row in range(min(3, len(self))))
        return f"IdMap({len(self)} ids: {first}{', ...' if len(self) > 3 else ''})"
