"""Two versions of hashrec side by side: equal codes, files and replies, byte for byte.

    python -m benchmarks.compare_checkouts --before OLD/.venv/bin/hashrec --after .venv/bin/hashrec

Both are driven from outside, by their command and over HTTP, on the same small data: every hash
model and teacher is trained, one store is published and served in four ways, with everything asked
that can be asked, and the other commands are run on what is left. Exit status 1 if a value differs.
Wording may: messages for people, and the descriptions of the OpenAPI document, are only listed.

With `--work FOLDER` everything stays there, and what the version before has trained is taken from
there the next time. `--expect PATTERN` names places that differ on purpose, as they are printed.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from itertools import islice
from pathlib import Path

from benchmarks.compare_commands import compare_commands
from benchmarks.compare_data import write_data
from benchmarks.compare_differences import Account, Difference
from benchmarks.compare_publishing import PUBLISHED, compare_publishing
from benchmarks.compare_serving import compare_service, services
from benchmarks.compare_sides import Side, Sides
from benchmarks.compare_training import JOBS, KEPT, SERVED, compare_training, train_before

PARTS = ("training", "replies", "commands")
KINDS = ("equal", "wording", "expected", "different")


class _Clock:
    """Says on stderr how far the comparison is, with the seconds that have passed."""

    def __init__(self) -> None:
        self._started = time.monotonic()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._started

    def say(self, message: str) -> None:
        print(f"{self.seconds:5.0f} s  {message}", file=sys.stderr, flush=True)


def compare(sides: Sides, data: Path, parts: Sequence[str], account: Account) -> None:
    """Compare what was asked for.

    Args:
        sides: the versions, whose folders are there.
        data: folder to write the data to.
        parts: some of `PARTS`.
        account: where every comparison is entered.
    """
    clock = _Clock()
    write_data(data)
    if "training" in parts:
        compare_training(sides, data, account, clock.say)
    if {"replies", "commands"} & set(parts):
        published = {run for run, _ in PUBLISHED.values()}
        train_before(sides[0], [job for job in JOBS if job.name in published], data)
        versions = compare_publishing(sides, account)
        clock.say("published")
    if "replies" in parts:
        for service in services(versions):
            statuses = compare_service(service, sides, account)
            counted = ", ".join(f"{n} x {status}" for status, n in sorted(statuses.items()))
            clock.say(f"asked the service {service.name}: {counted}")
    if "commands" in parts:
        compare_commands(sides, versions, account, clock.say)
    clock.say("done")


def report(account: Account, shown: int) -> None:
    """Print the table, the values that differ, and each change of wording once."""
    width = max(map(len, account.rows))
    print(f"{'compared':{width}} {'number':>7}" + "".join(f"{kind:>10}" for kind in KINDS))
    for part, row in account.rows.items():
        counts = "".join(f"{row[kind]:10,}" for kind in KINDS)
        print(f"{part:{width}} {row.total():7,}{counts}")
    total = sum(account.rows.values(), Counter())
    counts = "".join(f"{total[kind]:10,}" for kind in KINDS)
    print(f"{'all':{width}} {total.total():7,}{counts}")
    for kind in ("wording", "expected", "different"):
        _print_differences(kind, [d for _, d in account.differences if d.kind == kind], shown)


def _print_differences(kind: str, differences: Sequence[Difference], shown: int) -> None:
    """Print an example of what is alike: one place of many replies, or one change of words."""
    alike: dict[object, list[Difference]] = {}
    for found in differences:
        place = re.sub(r"[0-9]+", "*", found.where.rpartition(": ")[2])
        words = (found.before, found.after)
        alike.setdefault(words if kind == "wording" else place, []).append(found)
    if differences:
        print(f"\n{kind}: {len(differences):,} places, {len(alike):,} kinds")
    for first, *others in islice(alike.values(), shown):
        more = f", and {len(others):,} more like it" if others else ""
        print(f"  {first.where}{more}\n    - {first.before}\n    + {first.after}")
    if len(alike) > shown:
        print(f"  and {len(alike) - shown:,} more kinds; --json has all")


def main() -> None:
    """Run the script."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--before", type=Path, required=True, help="hashrec of the old version")
    parser.add_argument("--after", type=Path, required=True, help="hashrec of the new version")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--expect", action="append", default=[], metavar="PATTERN")
    parser.add_argument("--work", type=Path, metavar="FOLDER", help="to keep what is made")
    parser.add_argument("--shown", type=int, default=40, help="differences of a kind to print")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    account = Account(tuple(options.expect))
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))  # servers end, too
    with tempfile.TemporaryDirectory(prefix="hashrec-compare-") as temporary:
        work = (options.work or Path(temporary)).absolute()
        sides = tuple(
            Side(name, getattr(options, name).absolute(), work / name)
            for name in ("before", "after")
        )
        _clear(work)
        for side in sides:
            side.folder.mkdir(parents=True, exist_ok=True)
        compare(sides, work / "data", options.only, account)
        for side in sides:
            print(f"{side.name}: {side.command}{_commit(side)}")
    report(account, options.shown)
    if options.json:
        found = [{"part": part, **asdict(d)} for part, d in account.differences]
        content = {"compared": account.rows, "differences": found}
        options.json.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n")
    if account.failed:
        sys.exit(1)


def _clear(work: Path) -> None:
    """Remove what an earlier comparison left, but for what the version before has trained."""
    mark = work / ".hashrec-compare"
    if work.is_dir() and any(work.iterdir()) and not mark.exists():
        sys.exit(f"error: {work} holds something else; name a new folder, or an empty one")
    work.mkdir(parents=True, exist_ok=True)
    mark.touch()
    for path in (work / "data", work / "after", *(work / "before").glob("*")):
        if path.is_file():
            path.unlink()
        elif path.is_dir() and path.name not in KEPT:
            shutil.rmtree(path)


def _commit(side: Side) -> str:
    """Return what a version's report says of its source, if it has trained anything."""
    report_file = side.folder / "runs" / SERVED / "report.json"
    if not report_file.exists():
        return ""
    environment = json.loads(report_file.read_bytes())["environment"]
    return f", hashrec {environment['hashrec']}, commit {environment['commit']}"


if __name__ == "__main__":
    main()
