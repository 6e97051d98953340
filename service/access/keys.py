"""API keys and their scopes. The service stores only hashes of the keys.

A key is 32 random bytes, so a plain SHA-256 protects it: a list of likely passwords does not help,
and 2^256 values cannot be tried. A slow hash would add nothing but its time to every request.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self, get_args

from hashrec.index.errors import ConfigError, shorten
from hashrec.service.settings import KeySettings

Scope = Literal["read", "admin"]  # admin includes read
SCOPES: tuple[Scope, ...] = get_args(Scope)
PREFIX = "hashrec_"  # so that secret scanners find a key in source code
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
SHA256 = re.compile(r"[0-9a-f]{64}")
MAX_KEYS = 1000  # each costs every request about 0.1 us


@dataclass(frozen=True, slots=True)
class ApiKey:
    """An API key as the service stores it.

    Attributes:
        name: name of its owner; not secret, appears in logs.
        digest: SHA-256 of the key, 32 bytes.
    """

    name: str
    scope: Scope
    digest: bytes

    @classmethod
    def parse(cls, entry: str) -> Self:
        """Read an entry, `name:scope:sha256`.

        Raises:
            ValueError: it is not an entry; the message does not repeat it.
        """
        parts = entry.split(":")
        if len(parts) != 3:
            raise ValueError("is not name:scope:sha256")
        name, scope, digest = parts
        if not NAME.fullmatch(name):
            raise ValueError("has a name that is not 1 to 64 letters, digits, or any of . _ -")
        if scope not in SCOPES:
            raise ValueError(f"has a scope that is not {' or '.join(SCOPES)}")
        if not SHA256.fullmatch(digest):
            raise ValueError(
                "has a hash that is not 64 hexadecimal digits; give the SHA-256 of the key"
            )
        return cls(name, scope, bytes.fromhex(digest))

    def entry(self) -> str:
        """Return the line of the key in a file of keys."""
        return f"{self.name}:{self.scope}:{self.digest.hex()}"


def new_key(name: str, scope: Scope) -> tuple[str, ApiKey]:
    """Draw a random key, and return it with the entry to store.

    Raises:
        ConfigError: the name is not allowed in an entry.
    """
    if not NAME.fullmatch(name):
        raise ConfigError(f"{shorten(name)!r}: a name is 1 to 64 letters, digits, or any of . _ -")
    key = PREFIX + secrets.token_urlsafe(32)
    return key, ApiKey(name, scope, hashlib.sha256(key.encode()).digest())


class Keyring:
    """The keys in force."""

    def __init__(self, keys: Iterable[ApiKey] = ()) -> None:
        self._keys = tuple(keys)

    def __len__(self) -> int:
        return len(self._keys)

    @classmethod
    def load(cls, settings: KeySettings) -> Self:
        """Read the keys from the file and the entries of the settings.

        Raises:
            ConfigError: the file is unreadable, an entry is malformed, or a name or key repeats.
        """
        entries: list[tuple[str, str]] = []
        if settings.file is not None:
            entries += _entries_of(settings.file)
        if settings.entries is not None:
            entries += [
                (f"HASHREC_KEYS__ENTRIES, entry {number}", entry)
                for number, entry in enumerate(settings.entries.split(), 1)
            ]
        if len(entries) > MAX_KEYS:
            raise ConfigError(f"{len(entries)} keys are configured; at most {MAX_KEYS} are allowed")
        if not entries and settings.are_given:  # else the service would be open to all
            raise ConfigError(
                "keys are configured, but there is no entry; make one with `hashrec keys new`"
            )
        keys: list[ApiKey] = []
        taken: set[str | bytes] = set()
        for place, entry in entries:
            try:
                key = ApiKey.parse(entry)
            except ValueError as error:
                raise ConfigError(f"{place} {error}") from None
            if taken & {key.name, key.digest}:
                raise ConfigError(f"{place} repeats the name or the key of another entry")
            taken |= {key.name, key.digest}
            keys.append(key)
        return cls(keys)

    def find(self, presented: bytes) -> ApiKey | None:
        """Return the entry of a key, in a time that does not depend on which entry it is."""
        digest = hashlib.sha256(presented).digest()
        found = None
        for key in self._keys:
            if hmac.compare_digest(key.digest, digest):
                found = key
        return found


def presented_key(headers: Iterable[tuple[bytes, bytes]]) -> bytes | None:
    """Return the key in a request's headers: `X-API-Key`, or else a bearer token."""
    bearer = None
    for name, value in headers:
        if name == b"x-api-key":
            return value
        if name == b"authorization" and value[:7].lower() == b"bearer ":
            bearer = value[7:].strip()
    return bearer


def _entries_of(file: Path) -> list[tuple[str, str]]:
    try:
        lines = file.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise ConfigError(f"HASHREC_KEYS__FILE: {file} cannot be read: {reason}") from None
    return [
        (f"{file}:{number}", line.strip())
        for number, line in enumerate(lines, 1)
        if line.strip() and not line.lstrip().startswith("#")
    ]
