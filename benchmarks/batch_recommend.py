"""Everyone's lists: users a second of `hashrec batch-recommend`, and its peak memory.

    python -m benchmarks.batch_recommend [--users 100000] [--items 10000] [-k 50] [--json FILE]

Random 192-bit codes, 50 seen items a user. Each format is written by a process of its own, the
command as it is typed, so the figures hold its start and the opening of the model. Memory is the
process's peak; that it does not grow with the users shows when a tenth of them take as much.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.processes import measured
from hashrec.index.arrays.codes import BinaryCodes
from hashrec.index.arrays.ids import IdMap
from hashrec.index.arrays.seen import SeenItems
from hashrec.index.artifacts.artifact import write_artifact
from hashrec.index.artifacts.manifest import DataInfo, ModelInfo
from hashrec.index.artifacts.store import Store
from hashrec.index.model.items import ItemTable
from hashrec.index.model.model import Model

N_BITS, N_SEEN = 192, 50


def publish(folder: Path, n_users: int, n_items: int) -> Path:
    """Publish a model of random codes."""
    random = np.random.default_rng(0)
    seen = random.integers(0, n_items, (n_users, N_SEEN))
    model = Model(
        user_codes=BinaryCodes(random.integers(0, 256, (n_users, N_BITS // 8), dtype=np.uint8)),
        item_codes=BinaryCodes(random.integers(0, 256, (n_items, N_BITS // 8), dtype=np.uint8)),
        users=IdMap.build(str(row) for row in range(n_users)),
        items=IdMap.build(str(row) for row in range(n_items)),
        seen=SeenItems.build(np.repeat(np.arange(n_users), N_SEEN), seen.ravel(), n_users),
        popularity=np.sort(random.integers(1, 500, n_items))[::-1].astype(np.int64),
        item_table=ItemTable.build([{} for _ in range(n_items)]),
    )
    write_artifact(
        folder / "run",
        model,
        model_info=ModelInfo(name="random", seed=0, config={}),
        data_info=DataInfo(source="random", sha256="", n_interactions=seen.size),
    )
    Store(folder / "store").publish(folder / "run")
    return folder / "store"


def measure(store: Path, n_users: int, k: int, form: str) -> dict[str, float]:
    """Run the command for the first users, and return its figures."""
    users, out = store.parent / "users.txt", store.parent / f"lists.{form}"
    users.write_text("".join(f"{row}\n" for row in range(n_users)))
    command = [
        sys.executable, "-m", "hashrec", "batch-recommend", "--store", str(store),
        "--out", str(out), "-k", str(k), "--users", str(users), "--quiet",
    ]  # fmt: skip
    figures = measured(command)
    return {
        "users": n_users,
        **figures,
        "users_per_second": n_users / figures["seconds"],
        "users_per_cpu_second": n_users / figures["cpu_seconds"],
        "file_mb": out.stat().st_size / 1e6,
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--users", type=int, default=100_000)
    parser.add_argument("--items", type=int, default=10_000)
    parser.add_argument("-k", type=int, default=50)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows: dict[str, dict[str, float]] = {}
    print(f"{options.users:,} users x {options.items:,} items, {N_BITS} bits, k = {options.k}")
    print(f"{'':22} {'users/s':>9} {'users/CPU s':>12} {'peak MB':>9} {'file MB':>9}")
    with tempfile.TemporaryDirectory(prefix="hashrec-benchmark-") as folder:
        store = publish(Path(folder), options.users, options.items)
        for form in ("parquet", "jsonl"):
            for n_users in (options.users // 10, options.users):
                row = measure(store, n_users, options.k, form)
                rows[f"{form}, {n_users} users"] = row
                print(
                    f"{form:8} {n_users:13,} {row['users_per_second']:9,.0f} "
                    f"{row['users_per_cpu_second']:12,.0f} {row['peak_mb']:9.0f} "
                    f"{row['file_mb']:9.1f}"
                )
    if options.json is not None:
        options.json.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
