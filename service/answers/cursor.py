"""Cursors: where a list or the catalogue continues, as text that a client sends back.

The cursor of a list, which a client cannot change:

    format (1) | model (8) | seal (12) | list (8) | kind, members (1) | bookmark

in URL-safe Base64. `model` names the version, by its key. `list` is a digest of what the list is
of: the user or the history, and the options but for its length. The seal is a digest of all that
follows, keyed by the model: what passes it was written here. Numbers of the bookmark have 7 bits a
byte, and their last byte is below 128.

The cursor of the catalogue is `[version, row, id]` as JSON, in the same Base64: it holds nothing
that a client may not choose.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable
from functools import lru_cache
from hashlib import blake2b

import orjson

from hashrec.index.live.catalogue import ItemPlace
from hashrec.index.ranking.order import Block, Bookmark, Head, Kind, Place
from hashrec.service.errors import InvalidCursorError, StaleCursorError

MAX_LENGTH = 8192  # a list of 500 in the middle of 1,000 diversified items takes about 2,000
_FORMAT = 1
LIST_BYTES = 8
_MODEL_BYTES, _SEAL_BYTES = 8, 12
_SEAL_AT = 1 + _MODEL_BYTES
_LIST_AT = _SEAL_AT + _SEAL_BYTES
_MEMBERS_AT = _LIST_AT + LIST_BYTES
# Positions are what is written: add at the end, and change _FORMAT to reorder.
_KINDS: tuple[Kind, ...] = ("personal", "fold_in", "popular")
_FOREIGN = "it is not a cursor of this service"
_HEAD, _PLACE, _BLOCK = 4, 8, 16  # beside the kind, which takes the lowest two bits


class Cursor:
    """A text that may be a cursor of some model.

    Args:
        text: what a client sent.

    Raises:
        InvalidCursorError: it is none.
    """

    def __init__(self, text: str) -> None:
        content = _from_text(text)
        if len(content) <= _MEMBERS_AT or content[0] != _FORMAT:
            raise InvalidCursorError(_FOREIGN)
        self._content = content

    def is_of(self, key: bytes) -> bool:
        """Tell whether it names the model with this key."""
        return self._content[1:_SEAL_AT] == _model(key)

    def bookmark(self, key: bytes, list_digest: bytes) -> Bookmark:
        """Return where the list goes on.

        Args:
            key: of the model it names.
            list_digest: of the list that is asked for, 8 bytes.

        Raises:
            InvalidCursorError: it was changed, or is of another list.
        """
        content = self._content
        if content[_SEAL_AT:_LIST_AT] != _seal(key, content[_LIST_AT:]):
            raise InvalidCursorError(_FOREIGN)
        if content[_LIST_AT:_MEMBERS_AT] != list_digest:
            raise InvalidCursorError(
                "it belongs to another list; keep the user and all options but k as they were"
            )
        return _read(content[_MEMBERS_AT:])


def write(bookmark: Bookmark, key: bytes, list_digest: bytes) -> str:
    """Return a cursor.

    Args:
        bookmark: where the list goes on.
        key: of the model that made the list.
        list_digest: of the list, 8 bytes.
    """
    content = list_digest + _written(bookmark)
    return _to_text(bytes((_FORMAT,)) + _model(key) + _seal(key, content) + content)


def write_place(place: ItemPlace, version: str) -> str:
    """Return a cursor of the catalogue.

    Args:
        place: where the listing continues.
        version: of the model that the row belongs to.
    """
    return _to_text(orjson.dumps([version, place.row, place.after]))


def read_place(text: str, version: str) -> ItemPlace:
    """Return the place that `write_place` wrote.

    Raises:
        InvalidCursorError: the text is not a cursor of the catalogue.
        StaleCursorError: it belongs to another version.
    """
    try:
        of_version, row, after = orjson.loads(_from_text(text))
    except (ValueError, TypeError):
        raise InvalidCursorError(_FOREIGN) from None
    if not (isinstance(of_version, str) and isinstance(after, str) and type(row) is int):
        raise InvalidCursorError(_FOREIGN)
    if of_version != version:
        raise StaleCursorError
    if not 0 <= row < 2**31:
        raise InvalidCursorError(_FOREIGN)
    return ItemPlace(row, after)


def _to_text(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def _from_text(text: str) -> bytes:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise InvalidCursorError(_FOREIGN) from None


@lru_cache(64)
def _model(key: bytes) -> bytes:
    return blake2b(digest_size=_MODEL_BYTES, key=key, person=b"cursor model").digest()


def _seal(key: bytes, content: bytes) -> bytes:
    return blake2b(content, digest_size=_SEAL_BYTES, key=key, person=b"cursor seal").digest()


def _written(bookmark: Bookmark) -> bytes:
    members = _KINDS.index(bookmark.kind)
    numbers = [bookmark.n_given, len(bookmark.code)]
    if bookmark.head is not None:
        members |= _HEAD
        numbers += bookmark.head
    if bookmark.place is not None:
        members |= _PLACE
        numbers += _place_numbers(bookmark.place)
    if (block := bookmark.block) is not None:
        members |= _BLOCK
        numbers += [block.setting, *_place_numbers(block.until), len(block.shown)]
        numbers += [
            row - before for before, row in zip((0, *block.shown), block.shown, strict=False)
        ]
    written = bytearray((members,))
    for number in numbers:
        rest = number
        while rest > 127:
            written.append(rest & 127 | 128)
            rest >>= 7
        written.append(rest)
    return bytes(written + bookmark.code)


def _read(content: bytes) -> Bookmark:
    """Read what `_written` wrote: the seal says that it did."""
    members, content_bytes = content[0], iter(content[1:])

    def number() -> int:
        value = shift = 0
        for byte in content_bytes:
            value |= (byte & 127) << shift
            if byte < 128:
                break
            shift += 7
        return value

    def place() -> Place:
        stage, score, hamming, row = number(), number(), number(), number()
        return Place(stage, score >> 1 if not score & 1 else -(score >> 1) - 1, hamming, row)

    n_given, code_bytes = number(), number()
    head = Head(number(), number()) if members & _HEAD else None
    at = place() if members & _PLACE else None
    block = None
    if members & _BLOCK:
        setting, until, n_shown = number(), place(), number()
        shown: list[int] = []
        for _ in range(n_shown):
            shown.append(number() + (shown[-1] if shown else 0))
        block = Block(setting, until, tuple(shown))
    code = bytes(content_bytes)
    assert len(code) == code_bytes
    return Bookmark(_KINDS[members & 3], n_given, code, head, at, block)


def _place_numbers(place: Place) -> Iterable[int]:
    score = 2 * place.score if place.score >= 0 else -2 * place.score - 1
    return place.stage, score, place.hamming, place.row
