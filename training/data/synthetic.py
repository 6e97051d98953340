"""An invented catalogue with planted tastes that a model can find."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hashrec.index.arrays.ids import IdMap
from hashrec.index.errors import ConfigError
from hashrec.training.data.interactions import Interactions
from hashrec.training.data.items import ItemAttributes

# Genre -> nouns that its titles end with.
GENRES = {
    "Mystery": ("Alibi", "Cipher", "Witness", "Locked Room", "Confession", "Vanishing", "Ledger"),
    "Space Opera": ("Nebula", "Armada", "Orbit", "Starship", "Colony", "Event Horizon", "Beacon"),
    "Romance": ("Letter", "Promise", "Waltz", "Summer", "Proposal", "Farewell", "Wedding"),
    "Documentary": ("Glacier", "Migration", "Archive", "Harvest", "Expedition", "Reef", "Aurora"),
    "Comedy": ("Landlord", "Detour", "Roommate", "Mix-Up", "Reunion", "Understudy", "Picnic"),
    "Horror": ("Cellar", "Whisper", "Lantern", "Hollow", "Séance", "Attic", "Revenant"),
    "Western": ("Outlaw", "Canyon", "Stagecoach", "Marshal", "Railroad", "Homestead", "Mustang"),
    "Fantasy": ("Dragon", "Sceptre", "Enchanter", "Oath", "Labyrinth", "Griffin", "Spellbook"),
    "Thriller": ("Courier", "Deadline", "Double Agent", "Blackout", "Ransom", "Checkpoint", "Mole"),
    "Animation": ("Fox", "Toymaker", "Kite", "Robot", "Puddle", "Lighthouse Cat", "Snowman"),
    "Musical": ("Chorus", "Nightingale", "Encore", "Jukebox", "Overture", "Piano", "Cabaret"),
    "War": ("Trench", "Regiment", "Armistice", "Convoy", "Bridge", "Siege", "Telegram"),
    "Sport": ("Underdog", "Relay", "Final Whistle", "Marathon", "Ring", "Comeback", "Regatta"),
    "History": ("Emperor", "Cathedral", "Treaty", "Merchant", "Dynasty", "Mapmaker", "Rebellion"),
    "Cooking": ("Bakery", "Recipe", "Spice Road", "Banquet", "Market", "Vineyard", "Kitchen"),
    "Noir": ("Raincoat", "Alley", "Femme Fatale", "Cigarette", "Gumshoe", "Neon", "Double Cross"),
}  # fmt: skip
ADJECTIVES = (
    "Amber", "Silent", "Crooked", "Last", "Hidden", "Scarlet", "Borrowed", "Northern", "Paper",
    "Golden", "Broken", "Midnight", "Distant", "Hollow", "Velvet", "Restless", "Iron", "Forgotten",
    "Seventh", "Burning", "Winter", "Unlikely", "Sapphire", "Wandering", "Faithful", "Lost",
    "Electric", "Crimson", "Patient", "Second",
)  # fmt: skip
FIRST_EVENT = 1_672_531_200  # 2023-01-01
SECONDS_A_YEAR = 365 * 86_400
TASTE_STRENGTH = 4.5  # a favourite genre makes an item e^4.5 = 90 times as likely
POPULARITY_POWER = -0.7
LEAST_ITEMS_A_USER = 5


@dataclass(frozen=True, eq=False)
class SyntheticCatalogue:
    """Invented interactions, and the attributes of their items.

    Attributes:
        interactions: with timestamps, without values.
        attributes: a title and one to three genres of every item.
        user_tastes: float64, shape (n_users, n_groups), rows sum to 1; the planted tastes.
    """

    interactions: Interactions
    attributes: ItemAttributes
    user_tastes: NDArray[np.float64]


def synthetic_catalogue(
    n_users: int = 1_000,
    n_items: int = 600,
    n_interactions: int = 40_000,
    n_groups: int = 12,
    seed: int = 0,
) -> SyntheticCatalogue:
    """Invent a catalogue: each item has one to three genres, each user likes a few genres.

    A user draws items without replacement, in proportion to
    ``popularity * exp(TASTE_STRENGTH * taste match)``; popularity falls as a power of the rank:
    few items have many users. Only uniform draws are used, so that a seed gives the same data in
    every version of NumPy.

    Args:
        n_users: users, with ids "1", "2", ...
        n_items: items, with ids "1", "2", ... independent of their popularity.
        n_interactions: about how many interactions.
        n_groups: genres, at most 16.
        seed: of the generator.

    Raises:
        ConfigError: a size is out of range.
    """
    if not 1 <= n_groups <= len(GENRES):
        raise ConfigError(f"n_groups must lie between 1 and {len(GENRES)}, got {n_groups}")
    if n_users < 1 or n_items < LEAST_ITEMS_A_USER * 2:
        raise ConfigError(f"at least 1 user and {LEAST_ITEMS_A_USER * 2} items are needed")
    if not n_users * LEAST_ITEMS_A_USER <= n_interactions <= n_users * n_items // 2:
        raise ConfigError(
            f"n_interactions must lie between {LEAST_ITEMS_A_USER} a user and half of all pairs"
        )
    generator = np.random.Generator(np.random.PCG64(seed))
    item_groups = _item_groups(generator, n_items, n_groups)
    user_tastes = _user_tastes(generator, n_users, n_groups)
    rank = _permutation(generator, n_items)
    log_popularity = POPULARITY_POWER * np.log(rank + 1.0)
    lengths = _history_lengths(generator, n_users, n_items, n_interactions)
    user_rows = np.repeat(np.arange(n_users, dtype=np.int32), lengths)
    item_rows = np.concatenate(
        [
            _draw_items(
                generator, log_popularity + TASTE_STRENGTH * (item_groups @ taste), int(length)
            )
            for taste, length in zip(
                user_tastes / user_tastes.max(axis=1, keepdims=True), lengths, strict=True
            )
        ]
    )
    interactions = Interactions(
        user_rows=user_rows,
        item_rows=item_rows,
        users=IdMap.build(str(number + 1) for number in range(n_users)),
        items=IdMap.build(str(number + 1) for number in range(n_items)),
        timestamps=_timestamps(generator, lengths),
    )
    return SyntheticCatalogue(interactions, _attributes(generator, item_groups), user_tastes)


def _item_groups(
    generator: np.random.Generator, n_items: int, n_groups: int
) -> NDArray[np.float64]:
    """Give each item one full genre and up to two partial ones; float64, (n_items, n_groups)."""
    groups = np.zeros((n_items, n_groups))
    # A second genre for 4 items in 10, a third for 1 in 10; the same genre twice changes nothing.
    for weight, share in ((0.3, 0.1), (0.5, 0.4), (1.0, 1.0)):
        chosen = np.flatnonzero(generator.random(n_items) < share)
        groups[chosen, (generator.random(len(chosen)) * n_groups).astype(np.int64)] = weight
    return groups


def _user_tastes(
    generator: np.random.Generator, n_users: int, n_groups: int
) -> NDArray[np.float64]:
    """Give each user a favourite or two, float64, shape (n_users, n_groups), rows sum to 1."""
    # high powers of uniform draws leave few genres with much weight
    tastes = generator.random((n_users, n_groups)) ** 6 + 1e-3
    return tastes / tastes.sum(axis=1, keepdims=True)


def _history_lengths(
    generator: np.random.Generator, n_users: int, n_items: int, n_interactions: int
) -> NDArray[np.int64]:
    """Draw long-tailed list lengths, int64, shape (n_users,), from 5 to half of the items."""
    spread = (generator.random(n_users) + 0.05) ** -0.7 - 0.8
    extra = n_interactions - LEAST_ITEMS_A_USER * n_users
    lengths = LEAST_ITEMS_A_USER + np.round(spread / spread.sum() * extra).astype(np.int64)
    return np.minimum(lengths, n_items // 2)


def _draw_items(
    generator: np.random.Generator, log_weights: NDArray[np.float64], length: int
) -> NDArray[np.int32]:
    """Draw distinct items in proportion to their weights, by the Gumbel trick."""
    gumbel = -np.log(-np.log(generator.random(len(log_weights)) + 1e-300))
    return np.argsort(-(log_weights + gumbel), kind="stable")[:length].astype(np.int32)


def _timestamps(generator: np.random.Generator, lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """Spread each user's events at random over a year from a random start, int64 seconds."""
    start = FIRST_EVENT + np.repeat(generator.random(len(lengths)), lengths) * SECONDS_A_YEAR
    return (start + generator.random(int(lengths.sum())) * SECONDS_A_YEAR).astype(np.int64)


def _attributes(generator: np.random.Generator, item_groups: NDArray[np.float64]) -> ItemAttributes:
    """Name the items after their main genre; titles are unique."""
    genres = list(GENRES)
    items: dict[str, dict[str, Any]] = {}
    used: dict[str, int] = {}
    for row, weights in enumerate(item_groups):
        order = np.argsort(-weights, kind="stable")
        categories = [genres[group] for group in order if weights[group] > 0]
        adjective = ADJECTIVES[int(generator.random() * len(ADJECTIVES))]
        nouns = GENRES[categories[0]]
        title = f"The {adjective} {nouns[int(generator.random() * len(nouns))]}"
        used[title] = used.get(title, 0) + 1
        items[str(row + 1)] = {
            "title": title if used[title] == 1 else f"{title} {used[title]}",
            "categories": categories,
        }
    return ItemAttributes(items)


def _permutation(generator: np.random.Generator, n: int) -> NDArray[np.int64]:
    return np.argsort(generator.random(n), kind="stable")
