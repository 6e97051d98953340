"""What it takes to code and to rank for users that a model does not know, as the service does it.

    python -m benchmarks.fold_in_cost ARTIFACT HISTORIES.npz [--rounds 5]

Prints JSON: microseconds of CPU a user, and which of the training libraries were imported, which
must be none. HISTORIES.npz holds `indptr` and `items` of lists of item rows.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import process_time

import faiss
import numpy as np

from hashrec.index.arrays.seen import RowLists
from hashrec.index.artifacts.artifact import Artifact
from hashrec.index.ranking.bulk import rank_histories
from hashrec.index.ranking.recommender import Recommender

TRAINING_LIBRARIES = {"torch", "scipy", "polars", "training"}


def cost(artifact: Path, histories: RowLists, rounds: int) -> dict[str, float]:
    """Measure, and return microseconds of CPU a user, the median of several rounds."""
    faiss.omp_set_num_threads(1)
    opened = Artifact.open(artifact)
    recommender, encoder = Recommender(opened), opened.model.encoder
    if encoder is None:
        raise SystemExit("the artifact has no encoder")
    alone = [
        RowLists(np.array([0, len(items)]), items)
        for items in (histories[user] for user in range(len(histories)))
    ]
    ids = [opened.model.items.ids(one.items) for one in alone]
    work: dict[str, Callable[[], object]] = {
        "code, one at a time": lambda: [encoder.users.encode(one) for one in alone],
        "code, all at once": lambda: encoder.users.encode(histories),
        "recommend 10, one at a time": lambda: [
            recommender.recommend_history(one, k=10) for one in ids
        ],
        "rank 10, all at once": lambda: list(
            rank_histories(recommender.artifact, histories, None, 10)
        ),
    }
    return {
        name: median(_seconds(call) for _ in range(rounds)) / len(histories) * 1e6
        for name, call in work.items()
    }


def _seconds(call: Callable[[], object]) -> float:
    started = process_time()
    call()
    return process_time() - started


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("artifact", type=Path)
    parser.add_argument("histories", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with np.load(options.histories) as stored:
        histories = RowLists(stored["indptr"], stored["items"])
    microseconds = cost(options.artifact, histories, options.rounds)
    imported = sorted(TRAINING_LIBRARIES & sys.modules.keys())
    print(json.dumps({"microseconds": microseconds, "imported": imported}))


if __name__ == "__main__":
    main()
