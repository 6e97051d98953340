"""Assign the columns of a file to roles, and say why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from hashrec.index.errors import ConfigError, DataError, UnknownFormatError, shorten
from hashrec.index.reading.options import NO_COLUMN


@dataclass(frozen=True)
class Vocabulary:
    """The roles that columns can have, and the names by which they are recognised.

    Attributes:
        usual: role -> plain names (see `plain`), the likeliest first.
        required: roles without which a file cannot be used.
        by_suffix: role -> ends of plain names; the only column with such a name has the role. In
            the order in which they are looked for.
        option: of the command line, by which the user names the columns.
        preset_option: the one that names the format; empty if commands with such files have none.
    """

    usual: Mapping[str, tuple[str, ...]]
    required: tuple[str, ...]
    by_suffix: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    option: str = "--map"
    preset_option: str = "--preset"

    @property
    def roles(self) -> tuple[str, ...]:
        """All roles."""
        return tuple(self.usual)

    def recognises(self, names: Sequence[str]) -> bool:
        """Tell whether every required role has a column."""
        return find_columns(names, self).columns.keys() >= set(self.required)


INTERACTIONS = Vocabulary(
    usual={
        "user": (
            "userid", "user", "uid", "customerid", "customer", "reviewerid", "visitorid",
            "memberid", "accountid", "clientid", "buyerid", "viewerid", "personid", "playerid",
            "profileid", "username", "sessionid",
        ),
        "item": (
            "itemid", "item", "iid", "movieid", "movie", "productid", "product", "sku",
            "parentasin", "asin", "bookid", "isbn", "trackid", "artistid", "songid", "businessid",
            "articleid", "venueid", "newsid", "animeid", "gameid", "videoid", "contentid",
            "recipeid", "listingid", "offerid",
        ),
        "value": (
            "value", "rating", "overall", "score", "stars", "bookrating", "playcount", "plays",
            "nplays", "listencount", "listens", "count", "quantity", "weight",
        ),
        "timestamp": (
            "timestamp", "time", "ts", "datetime", "date", "createdat", "unixreviewtime",
            "eventtime", "eventtimestamp", "unixtime", "reviewtime", "reviewdate", "tdat",
            "ratedat", "orderdate", "purchasedate", "invoicedate",
        ),
        "event_id": ("eventid",),
        "type": ("type", "feedbacktype", "eventtype", "event", "action", "behaviortype"),
    },
    required=("user", "item"),
    by_suffix={"user": ("userid", "customerid"), "item": ("id", "isbn", "sku", "asin")},
)  # fmt: skip
# No item: ids of other things that interactions mention.
NO_ITEM = ("sessionid", "transactionid", "orderid", "categoryid", "invoiceid", "channelid",
           "eventid", "requestid", "deviceid", "storeid", "locationid", "reviewid", "cartid",
           "ratingid", "rowid", "genreid", "brandid", "saleschannelid")  # fmt: skip


ITEMS = Vocabulary(
    usual={
        "item": (*INTERACTIONS.usual["item"], "id"),
        "title": (
            "title", "name", "itemtitle", "itemname", "movietitle", "moviename", "booktitle",
            "bookname", "prodname", "productname", "producttitle", "animename", "animetitle",
            "gametitle", "gamename", "appname", "tracktitle", "trackname", "songtitle", "songname",
            "artistname", "articletitle", "newstitle", "videotitle", "recipename", "headline",
            "originaltitle",
            "comment",  # of Gorse
        ),
        "categories": (
            "categories", "category", "genres", "genre", "tags", "class", "classes", "topics",
            "categorycode", "categoryname", "itemcategory", "productcategory", "maincategory",
            "labels",
        ),
        "timestamp": (
            "timestamp", "time", "ts", "datetime", "date", "createdat", "publishedat", "addedat",
            "dateadded",
        ),
        "hidden": ("hidden", "ishidden"),
    },
    required=("item",),
    by_suffix={"item": INTERACTIONS.by_suffix["item"], "title": ("title",)},
    option="--map-items",
)  # fmt: skip
USERS = Vocabulary(
    usual={"user": INTERACTIONS.usual["user"]},
    required=("user",),
    by_suffix={"user": INTERACTIONS.by_suffix["user"]},
    preset_option="",
)
EVENTS = replace(
    INTERACTIONS, usual={**INTERACTIONS.usual, "recommendation_id": ("recommendationid",)}
)


@dataclass(frozen=True)
class Columns:
    """Which column has which role.

    Attributes:
        columns: role -> column.
        reasons: role -> why.
        ignored: columns without a role.
    """

    columns: Mapping[str, str]
    reasons: Mapping[str, str]
    ignored: tuple[str, ...] = ()

    def described(self) -> str:
        """Write the choice in the form of ``--map``."""
        return ",".join(f"{role}={name}" for role, name in self.columns.items())


def find_columns(names: Sequence[str], vocabulary: Vocabulary) -> Columns:
    """Find columns by their names: usual ones, then the only one with a usual end."""
    by_plain: dict[str, str] = {}
    for name in names:
        by_plain.setdefault(plain(name), name)
    columns: dict[str, str] = {}
    reasons: dict[str, str] = {}
    for role, usual in vocabulary.usual.items():
        match = next((by_plain[name] for name in usual if name in by_plain), None)
        if match is not None:
            columns[role], reasons[role] = match, "a usual name"
    for role, ends in vocabulary.by_suffix.items():
        if role in columns:
            continue
        taken = set(columns.values())
        like = [
            name
            for plain_name, name in by_plain.items()
            if plain_name.endswith(ends) and name not in taken and plain_name not in NO_ITEM
        ]
        if len(like) == 1:
            columns[role] = like[0]
            reasons[role] = f"the only other name that ends in {' or '.join(ends)}"
    return Columns(columns, reasons)


def choose_columns(
    path: Path,
    names: Sequence[str],
    vocabulary: Vocabulary,
    chosen: Mapping[str, str],
    known: Mapping[str, str] | None = None,
) -> Columns:
    """Find the columns of the roles: the user's choice, then the format's, then by their names.

    Args:
        path: of the file, for messages.
        names: of its columns.
        vocabulary: the roles.
        chosen: role -> column, or `-` for none.
        known: role -> column where the format says it; None where it does not.

    Raises:
        ConfigError: a role does not exist.
        DataError: a chosen column is not in the file.
        UnknownFormatError: a required role has no column.
    """
    if unknown := sorted(set(chosen) - set(vocabulary.roles)):
        raise ConfigError(
            f"{vocabulary.option}: no role {unknown[0]!r} for a column; the roles are "
            f"{', '.join(vocabulary.roles)}"
        )
    for role, name in chosen.items():
        if name not in names and name != NO_COLUMN:
            raise DataError(f"{path}: no column {name!r} for {role}; it has {listed(names)}")
    if known is None:
        taken = set(chosen.values())
        found = find_columns([name for name in names if name not in taken], vocabulary)
        columns, reasons = dict(found.columns), dict(found.reasons)
    else:
        columns, reasons = dict(known), dict.fromkeys(known, "the order of the format")
    for role, name in chosen.items():
        columns[role], reasons[role] = name, f"named by {vocabulary.option}"
    columns = {
        role: columns[role]
        for role in vocabulary.roles
        if columns.get(role, NO_COLUMN) != NO_COLUMN
    }
    if missing := [role for role in vocabulary.required if role not in columns]:
        raise UnknownFormatError(
            path,
            f"no {' and '.join(missing)} column among {listed(names)}",
            f"{vocabulary.option} {','.join(f'{role}=COLUMN' for role in missing)}",
        )
    used = set(columns.values())
    ignored = tuple(name for name in names if name not in used)
    return Columns(columns, {role: reasons[role] for role in columns}, ignored)


def plain(name: str) -> str:
    """Return a name without case, blanks and marks between its words."""
    return "".join(letter for letter in name.lower() if letter not in " _-.\ufeff")


def listed(names: Sequence[str]) -> str:
    """Write names for a message."""
    return shorten(", ".join(names), 200)
