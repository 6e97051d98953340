"""Random models of a given size, and artifacts of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from hashrec.index.arrays.codes import BinaryCodes
from hashrec.index.arrays.ids import IdMap
from hashrec.index.arrays.seen import RowLists, SeenItems
from hashrec.index.artifacts.artifact import Artifact, write_artifact
from hashrec.index.artifacts.manifest import DataInfo, Manifest, ModelInfo
from hashrec.index.backends import INDEX_TYPES
from hashrec.index.model.encoder import Encoder, ItemEncoder, UserEncoder
from hashrec.index.model.items import ItemTable
from hashrec.index.model.model import Model
from hashrec.index.model.refiner import UserRefiner

CATEGORIES = ("Comedy", "Drama", "Séance")
MORNING = datetime(2026, 11, 23, 6, 0, 0, tzinfo=UTC)


def model_of(n_users: int, n_items: int, n_bits: int, seed: int, seen_share: float = 0.2) -> Model:
    """Draw a model: user ids `u0, u1, ...`, item ids `i0, i1, ...`, up to 3 categories an item."""
    rng = np.random.default_rng(seed)
    users, items = np.nonzero(rng.random((n_users, n_items)) < seen_share)
    member = rng.random((n_items, len(CATEGORIES))) < 0.4
    return Model(
        user_codes=BinaryCodes(rng.integers(0, 256, (n_users, n_bits // 8), dtype=np.uint8)),
        item_codes=BinaryCodes(rng.integers(0, 256, (n_items, n_bits // 8), dtype=np.uint8)),
        users=IdMap.build(f"u{row}" for row in range(n_users)),
        items=IdMap.build(f"i{row}" for row in range(n_items)),
        seen=SeenItems.build(users, items, n_users),
        popularity=np.sort(rng.integers(0, 5, n_items))[::-1].astype(np.int64),
        item_table=ItemTable.build(
            [
                {
                    "title": f"Item {row}",
                    "categories": [CATEGORIES[c] for c in np.flatnonzero(member[row])],
                }
                for row in range(n_items)
            ]
        ),
        encoder=encoder_of(n_items, n_bits, seed),
    )


def lists_of(lists: list[list[int]]) -> RowLists:
    """Put lists of item rows together."""
    owners = [owner for owner, items in enumerate(lists) for _ in items]
    items = [item for items in lists for item in items]
    return RowLists.build(np.array(owners, np.int64), np.array(items, np.int64), len(lists))


def encoder_of(n_items: int, n_bits: int, seed: int) -> Encoder:
    """Draw an encoder."""
    rng = np.random.default_rng([seed, 1])
    return Encoder(
        UserEncoder.quantised(rng.normal(size=(n_items, n_bits)), rng.normal(size=n_bits)),
        ItemEncoder.quantised(rng.normal(size=(n_bits, n_bits)), rng.normal(size=n_bits)),
    )


def refiner_of(n_items: int, n_entries: int, n_places: int, seed: int) -> UserRefiner:
    """Draw a refiner with some weights for each item, one in four of them negative."""
    rng = np.random.default_rng([seed, 2])
    items = np.stack([np.sort(rng.choice(n_items, n_entries, False)) for _ in range(n_items)])
    weights = rng.gamma(1.0, size=items.size) * rng.choice([1, 1, 1, -1], items.size)
    return UserRefiner(
        indptr=np.arange(n_items + 1, dtype=np.int64) * n_entries,
        items=items.ravel().astype(np.int32),
        weights=weights.astype(np.float16),
        places=np.sort(rng.integers(1, 1000, n_places))[::-1].astype(np.int32),
        scale=0.15,
    )


def write(
    folder: Path, model: Model, *, index_type: str = "flat", day: int = 0, score: float = 0.25
) -> Manifest:
    """Write an artifact made on a given day of November 2026."""
    return write_artifact(
        folder,
        model,
        model_info=ModelInfo(name="random", seed=0, config={}),
        data_info=DataInfo(source="none", sha256="0" * 64, n_interactions=len(model.seen.items)),
        metrics={"test/ndcg@100": score},
        index_type=index_type,
        created_at=MORNING + timedelta(days=day),
    )


def in_memory(model: Model, *, index_type: str = "flat") -> Artifact:
    """Put an artifact together without writing it."""
    manifest = Manifest(
        schema_version=1,
        version="20261123T060000Z-000000",
        created_at=MORNING,
        n_users=len(model.users),
        n_items=len(model.items),
        n_bits=model.item_codes.n_bits,
        index_type=index_type,
        model=ModelInfo(name="random", seed=0, config={}),
        data=DataInfo(source="none", sha256="0" * 64, n_interactions=0),
        metrics={},
        files={},
    )
    return Artifact(Path(), manifest, model, INDEX_TYPES[index_type].build(model.item_codes))
