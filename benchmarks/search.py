"""Search: CPU time of one query and bytes of one item, beside FAISS over the float vectors.

    python -m benchmarks.search [--sizes 100000 1000000] [--queries 200] [--spread 0.8]

The items are 64-d unit vectors in two levels of clusters; their codes are the signs of 192 random
projections, so both sides search the same structure. One thread asks the indexes in turn, and the
figure is the median of its CPU time a query: what else the machine does hardly enters it. Recall is
the share of the 100 nearest, by its own distance, that an approximate index finds. The float IVF
index searches as few lists as reach the recall of ours.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import faiss
import numpy as np
from numpy.typing import NDArray

from hashrec.index.arrays.codes import BinaryCodes
from hashrec.index.backends.faiss_flat import FaissFlat
from hashrec.index.backends.faiss_ivf import TRAINING_CODES_PER_LIST, FaissIvf

N_BITS, DIMENSIONS, K = 192, 64, 100
ITEMS_PER_CLUSTER, CLUSTERS_PER_GROUP = 200, 50
CLUSTER_SPREAD = 0.8  # standard deviation around the group's centre; the groups' own is 1
PIECE = 100_000  # vectors projected at once
BLOCK = 20  # queries an index answers before it is the next one's turn

Floats = NDArray[np.float32]
Search = Callable[[int], tuple[NDArray[np.integer], NDArray[np.number]]]


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    items: int
    index: str
    cpu_us: float
    times_faster_than_float: float
    bytes_per_item: float
    recall: float


def draw_vectors(
    n: int, n_queries: int, spread: float, random: np.random.Generator
) -> tuple[Floats, Floats]:
    """Draw unit vectors around cluster centres, which lie around group centres.

    Args:
        n: number of items.
        n_queries: number of queries.
        spread: standard deviation of a vector around its cluster's centre; the larger, the more of
            a query's neighbours lie in other clusters.
        random: source of randomness.

    Returns:
        float32 items, shape (n, 64), and queries from the same clusters, shape (n_queries, 64).
    """
    n_clusters = max(1, n // ITEMS_PER_CLUSTER)
    normal = random.standard_normal
    groups = normal((n_clusters // CLUSTERS_PER_GROUP + 1, DIMENSIONS), dtype=np.float32)
    centres = groups[random.integers(0, len(groups), n_clusters)]
    centres += CLUSTER_SPREAD * normal(centres.shape, dtype=np.float32)

    def near_centres(count: int) -> Floats:
        vectors = spread * normal((count, DIMENSIONS), dtype=np.float32)
        vectors += centres[random.integers(0, n_clusters, count)]
        faiss.normalize_L2(vectors)
        return vectors

    return near_centres(n), near_centres(n_queries)


def hashed(vectors: Floats, projections: Floats) -> BinaryCodes:
    """Return the signs of random projections."""
    pieces = [
        BinaryCodes.from_signs(vectors[start : start + PIECE] @ projections).packed
        for start in range(0, len(vectors), PIECE)
    ]
    return BinaryCodes(np.concatenate(pieces))


def build_float_ivf(items: Floats, random: np.random.Generator) -> faiss.IndexIVFFlat:
    """Build FAISS's IVF index over floats, with as many lists and training vectors as ours."""
    n_lists = round(len(items) ** 0.5)
    index = faiss.IndexIVFFlat(
        faiss.IndexFlatIP(DIMENSIONS), DIMENSIONS, n_lists, faiss.METRIC_INNER_PRODUCT
    )
    n_training = min(len(items), TRAINING_CODES_PER_LIST * n_lists)
    index.train(items[random.choice(len(items), n_training, replace=False)])
    index.add(items)
    return index


def interleaved(searches: dict[str, Search], n_queries: int) -> dict[str, float]:
    """Return the median CPU microseconds of each; they take turns, a block of queries at a time.

    Taking turns at every query would charge each search for the caches that the one before emptied.
    """
    times: dict[str, list[int]] = {name: [] for name in searches}
    for first in range(0, n_queries, BLOCK):
        for name, search in searches.items():
            search(first)
            for position in range(first, min(first + BLOCK, n_queries)):
                start = time.thread_time_ns()
                search(position)
                times[name].append(time.thread_time_ns() - start)
    return {name: statistics.median(measured) / 1000 for name, measured in times.items()}


