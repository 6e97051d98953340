"""Assign the columns of a file to roles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from hashrec.index.errors import DataError, UnknownFormatError, shorten
from hashrec.training.data.readers.reader import ROLES

# Usual names, compared without case, blanks, "_" and "-"; the first match wins.
USUAL_NAMES = {
    "user": ("userid", "user", "uid", "customerid", "reviewerid", "visitorid", "sessionid"),
    "item": (
        "itemid", "item", "iid", "movieid", "movie", "productid", "product", "sku", "parentasin",
        "asin", "bookid", "trackid", "artistid", "songid", "businessid", "articleid", "venueid",
    ),
    "value": ("value", "rating", "overall", "score", "stars", "weight"),
    "timestamp": ("timestamp", "time", "ts", "datetime", "date", "createdat", "unixreviewtime"),
    "event_id": ("eventid",),
    "type": ("type", "feedbacktype", "eventtype", "event", "action"),
}  # fmt: skip


def choose_columns(path: Path, names: Sequence[str], chosen: Mapping[str, str]) -> dict[str, str]:
    """Find the columns of the roles: the user's choice, and usual names for the other roles.

    Raises:
        DataError: a chosen column is not in the file.
        UnknownFormatError: there is no column of the users or of the items.
    """
    found = usual_columns(names) | dict(chosen)
    for role, name in chosen.items():
        if name not in names:
            raise DataError(f"{path}: no column {name!r} for {role}; it has {_listed(names)}")
    if "user" not in found or "item" not in found:
        missing = " and ".join(role for role in ("user", "item") if role not in found)
        raise UnknownFormatError(path, f"no {missing} column among {_listed(names)}")
    return {role: found[role] for role in ROLES if role in found}


def usual_columns(names: Sequence[str]) -> dict[str, str]:
    """Return role -> column for the columns with a usual name."""
    by_plain_name: dict[str, str] = {}
    for name in names:
        plain = name.lower().replace("_", "").replace("-", "").replace(" ", "")
        by_plain_name.setdefault(plain, name)
    found: dict[str, str] = {}
    for role, usual in USUAL_NAMES.items():
        match = next((by_plain_name[name] for name in usual if name in by_plain_name), None)
        if match is not None:
            found[role] = match
    return found


def describe(columns: Mapping[str, str]) -> str:
    """Write a choice of columns in the form of ``--map``."""
    return ",".join(f"{role}={name}" for role, name in columns.items())


def _listed(names: Sequence[str]) -> str:
    return shorten(", ".join(names), 200)
