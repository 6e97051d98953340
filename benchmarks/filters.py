"""Filters: CPU time of a filtered answer beside the unfiltered one, and whether it is exact.

    python -m benchmarks.filters [--items 1000000] [--queries 100] [--checked 20]

A random model of 192 bits. A user asks for 10 items, from id to ids, on one thread: of everything;
of a category with one item in a hundred; without 500 items; without the 2,000 they have seen; with
all three; and of 500 items only. What is left out are the items nearest to the user, so that a
search has to go past all of them. The requests take turns, and the figure is the median of the CPU
time. Answers of the first users are held against all distances, sorted and filtered.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import statistics
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import faiss
import numpy as np
from numpy.typing import NDArray

from benchmarks.serving_scale import random_model
from hashrec.index.arrays.seen import SeenItems
from hashrec.index.artifacts.artifact import Artifact
from hashrec.index.artifacts.manifest import DataInfo, Manifest, ModelInfo
from hashrec.index.backends.faiss_flat import FaissFlat
from hashrec.index.backends.numpy_exact import NumpyExact
from hashrec.index.model.items import ItemTable
from hashrec.index.model.model import Model
from hashrec.index.ranking.recommendation import Options
from hashrec.index.ranking.recommender import Recommender

K, N_CATEGORIES, N_EXCLUDED, N_SEEN, N_INCLUDED = 10, 100, 500, 2000, 500
BLOCK = 10  # requests of one kind before it is the next one's turn

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    request: str
    cpu_us: float
    times_unfiltered: float
    exact: bool


@dataclass(frozen=True)
class Request:
    """One kind of request."""

    name: str
    category: bool = False
    excluded: bool = False
    seen: bool = False
    included: bool = False

    def options(self, nearest: Rows) -> Options:
        """Return the options for a user, of whom the nearest rows are known.

        The seen items are the nearest, those to exclude the next, those to include have both among
        them.
        """
        excluded = nearest[N_SEEN : N_SEEN + N_EXCLUDED]
        included = nearest[N_SEEN :: len(nearest) // N_INCLUDED]
        return Options(
            exclude_seen=self.seen,
            exclude=tuple(f"item-{row}" for row in excluded.tolist()) if self.excluded else (),
            categories=("c7",) if self.category else (),
            include=tuple(f"item-{row}" for row in included.tolist()) if self.included else (),
        )


REQUESTS = (
    Request("unfiltered"),
    Request("1 % category", category=True),
    Request("500 exclusions", excluded=True),
    Request("2,000 seen", seen=True),
    Request("all three", category=True, excluded=True, seen=True),
    Request("of 500 items only", included=True),
)


def model_of(n_users: int, n_items: int) -> tuple[Model, list[Rows], list[NDArray[np.int32]]]:
    """Draw a model whose users have seen their nearest items.

    Returns:
        The model; of each user all rows by (distance, row), and their distances.
    """
    model = random_model(n_users, n_items)
    reference = NumpyExact.build(model.item_codes)
    orders: list[Rows] = []
    distances: list[NDArray[np.int32]] = []
    for user in range(n_users):
        found = reference.search(model.user_codes[user], n_items)
        orders.append(found.rows[0].astype(np.int32))
        distances.append(found.distances[0].astype(np.int16))
    owners = np.repeat(np.arange(n_users), N_SEEN)
    seen = np.concatenate([order[:N_SEEN] for order in orders])
    table = ItemTable.build([{"categories": [f"c{row % N_CATEGORIES}"]} for row in range(n_items)])
    model = dataclasses.replace(
        model, seen=SeenItems.build(owners, seen, n_users), item_table=table
    )
    return model, orders, distances


def in_memory(model: Model) -> Artifact:
    """Put an artifact together without writing it."""
    manifest = Manifest(
        schema_version=1,
        version="20260101T000000Z-000000",
        created_at="2026-01-01T00:00:00Z",
        n_users=len(model.users),
        n_items=len(model.items),
        n_bits=model.item_codes.n_bits,
        index_type="flat",
        model=ModelInfo(name="random", seed=0, config={}),
        data=DataInfo(source="random", sha256="", n_interactions=0),
        metrics={},
        files={},
    )
    return Artifact(Path(), manifest, model, FaissFlat.build(model.item_codes))


def expected(order: Rows, distances: NDArray[np.int32], options: Options) -> list[tuple[str, int]]:
    """Filter a user's full ranking."""
    excluded, included = set(options.exclude), set(options.include)
    listed: list[tuple[str, int]] = []
    for place, (row, distance) in enumerate(zip(order.tolist(), distances.tolist(), strict=True)):
        item_id = f"item-{row}"
        if (
            (options.exclude_seen and place < N_SEEN)
            or item_id in excluded
            or (included and item_id not in included)
            or (options.categories and f"c{row % N_CATEGORIES}" not in options.categories)
        ):
            continue
        listed.append((item_id, distance))
        if len(listed) == K:
            break
    return listed


def measure(n_items: int, n_queries: int, n_checked: int) -> list[Row]:
    """Build a model, check its answers and time them."""
    faiss.omp_set_num_threads(1)
    model, orders, distances = model_of(n_checked, n_items)
    recommender = Recommender(in_memory(model))
    options = [{request.name: request.options(order) for request in REQUESTS} for order in orders]
    exact = dict.fromkeys((request.name for request in REQUESTS), True)
    for user, named in enumerate(options):
        for name, wanted in named.items():
            items = recommender.recommend(f"user-{user}", K, wanted).items
            found = [(item.item_id, item.hamming) for item in items]
            exact[name] &= found == expected(orders[user], distances[user], wanted)
    times: dict[str, list[int]] = {name: [] for name in exact}
    for first in range(0, n_queries, BLOCK):
        for name, measured in times.items():
            for number in range(first, min(first + BLOCK, n_queries)):
                user = number % n_checked
                start = time.thread_time_ns()
                recommender.recommend(f"user-{user}", K, options[user][name])
                measured.append(time.thread_time_ns() - start)
    cpu_us = {name: statistics.median(measured) / 1000 for name, measured in times.items()}
    plain = cpu_us[REQUESTS[0].name]
    return [Row(name, us, us / plain, exact[name]) for name, us in cpu_us.items()]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--queries", type=int, default=100)
    parser.add_argument("--checked", type=int, default=20, help="users whose answers are checked")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    print(f"{options.items:,} items, 192 bits, {K} of them asked for, one thread")
    print(f"{'request':20} {'CPU us':>9} {'x unfiltered':>13} {'exact':>6}")
    rows = measure(options.items, options.queries, options.checked)
    for row in rows:
        print(f"{row.request:20} {row.cpu_us:9.1f} {row.times_unfiltered:13.2f} {row.exact!s:>6}")
    if options.json is not None:
        options.json.write_text(json.dumps([asdict(row) for row in rows], indent=2) + "\n")
    if not all(row.exact for row in rows):
        raise SystemExit("an answer is not the filtered ranking")


if __name__ == "__main__":
    main()
