"""Compare the ids of items that two sources have: nothing else shows that they differ."""

from __future__ import annotations

import re
from collections.abc import Collection

# Of the items of the smaller side, the share below which a warning is due.
LEAST_DESCRIBED = 0.5
LEAST_KNOWN = 0.1  # of an import, which may bring new items


def overlap_warning(
    described: Collection[str], known: Collection[str], file: str, others: str, least: float
) -> str:
    """Return a warning that shows an id of each side; empty if enough ids are on both sides.

    Args:
        described: ids of a file of items.
        known: ids of the interactions or of the catalogue.
        file: name of the file.
        others: what has the known ids, such as "the interactions".
        least: share of the smaller side that has to be on both sides.
    """
    known = set(known)
    smaller = min(len(described), len(known))
    common = sum(item_id in known for item_id in described)
    if not smaller or common >= least * smaller:
        return ""
    here, there = _samples(described, known)
    return (
        f"warning: {file} and {others} have {common:,} items in common, of {len(described):,} and "
        f"{len(known):,}; for example {here!r} in {file} and {there!r} in {others}. "
        "Ids have to be written alike; --map-items item=COLUMN names another column of ids"
    )


def _samples(described: Collection[str], known: Collection[str]) -> tuple[str, str]:
    """Return an id of each side: two that mean the same if there are such, else the first ones."""
    others = sorted(set(known).difference(described))
    alike = {_bare(item_id): item_id for item_id in reversed(others)}
    for item_id in described:
        if item_id not in known and (other := alike.get(_bare(item_id))) is not None:
            return item_id, other
    return next(item_id for item_id in described if item_id not in known), others[0]


def _bare(item_id: str) -> str:
    """Return an id without what programs add or drop: case, blanks, zeros, a decimal point."""
    text = re.sub(r"\.0+$", "", item_id.strip().lower())
    return text.lstrip("0") or "0"
