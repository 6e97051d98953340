"""Fold-in: how well users are served that no training saw, and what their codes cost.

    python -m benchmarks.fold_in [--config FILE.toml] [--data NAME|PATH] [--model NAME]
        [--teacher NAME] [--bits 192] [--users 0.17] [--k 100] [--seed 0] [--json FILE]

Holds a share of the users out entirely, trains on the others, codes each held-out user from a
random half of their items and judges the list by the other half: beside the float teacher that the
codes were learned from, which folds the same histories in, and popular items. Costs are measured in
a process of their own that never imports torch. Without --config and --data it takes MovieLens-1M
where it is here, users and items with 20 interactions, and the synthetic catalogue otherwise.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.training import movielens
from hashrec.index.artifacts.artifact import Artifact
from hashrec.index.ranking.recommender import Recommender
from hashrec.training.data.catalogue import Dataset
from hashrec.training.data.splits import UserSplit, hold_out_users
from hashrec.training.jobs.config import JobConfig, load_config
from hashrec.training.jobs.fitting import fit
from hashrec.training.jobs.inputs import read
from hashrec.training.jobs.job import Job
from hashrec.training.jobs.outputs import write
from hashrec.training.jobs.recipe import Recipe
from hashrec.training.judging.evaluation import evaluate_fold_in, evaluate_histories
from hashrec.training.judging.judgement import Metrics
from hashrec.training.numerics.scorer import FoldInScorer
from hashrec.training.progress import QuietProgress
from hashrec.training.teachers import TEACHERS

SHARE = 1_022 / 6_022  # of the users: 1,022 of MovieLens-1M's, by the paper's protocol


def judge(
    config: JobConfig, dataset: Dataset, split: UserSplit, artifact: Path
) -> dict[str, Metrics]:
    """Train on the split's users, write the artifact, and judge lists of the others."""
    job = Job.of(config, QuietProgress(), tell)
    recipe, _ = Recipe.of(config).settle(job, split.train)
    fitted = fit(job, recipe, split.train)
    write(job, artifact, fitted, dataset)
    histories, relevant = split.history.matrix(), split.relevant.seen()
    recommender = Recommender(Artifact.open(artifact))
    figures = {"codes": evaluate_histories(recommender, split.history.seen(), relevant, config.k)}
    popularity = TEACHERS["popularity"]().fit(split.train, **job.fit_options)
    for name, scorer in (("teacher", fitted.teacher), ("popularity", popularity)):
        if isinstance(scorer, FoldInScorer):
            figures[name] = evaluate_fold_in(
                scorer, histories, relevant, config.k, train=split.train.seen()
            )
    return figures


def cost(artifact: Path, split: UserSplit, folder: Path) -> dict[str, Any]:
    """Measure in a process of its own; see `benchmarks/fold_in_cost.py`."""
    lists = split.history.seen()
    np.savez(folder / "histories.npz", indptr=lists.indptr, items=lists.items)
    command = [sys.executable, "-m", "benchmarks.fold_in_cost", artifact, folder / "histories.npz"]
    return json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)


def tell(message: str) -> None:
    """Say what is going on, on stderr."""
    print(message, file=sys.stderr, flush=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    for flag in ("--config", "--json"):
        parser.add_argument(flag, type=Path)
    for flag in ("--data", "--model", "--teacher"):
        parser.add_argument(flag)
    for flag in ("--bits", "--k", "--seed", "--k-core"):
        parser.add_argument(flag, type=int)
    parser.add_argument("--data-home", type=Path)
    parser.add_argument("--users", type=float, default=SHARE, help="a number, or a share below 1")
    options = parser.parse_args()
    data, k_core, k = options.data, options.k_core, options.k
    if options.config is None:
        data = data or str(movielens() or "synthetic")
        k_core = 20 if k_core is None else k_core
        k = 100 if k is None else k
    config = load_config(
        options.config,
        {
            "data.source": data,
            "data.home": options.data_home,
            "data.k_core": k_core,
            "model.name": options.model,
            "model.n_bits": options.bits,
            "teacher.name": options.teacher,
            "k": k,
            "seed": options.seed,
        },
    )
    dataset = read(config.data, tell)
    split = hold_out_users(dataset.interactions, options.users, config.seed).by_popularity()
    with tempfile.TemporaryDirectory(prefix="hashrec-benchmark-") as folder:
        artifact = Path(folder) / "artifact"
        figures = judge(config, dataset, split, artifact)
        costs = cost(artifact, split, Path(folder))
    print(
        f"{split.train.n_users:,} users to learn from, {split.history.n_users:,} new ones with "
        f"{len(split.history) / split.history.n_users:.0f} items each as history"
    )
    for name, found in figures.items():
        print(
            f"{name:12} Recall {found.recall:.4f}  MAP {found.map:.4f}  NDCG {found.ndcg:.4f} "
            f"@{found.k}"
        )
    if "teacher" in figures:
        print(f"of the teacher's NDCG: {figures['codes'].ndcg / figures['teacher'].ndcg:.1%}")
    for name, microseconds in costs["microseconds"].items():
        print(f"{name:30} {microseconds:8.1f} us a user")
    print(f"training libraries imported to serve: {', '.join(costs['imported']) or 'none'}")
    if options.json is not None:
        report = {
            "config": config.model_dump(mode="json"),
            "metrics": {name: found.figures() for name, found in figures.items()},
            **costs,
        }
        options.json.write_text(json.dumps(report, indent=2) + "\n")
    if costs["imported"]:
        raise SystemExit("serving must do without them")


if __name__ == "__main__":
    main()
