"""Strengths and age: what they change in accuracy, on five splits of each set.

    python -m benchmarks.strengths [--ratings u.data] [--seeds 5] [--bits 64] [--k 20]
        [--teacher blend] [--json FILE]

Fits teacher and codes twice for each split, with all interactions alike and with strengths, and
tells what the model `auto` chose on its validation part. Invented sets have planted strengths:

- `events`: views of popular items, and carts and purchases of what the user likes;
- `plays`: few plays of popular items, and many of what the user likes;
- `drift`: tastes change over a year; the latest tenth is held out, and age is what counts.

MovieLens ratings come from a file. The table names the seeds, the data's hash and the commit.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hashrec.index.arrays.ids import IdMap
from hashrec.index.strength import USUAL_WORTHS, Strength
from hashrec.training.data.interactions import Interactions
from hashrec.training.data.reading import read_interactions
from hashrec.training.data.splits import Split, random_split
from hashrec.training.data.strengths import Derived, amounts_or_none
from hashrec.training.jobs.config import JobConfig
from hashrec.training.jobs.fitting import fit
from hashrec.training.jobs.job import Job
from hashrec.training.jobs.recipe import Recipe
from hashrec.training.jobs.report import environment
from hashrec.training.jobs.strength_choice import latest_part
from hashrec.training.judging.evaluation import evaluate_hash_codes, evaluate_scores
from hashrec.training.progress import QuietProgress

N_USERS, N_ITEMS, N_TASTES, A_USER = 1_000, 400, 8, 40
DAY = 86_400


@dataclass(frozen=True)
class Case:
    """A set of interactions and how it is split."""

    name: str
    make: Callable[[int], tuple[Interactions, Derived]]
    by_time: bool = False

    def split(self, data: Interactions, seed: int) -> Split:
        """Hold out half of each user's items, or the latest tenth of all."""
        if not self.by_time:
            return random_split(data, seed).by_popularity()
        parts = latest_part(data)
        assert parts is not None
        return Split(*parts).by_popularity()


def drawn(seed: int) -> Iterator[tuple[int, int, bool, float]]:
    """Draw user, item, if the user likes it, and a time from 0 to 1, in which tastes move on."""
    rng = np.random.default_rng([seed, 99])
    popularity = rng.gamma(0.5, size=N_ITEMS) + 0.05
    tastes = rng.integers(0, N_TASTES, N_ITEMS)
    for user in range(N_USERS):
        mine = int(rng.integers(0, N_TASTES))
        times = np.sort(rng.random(A_USER))
        for time in times:
            likes = bool(rng.random() < 0.4)
            chances = popularity * (tastes == mine) if likes else popularity
            item = int(rng.choice(N_ITEMS, p=chances / chances.sum()))
            yield user, item, likes, float(time)


def invented(seed: int, amount: Callable[[np.random.Generator, bool], int]) -> Interactions:
    """Draw interactions with amounts; repeats of a pair count with the largest."""
    rng = np.random.default_rng([seed, 7])
    amounts: dict[tuple[int, int], int] = {}
    for user, item, likes, _time in drawn(seed):
        amounts[user, item] = max(amounts.get((user, item), 0), amount(rng, likes))
    return interactions_of(amounts)


def interactions_of(
    amounts: dict[tuple[int, int], int], times: NDArray[np.int64] | None = None
) -> Interactions:
    """Return interactions of numbered users and items."""
    rows = np.array(list(amounts), dtype=np.int32)
    return Interactions(
        user_rows=rows[:, 0],
        item_rows=rows[:, 1],
        users=IdMap.build(map(str, range(N_USERS))),
        items=IdMap.build(map(str, range(N_ITEMS))),
        timestamps=times,
        amounts=amounts_or_none(np.array(list(amounts.values()))),
    )


def events(seed: int) -> tuple[Interactions, Derived]:
    """Return an event log: views, and carts and purchases of what users like."""
    policy = Strength(types=USUAL_WORTHS, repeats="sum", scale="logarithm")

    def amount(rng: np.random.Generator, likes: bool) -> int:
        kind = ("cart", "purchase")[int(rng.random() < 0.5)] if likes else "view"
        return policy.amount("view") + (policy.amount(kind) if likes else 0)

    return invented(seed, amount), Derived(policy, "an event log", expected=True)