def recall(found: Search, exact: Search, n_queries: int, *, larger_is_nearer: bool) -> float:
    """Return the share of found items at most as far as the true K-th; ties at it are all right."""
    sign = -1 if larger_is_nearer else 1
    shares = [
        np.mean(sign * found(position)[0] <= sign * exact(position)[0][-1])
        for position in range(n_queries)
    ]
    return float(np.mean(shares))


def measure(n_items: int, n_queries: int, spread: float) -> list[Row]:
    """Build the indexes over one catalogue and measure them."""
    random = np.random.default_rng(0)
    items, queries = draw_vectors(n_items, n_queries, spread, random)
    projections = random.standard_normal((DIMENSIONS, N_BITS), dtype=np.float32)
    codes, query_codes = hashed(items, projections), hashed(queries, projections)
    faiss.omp_set_num_threads(os.cpu_count() or 1)
    flat, ivf = FaissFlat.build(codes), FaissIvf.build(codes)
    float_ivf = build_float_ivf(items, random)
    float_flat = faiss.IndexFlatIP(DIMENSIONS)
    float_flat.add(items)
    faiss.omp_set_num_threads(1)
    words = codes.packed.view(np.uint64).ravel()

    def ours(index: FaissFlat | FaissIvf) -> Search:
        def search(position: int) -> tuple[NDArray[np.integer], NDArray[np.number]]:
            found = index.search(query_codes[position], K)
            return found.distances[0], found.rows[0]

        return search

    def theirs(index: faiss.Index) -> Search:
        def search(position: int) -> tuple[NDArray[np.integer], NDArray[np.number]]:
            similarities, rows = index.search(queries[position : position + 1], K)
            return similarities[0], rows[0]

        return search

    our_recall = recall(ours(ivf), ours(flat), n_queries, larger_is_nearer=False)
    for n_probes in (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64):
        float_ivf.nprobe = n_probes
        float_recall = recall(
            theirs(float_ivf), theirs(float_flat), n_queries, larger_is_nearer=True
        )
        if float_recall >= our_recall:
            break
    probed = f"float IVFFlat, {float_ivf.nprobe} lists"
    cpu_us = interleaved(
        {
            "read the codes once": lambda _: (words.max(keepdims=True), words),
            "float flat": theirs(float_flat),
            "hashrec flat": ours(flat),
            probed: theirs(float_ivf),
            "hashrec ivf": ours(ivf),
        },
        n_queries,
    )
    peers = {"hashrec flat": "float flat", "hashrec ivf": probed}
    float_bytes = items.itemsize * DIMENSIONS
    n_bytes = {
        "read the codes once": N_BITS // 8,
        "float flat": float_bytes,
        "hashrec flat": flat.n_bytes / n_items,
        probed: float_bytes + 8,
        "hashrec ivf": ivf.n_bytes / n_items,
    }
    recalls = {probed: float_recall, "hashrec ivf": our_recall}
    return [
        Row(
            n_items,
            name,
            us,
            cpu_us[peers.get(name, name)] / us,
            n_bytes[name],
            recalls.get(name, 1.0),
        )
        for name, us in cpu_us.items()
    ]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--spread", type=float, default=0.8, help="of the items in a cluster")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    print(f"one query, {K} nearest, one thread; {N_BITS}-bit codes, {DIMENSIONS}-d float32 vectors")
    print(
        f"{'items':>9}  {'index':28} {'CPU us':>9} {'x float':>8} {'bytes/item':>11} {'recall':>7}"
    )
    rows: list[Row] = []
    for n_items in options.sizes:
        for row in measure(n_items, options.queries, options.spread):
            rows.append(row)
            print(
                f"{row.items:9,}  {row.index:28} {row.cpu_us:9.1f} "
                f"{row.times_faster_than_float:8.2f} {row.bytes_per_item:11.1f} {row.recall:7.3f}",
                flush=True,
            )
    if options.json is not None:
        options.json.write_text(json.dumps([asdict(row) for row in rows], indent=2) + "\n")


if __name__ == "__main__":
    main()
