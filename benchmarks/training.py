"""Training: seconds by stage and peak memory of the paper's job, beside the limits it must keep.

    python -m benchmarks.training [--data PATH] [--json FILE]

Runs `hashrec train --preset paper --model dgcn-bincf --seed 0` in a process of its own: on
MovieLens-1M where HASHREC_DATA or ../shared/data holds it, otherwise on a synthetic catalogue of
3,000 users x 2,000 items. The limits are MovieLens-1M's on two cores: 20 minutes and 4 GB.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from hashrec.training.data.synthetic import synthetic_catalogue

LIMIT_S = 1_200.0
LIMIT_MB = 4_000.0


def movielens() -> Path | None:
    """Return MovieLens-1M's ratings if they are here."""
    project = Path(__file__).resolve().parents[1]
    folder = Path(os.environ.get("HASHREC_DATA") or project.parent / "shared" / "data")
    ratings = folder / "ml-1m" / "ratings.csv.gz"
    return ratings if ratings.is_file() else None


def write_synthetic(path: Path) -> Path:
    """Write a larger synthetic catalogue as CSV."""
    made = synthetic_catalogue(3_000, 2_000, 300_000, seed=0).interactions
    users, items = made.users.ids(made.user_rows), made.items.ids(made.item_rows)
    rows = "".join(f"{user},{item}\n" for user, item in zip(users, items, strict=True))
    path.write_text("user_id,item_id\n" + rows)
    return path


def train(data: Path, run: Path) -> dict[str, Any]:
    """Run the job and return its report."""
    done = subprocess.run(
        [
            sys.executable, "-m", "hashrec", "train", "--data", str(data), "--preset", "paper",
            "--model", "dgcn-bincf", "--seed", "0", "--out", str(run), "--json",
        ],
        stdout=subprocess.PIPE,
        check=True,
    )  # fmt: skip
    return json.loads(done.stdout)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="hashrec-benchmark-") as folder:
        data = options.data or movielens() or write_synthetic(Path(folder) / "synthetic.csv")
        report = train(data, Path(folder) / "run")
    sizes = report["data"]
    print(f"{sizes['n_users']:,} users x {sizes['n_items']:,} items, {sizes['n_train']:,} pairs")
    for stage, seconds in report["seconds"].items():
        print(f"{stage:12} {seconds:9.1f} s")
    for name, figures in report["metrics"]["test"].items():
        print(f"{name:12} ndcg@{figures['k']} {figures['ndcg']:.4f}")
    total, memory = report["seconds"]["total"], report["peak_memory_mb"]
    print(f"peak memory  {memory:9,.0f} MB")
    print(f"of the limits: time {total / LIMIT_S:.2f}, memory {memory / LIMIT_MB:.2f}")
    if options.json is not None:
        options.json.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
