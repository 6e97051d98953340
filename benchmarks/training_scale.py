"""Training at scale: seconds and peak memory of the default job on up to 10 million interactions.

    python -m benchmarks.training_scale --data ML-1M [--millions 1 3 10] [--work FOLDER]

MovieLens-1M is expanded (`training/data/fractal.py`) to 7,000, 21,000 and 70,000 users of the same
10,000 items, so that all sets are equally dense and only the number of users differs. Each is
learned by `hashrec train --split none`, choice of teacher and settings included, in a process of
its own. The limits are those of 10 million on two cores: 45 minutes and 8 GB. The last column says
how time grows beside the interactions: 1 is linear.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from hashrec.training.data.fractal import expand
from hashrec.training.data.reading import read_interactions
from hashrec.training.data.writing import write_parquet

N_ITEMS = 10_000
USERS_A_MILLION = 7_000
LIMIT_S = 2_700.0
LIMIT_MB = 8_000.0


def expanded(ratings: Path, millions: int, work: Path) -> Path:
    """Return the file of an expansion to some million interactions, made unless it is there."""
    data = work / f"{millions}m.parquet"
    if not data.is_file():
        source = read_interactions(ratings).interactions
        n_users, n_pairs = USERS_A_MILLION * millions, 1_000_000 * millions
        write_parquet(expand(source, n_users, N_ITEMS, n_pairs, seed=0), data)
    return data


def train(data: Path, run: Path) -> dict[str, Any]:
    """Run the job and return its report; one that `run` holds already is not made again."""
    report = run / "report.json"
    if not report.is_file():
        subprocess.run(
            [
                sys.executable, "-m", "hashrec", "train", "--data", str(data),
                "--split", "none", "--seed", "0", "--out", str(run), "--quiet",
            ],
            check=True,
        )  # fmt: skip
    return json.loads(report.read_text())


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="ratings of MovieLens-1M")
    parser.add_argument("--millions", type=int, nargs="+", default=[1, 3, 10])
    parser.add_argument("--work", type=Path, help="keeps data and runs")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="hashrec-benchmark-") as temporary:
        work = options.work or Path(temporary)
        work.mkdir(parents=True, exist_ok=True)
        reports: dict[int, dict[str, Any]] = {}
        print(f"{'pairs':>12} {'users':>8} {'teacher':>14} {'seconds':>9} {'MB':>7} {'growth':>7}")
        for millions in options.millions:
            data = expanded(options.data, millions, work)
            report = reports[millions] = train(data, work / f"run-{millions}m")
            first = reports[options.millions[0]]
            growth = report["seconds"]["total"] / first["seconds"]["total"]
            growth *= options.millions[0] / millions
            print(
                f"{report['data']['n_train']:12,} {report['data']['n_users']:8,} "
                f"{report['config']['teacher']['name']:>14} {report['seconds']['total']:9.0f} "
                f"{report['peak_memory_mb']:7,.0f} {growth:7.2f}",
                flush=True,
            )
    last = reports[options.millions[-1]]
    total, memory = last["seconds"]["total"], last["peak_memory_mb"]
    print(f"of the limits: time {total / LIMIT_S:.2f}, memory {memory / LIMIT_MB:.2f}")
    if options.json is not None:
        options.json.write_text(json.dumps(reports, indent=2) + "\n")


if __name__ == "__main__":
    main()
