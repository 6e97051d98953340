"""One store for both versions, of runs that the version before made."""

from __future__ import annotations

import json
import shutil

from benchmarks.compare_differences import Account, of_folders, of_values
from benchmarks.compare_sides import Sides, run_both
from benchmarks.compare_training import CLUSTERED, DAMAGED, RERANKED, SERVED

# In the order of publication; the last one is served.
PUBLISHED = {
    "reranked": (RERANKED, "--activate"),
    "clustered": (CLUSTERED, "--no-activate"),
    "damaged": (DAMAGED, "--no-activate"),
    "served": (SERVED, "--activate"),
}
LOCKS = (".publication.lock", ".retraining.lock")


def compare_publishing(sides: Sides, account: Account) -> dict[str, str]:
    """Publish the same runs with both versions, and compare the stores.

    Then a file of one version is damaged, and a journal of the version before laid beside the
    versions of both: its positions begin at the time of its making, and are in what is replied.

    Returns:
        The versions, by the names of `PUBLISHED`.
    """
    versions: dict[str, str] = {}
    for name, (run, activate) in PUBLISHED.items():
        command = ("publish", f"../before/runs/{run}", "--store", "store", activate, "--json")
        before, after = run_both(sides, command)
        if before.status:
            raise ChildProcessError(f"publish {run}: {before.stderr}")
        account.add("commands", of_values(before[:2], after[:2], " ".join(command)))
        versions[name] = json.loads(before.stdout)["version"]
    stores = [side.folder / "store" for side in sides]
    for differences in of_folders(*stores, "store", ignored=LOCKS):
        account.add("files of stores", differences)
    events = ("import", "events", "../data/more-events.jsonl", "--store", "store", "--quiet")
    if (imported := sides[0].run(*events)).status:
        raise ChildProcessError(f"import events: {imported.stderr}")
    for store in stores:
        codes = store / "versions" / versions["damaged"] / "item_codes.npy"
        content = bytearray(codes.read_bytes())
        content[-1] ^= 1
        codes.write_bytes(content)
    shutil.copytree(stores[0] / "state", stores[1] / "state")
    return versions
