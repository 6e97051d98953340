"""Two real versions side by side, and a change of version under load.

`python -m benchmarks.versions --store STORE --candidate VERSION` takes a store with two published
versions, of which it changes a copy. It prints how their lists differ, who gets the candidate of an
experiment, and how requests fare while the version is changed over HTTP again and again.
"""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import tempfile
import threading
import time
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from benchmarks.http import free_port, start
from hashrec.index.artifacts.store import Store
from hashrec.index.ranking.comparison import compare, sample_users
from hashrec.index.ranking.recommender import Recommender
from hashrec.service.access.keys import new_key

KEY, ENTRY = new_key("benchmark", "admin")
WORKERS = 2
CLIENTS = 3
SHARE = 0.1


def serve(store: Path, **environment: str) -> tuple[Any, str]:
    """Start a service with an admin key; return its process and its address."""
    port = free_port()
    command = (
        "-m",
        "hashrec",
        "serve",
        "--store",
        str(store),
        "--port",
        str(port),
    )
    keys = {"HASHREC_KEYS__ENTRIES": ENTRY.entry(), "HASHREC_WORKERS": str(WORKERS)}
    process = start(*command, port=port, **{**keys, **environment})
    return process, f"http://127.0.0.1:{port}"


def experiment(store: Path, candidate: str, user_ids: list[str]) -> dict[str, Any]:
    """Ask for every user's list while an experiment runs, and count the versions that answer."""
    process, url = serve(
        store, HASHREC_EXPERIMENT__CANDIDATE=candidate, HASHREC_EXPERIMENT__SHARE=str(SHARE)
    )
    with httpx.Client(base_url=url, headers={"x-api-key": KEY}, timeout=30) as client:
        ready = 0
        while ready < 50:  # of several workers, any may answer
            running = client.get("/readyz?verbose").json()["experiment"]["running"]
            ready = ready + 1 if running else 0
        got = {u: client.get(f"/recommend/{u}").headers["x-model-version"] for u in user_ids}
        again = {u: client.get(f"/recommend/{u}").headers["x-model-version"] for u in user_ids}
    process.send_signal(signal.SIGTERM)
    process.wait(30)
    counted = Counter(got.values())
    return {
        "users": len(user_ids),
        "share_asked": SHARE,
        "share_got": counted[candidate] / len(user_ids),
        "users_who_changed_version": sum(got[u] != again[u] for u in user_ids),
    }


def changes_under_load(store: Path, versions: list[str], seconds: float) -> dict[str, Any]:
    """Activate and roll back once a second while clients ask; count statuses and latencies."""
    process, url = serve(store)
    user_ids = sample_users(Recommender(Store(store).open(versions[0])), 1000)
    over = threading.Event()
    asked: list[tuple[int, str, float]] = []

    def ask(first: int) -> None:
        with httpx.Client(base_url=url, headers={"x-api-key": KEY}, timeout=30) as client:
            number = first
            while not over.is_set():
                number += 1
                begun = time.perf_counter()
                reply = client.get(f"/recommend/{user_ids[number % len(user_ids)]}")
                took = time.perf_counter() - begun
                version = reply.headers.get("x-model-version", "")
                asked.append((reply.status_code, version, took))

    threads = [threading.Thread(target=ask, args=(300 * n,)) for n in range(CLIENTS)]
    with httpx.Client(base_url=url, headers={"x-api-key": KEY}, timeout=30) as client:
        for thread in threads:
            thread.start()
        changes = Counter[int]()
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for path in (f"/models/{versions[1]}/activate", "/models/rollback"):
                changes[client.post(path).status_code] += 1
                time.sleep(1)
        over.set()
        for thread in threads:
            thread.join()
    process.send_signal(signal.SIGTERM)
    process.wait(30)
    milliseconds = np.array([took for _, _, took in asked]) * 1000
    return {
        "changes": dict(changes),
        "requests": len(asked),
        "statuses": dict(Counter(status for status, _, _ in asked)),
        "by_version": dict(Counter(version for _, version, _ in asked)),
        "p50_ms": float(np.quantile(milliseconds, 0.5)),
        "p99_ms": float(np.quantile(milliseconds, 0.99)),
        "slowest_ms": float(milliseconds.max()),
    }


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--candidate", required=True, help="a published version, not the served")
    parser.add_argument("--seconds", type=float, default=20, help="of load")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        store = Path(shutil.copytree(options.store, Path(folder) / "store"))
        served = Store(store).current()
        candidate, baseline = (
            Recommender(Store(store).open(v)) for v in (options.candidate, served)
        )
        users = sample_users(baseline, 1000)
        figures = {
            "comparison": asdict(compare(candidate, baseline, users)),
            "experiment": experiment(store, options.candidate, users),
            "changes": changes_under_load(store, [served, options.candidate], options.seconds),
        }
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