def plays(seed: int) -> tuple[Interactions, Derived]:
    """Return plays: many of what users like."""
    policy = Strength(value="multiplied", repeats="sum", scale="logarithm")

    def amount(rng: np.random.Generator, likes: bool) -> int:
        return policy.amount(None, float(np.ceil(rng.lognormal(3.0 if likes else 0.3))))

    return invented(seed, amount), Derived(policy, "counts", expected=True)


def drift(seed: int) -> tuple[Interactions, Derived]:
    """Return a year in which each user's taste changes twice."""
    rng = np.random.default_rng([seed, 3])
    popularity = rng.gamma(0.5, size=N_ITEMS) + 0.05
    tastes = rng.integers(0, N_TASTES, N_ITEMS)
    times: dict[tuple[int, int], int] = {}
    for user in range(N_USERS):
        mine = rng.integers(0, N_TASTES, 3)
        for time in np.sort(rng.random(A_USER)):
            chances = popularity * (tastes == mine[int(time * 3)])
            item = int(rng.choice(N_ITEMS, p=chances / chances.sum()))
            times.setdefault((user, item), int(time * 365 * DAY))
    data = interactions_of(dict.fromkeys(times, 16), np.array(list(times.values())))
    return data, Derived(Strength())


def ratings_of(path: Path) -> Case:
    """Return the case of a file of ratings."""
    reading = read_interactions(path)
    return Case(path.name, lambda _seed: (reading.interactions, reading.strength))


def compare(case: Case, seed: int, options: argparse.Namespace) -> dict[str, Any]:
    """Return NDCG@k without and with strengths on one split, and what was chosen."""
    data, said = case.make(seed)
    config = JobConfig(
        k=options.k,
        seed=seed,
        teacher={"name": options.teacher},
        model={"name": "auto", "perplexity": 50, "n_bits": options.bits},
    )
    job = Job.of(config, QuietProgress(), tell)
    split = case.split(data, seed)
    assert split.test is not None
    chosen, _ = Recipe.of(config).settle(job, split.train, said, by_time=case.by_time)
    policy = said.policy
    if case.by_time:
        policy = chosen.strength
    row: dict[str, Any] = {
        "set": case.name,
        "seed": seed,
        "data": data.data_hash()[:12],
        "chosen": chosen.strength.describe(),
    }
    relevant = split.test.seen()
    for name, strength in (("without", policy.even()), ("with", policy)):
        fitted = fit(job, replace(chosen, strength=strength), split.train)
        codes = fitted.codes
        assert fitted.teacher is not None
        row[name] = evaluate_hash_codes(
            codes.users, codes.items, split.train, split.test, options.k
        ).ndcg
        row[f"teacher {name}"] = evaluate_scores(
            fitted.teacher, split.train, relevant, options.k
        ).ndcg
    return row


def main() -> None:
    """Print a row for each split, and the means of each set."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ratings", type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--bits", type=int, default=64)
    parser.add_argument("--k", type=int, default=20)
    parser.add_argument("--teacher", default="blend")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    cases = [Case("events", events), Case("plays", plays), Case("drift", drift, by_time=True)]
    if options.ratings is not None:
        cases.append(ratings_of(options.ratings))
    print(f"commit {environment()['commit']}, ndcg@{options.k}, {options.bits} bits")
    figures = ("without", "with", "teacher without", "teacher with")
    print("set", "seed", "data", *figures, "chosen", sep="\t")
    rows: list[dict[str, Any]] = []
    for case in cases:
        own = [compare(case, seed, options) for seed in range(options.seeds)]
        for row in own:
            values = [f"{row[name]:.4f}" for name in figures]
            print(row["set"], row["seed"], row["data"], *values, row["chosen"], sep="\t")
        means = [f"{np.mean([row[name] for row in own]):.4f}" for name in figures]
        wins = sum(row["with"] > row["without"] for row in own)
        print(
            case.name, "mean", "", *means, f"better on {wins} of {len(own)}", sep="\t", flush=True
        )
        rows += own
    if options.json is not None:
        options.json.write_text(json.dumps(rows, indent=2))


def tell(message: str) -> None:
    """Say on stderr what a job says."""
    print(message, file=sys.stderr)


if __name__ == "__main__":
    main()
