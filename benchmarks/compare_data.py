"""Small files to learn from and to import, the same in every run, with ids that need care.

The folder holds `interactions.csv`, `test.csv`, `items.jsonl`, `users.txt`, and to be imported
`more-events.jsonl` and `more-items.csv`.
"""

from __future__ import annotations

import csv
import json
import random
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

N_USERS, N_ITEMS = 220, 240
GENRES = ("Comedy", "Drama", "Séance", "War & Peace", "Sci-Fi", "Noir", "Kids", "Western", "Sport")
ODD_USERS = ("a user/with a slash", "Zoë", "50%", "#1 & only?", "類")
ODD_ITEMS = ("an item/with a slash", "Amélie (2001)", "100%", "x?y=z#w", "+")
USERS = (*(f"u{row}" for row in range(N_USERS - len(ODD_USERS))), *ODD_USERS)
ITEMS = (*(f"i{row}" for row in range(N_ITEMS - len(ODD_ITEMS))), *ODD_ITEMS)
HIDDEN_ITEM = ITEMS[7]
UNTAKEN_ITEM = "nobody took it"  # described, and in no interaction
FIRST_SECOND = 1_700_000_000
DAY = 86_400

Row = tuple[str, str, int, str]  # user id, item id, seconds since 1970, type


def write_data(folder: Path) -> None:
    """Write every file."""
    folder.mkdir(parents=True)
    rng = random.Random(20261128)
    genres = [rng.sample(range(len(GENRES)), rng.choice((1, 1, 2))) for _ in ITEMS]
    rows = _interactions(rng, genres)
    in_test = {place for place in range(len(rows)) if rng.random() < 0.2}
    _write_rows(folder / "interactions.csv", rows)
    _write_rows(folder / "given.csv", [r for place, r in enumerate(rows) if place not in in_test])
    _write_rows(folder / "test.csv", [rows[place] for place in sorted(in_test)])
    _write_lines(folder / "items.jsonl", _items(rng, genres))
    asked = [*USERS[:5], *ODD_USERS, "nobody"]
    (folder / "users.txt").write_text("".join(f"{user}\n" for user in asked))
    _write_lines(folder / "more-events.jsonl", _events())
    (folder / "more-items.csv").write_text(
        "item_id,title,categories,timestamp,year\n"
        "i3,A new title,Drama|Noir,1720000000,1999\n"
        "imported,Imported,Comedy,1730000000,2024\n"
    )


def _interactions(rng: random.Random, genres: Sequence[Sequence[int]]) -> list[Row]:
    """Let each user take items, those of two favourite genres and popular ones more often."""
    rows: list[Row] = []
    for user in USERS:
        favourites = rng.sample(range(len(GENRES)), 2)
        keys = {
            place: rng.random() ** (1 / _weight(place, genres[place], favourites))
            for place in range(len(ITEMS))
        }
        taken = sorted(keys, key=lambda place: -keys[place])[: rng.randint(8, 36)]
        rows += [(user, ITEMS[place], _second(rng), "view") for place in taken]
    # What takes earlier rows back, and what comes twice.
    rows += [(user, item, second + DAY, "dislike") for user, item, second, _ in rows[5::97]]
    rows += [(user, item, second + 60, "view") for user, item, second, _ in rows[11:-40:101]]
    return rows


def _weight(place: int, genres: Sequence[int], favourites: Sequence[int]) -> float:
    return (place + 3) ** -0.6 * (40 if set(genres) & set(favourites) else 1)


def _second(rng: random.Random) -> int:
    return FIRST_SECOND + rng.randrange(300 * DAY)


def _items(rng: random.Random, genres: Sequence[Sequence[int]]) -> Iterable[dict[str, Any]]:
    for row, item in enumerate(ITEMS):
        described: dict[str, Any] = {
            "item_id": item,
            "title": f"Title of {item}",
            "categories": [GENRES[genre] for genre in genres[row]],
            "timestamp": _second(rng),
            "year": rng.randint(1950, 2026),
        }
        if row % 9 == 4:
            del described["title"], described["timestamp"]
        if row % 11 == 3:
            described["nested"] = {"words": ["ünï", None, 1.5], "large": 2**53}
        if item == HIDDEN_ITEM:
            described["hidden"] = True
        yield described
    yield {"item_id": UNTAKEN_ITEM, "title": "Unwanted", "categories": ["Drama"]}


def _events() -> Iterable[dict[str, Any]]:
    for number in range(40):
        yield {
            "user_id": USERS[number * 7 % len(USERS)] if number % 4 else f"imported{number % 3}",
            "item_id": ITEMS[number * 11 % len(ITEMS)],
            "type": ("click", "like", "dislike")[number % 3],
            "timestamp": FIRST_SECOND + 400 * DAY + number,
            "event_id": f"imported-{number}",
        }


def _write_rows(path: Path, rows: Iterable[Row]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("user_id", "item_id", "timestamp", "type"))
        writer.writerows(rows)


def _write_lines(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
