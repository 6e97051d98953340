"""Size: how fast a service with millions of users and items is ready, and what a worker adds.

    python -m benchmarks.serving_scale [--users 1000000] [--items 1000000] [--work DIR]

A random model (192 bits, 20 seen items a user, a title and a category an item, what codes and
refines new users) is written once to the work folder and published. Measured are, each in a process
of its own with the files in the page cache:

- `Artifact.open`: verify every file, check every array, map them;
- `hashrec serve`: from the start of the process until `/readyz` answers 200, with one worker
  (its CPU time too, which a busy machine does not lengthen);
- private memory of the second of two workers, beside one that serves 1,000 users and items.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import numpy as np

from benchmarks.http import free_port
from hashrec.index.arrays.codes import BinaryCodes
from hashrec.index.arrays.ids import IdMap
from hashrec.index.arrays.seen import SeenItems
from hashrec.index.artifacts.artifact import write_artifact
from hashrec.index.artifacts.manifest import DataInfo, ModelInfo
from hashrec.index.artifacts.store import Store
from hashrec.index.model.encoder import Encoder, ItemEncoder, UserEncoder
from hashrec.index.model.items import ItemTable
from hashrec.index.model.model import Model
from hashrec.index.model.refiner import UserRefiner

N_BITS, N_SEEN, N_CATEGORIES = 192, 20, 50
N_WEIGHTS = 100  # of an item, to refine by: as many as a model of a million items has
OPEN = """
import sys, time
from pathlib import Path
from hashrec.index.artifacts.artifact import Artifact
start = time.perf_counter()
Artifact.open(Path(sys.argv[1]))
print(time.perf_counter() - start)
"""


def random_model(n_users: int, n_items: int, seed: int = 0) -> Model:
    """Draw a model. Seen items are one of each twentieth of the catalogue."""
    random = np.random.default_rng(seed)
    width = n_items // N_SEEN
    seen = random.integers(0, width, (n_users, N_SEEN), dtype=np.int32)
    seen += np.arange(N_SEEN, dtype=np.int32) * width
    no_bias = np.zeros(N_BITS, dtype=np.int32)
    return Model(
        user_codes=BinaryCodes(random.integers(0, 256, (n_users, N_BITS // 8), dtype=np.uint8)),
        item_codes=BinaryCodes(random.integers(0, 256, (n_items, N_BITS // 8), dtype=np.uint8)),
        users=IdMap.build(f"user-{row}" for row in range(n_users)),
        items=IdMap.build(f"item-{row}" for row in range(n_items)),
        seen=SeenItems(np.arange(n_users + 1, dtype=np.int64) * N_SEEN, seen.ravel()),
        popularity=np.sort(random.integers(0, 10_000, n_items))[::-1].astype(np.int64),
        item_table=ItemTable.build(
            [
                {"title": f"Title of item {row}", "categories": [f"c{row % N_CATEGORIES}"]}
                for row in range(n_items)
            ]
        ),
        encoder=Encoder(
            UserEncoder(random.integers(-127, 128, (n_items, N_BITS), dtype=np.int8), no_bias),
            ItemEncoder(random.integers(-127, 128, (N_BITS, N_BITS), dtype=np.int8), no_bias),
        ),
        refiner=UserRefiner(
            indptr=np.arange(n_items + 1, dtype=np.int64) * N_WEIGHTS,
            items=(
                np.arange(N_WEIGHTS, dtype=np.int32) * (n_items // N_WEIGHTS)
                + random.integers(0, n_items // N_WEIGHTS, (n_items, N_WEIGHTS), dtype=np.int32)
            ).ravel(),
            weights=random.random(n_items * N_WEIGHTS, dtype=np.float32).astype(np.float16),
            places=np.arange(150, 0, -1, dtype=np.int32),
            scale=0.08,
        ),
    )


def published(work: Path, n_users: int, n_items: int) -> Path:
    """Return a store that serves a model of this size, made if it is not there yet."""
    store = work / f"store-{n_users}x{n_items}"
    if Store(store).pointer() is None:
        print(f"making a model of {n_users:,} users and {n_items:,} items", file=sys.stderr)
        artifact = work / f"artifact-{n_users}x{n_items}"
        write_artifact(
            artifact,
            random_model(n_users, n_items),
            model_info=ModelInfo(name="random", seed=0, config={}),
            data_info=DataInfo(source="random", sha256="", n_interactions=n_users * N_SEEN),
        )
        Store(store).publish(artifact)
    return store


def seconds_to_open(store: Path) -> float:
    """Open the served version in a new process."""
    folder = Store(store).folder(Store(store).current())
    command = [sys.executable, "-c", OPEN, str(folder)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


@contextlib.contextmanager
def serving(store: Path, workers: int) -> Iterator[tuple[int, float, float]]:
    """Run `hashrec serve`; gives its process id, and wall and CPU seconds from start to ready."""
    port = free_port()
    command = [sys.executable, "-m", "hashrec", "serve", "--store", str(store)]
    start = time.perf_counter()
    process = subprocess.Popen(
        [*command, "--port", str(port), "--workers", str(workers)], stderr=subprocess.DEVNULL
    )
    try:
        while True:
            with contextlib.suppress(URLError, ConnectionError):
                with urlopen(f"http://127.0.0.1:{port}/readyz", timeout=30) as response:
                    response.read()
                break
            if process.poll() is not None or time.perf_counter() - start > 120:
                raise SystemExit("the service did not become ready")
            time.sleep(0.01)
        yield process.pid, time.perf_counter() - start, cpu_seconds(process.pid)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def cpu_seconds(process: int) -> float:
    """Return the CPU time that a process has used."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def worker_memory(parent: int) -> list[dict[str, float]]:
    """Return MB of the workers, those among the parent's children that map an index."""
    found: list[dict[str, float]] = []
    for child in Path(f"/proc/{parent}/task/{parent}/children").read_text().split():
        if "index.bin" not in Path(f"/proc/{child}/maps").read_text():
            continue
        sizes = {
            line.split(":")[0]: int(line.split()[1]) * 1024 / 1e6
            for line in Path(f"/proc/{child}/smaps_rollup").read_text().splitlines()[1:]
        }
        private = sizes["Private_Clean"] + sizes["Private_Dirty"]
        found.append({"private": private, "anonymous": sizes["Anonymous"], "rss": sizes["Rss"]})
    return found


def second_worker(store: Path) -> dict[str, float]:
    """Return MB of the larger of two workers, once both have a model."""
    with serving(store, workers=2) as (parent, _, _):
        for _ in range(600):
            if len(memory := worker_memory(parent)) == 2:
                time.sleep(2)  # both are loaded; let them settle
                return max(worker_memory(parent), key=lambda sizes: sizes["private"])
            time.sleep(0.1)
    raise SystemExit(f"{len(memory)} of 2 workers loaded the model")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--users", type=int, default=1_000_000)
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--work", type=Path, help="folder for the model, kept between runs")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="hashrec-benchmark-") as temporary:
        work = options.work or Path(temporary)
        work.mkdir(parents=True, exist_ok=True)
        large = published(work, options.users, options.items)
        small = published(work, 1_000, 1_000)
        rows: dict[str, dict[str, float]] = {}
        for name, store in (("small", small), ("large", large)):
            ready: list[tuple[float, float]] = []
            for _ in range(options.rounds):
                with serving(store, workers=1) as (_, wall, cpu):
                    ready.append((wall, cpu))
            wall, cpu = map(statistics.median, zip(*ready, strict=True))
            opened = [seconds_to_open(store) for _ in range(options.rounds)]
            rows[name] = {
                "open_seconds": statistics.median(opened),
                "ready_seconds": wall,
                "ready_cpu_seconds": cpu,
                **{f"worker_{kind}_mb": mb for kind, mb in second_worker(store).items()},
            }
    print(f"medians of {options.rounds}; the model of `large` has {options.users:,} users,")
    print(f"{options.items:,} items, {options.users * N_SEEN:,} seen items; `small` 1,000 of each")
    print(f"{'':24} {'small':>10} {'large':>10} {'large - small':>14}")
    for name, small_figure in rows["small"].items():
        figure = rows["large"][name]
        print(f"{name:24} {small_figure:10.2f} {figure:10.2f} {figure - small_figure:14.2f}")
    if options.json is not None:
        options.json.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
