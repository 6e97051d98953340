"""What the other commands print and write, run by both versions on equal stores."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from benchmarks.compare_data import ITEMS, ODD_ITEMS, ODD_USERS, USERS
from benchmarks.compare_differences import (
    Account,
    Difference,
    of_bytes,
    of_documents,
    of_json,
    of_values,
)
from benchmarks.compare_requests import NEWCOMER, UNKNOWN_VERSION
from benchmarks.compare_sides import Done, Sides, run_both
from benchmarks.compare_training import RERANKED, of_run, report_of

# Stores: as a service left it, and a copy that commands change.
LEFT, CHANGED = "keys", "changed"
POINTER = f"{CHANGED}/CURRENT"
RETRAIN = (
    *("retrain", "--data", "../data/interactions.csv", "--items", "../data/items.jsonl"),
    *("--model", "lsh", "--bits", "32", "--seed", "3", "--store", CHANGED, "--max-drop", "1"),
    *("--quiet", "--json"),
)


class Command(NamedTuple):
    """A command.

    Attributes:
        arguments: of `hashrec`.
        out: the file that it writes, if any.
        status: with which it ends in the version before.
    """

    arguments: Sequence[str]
    out: str | None = None
    status: int = 0


def written(*arguments: str, out: str, store: str = LEFT) -> Command:
    """Return a command that writes a file from a store."""
    place = f"out/{out}"
    return Command((*arguments, "--store", store, "--out", place, "--quiet"), place)


def commands(versions: Mapping[str, str]) -> list[Command]:
    """Return every command, in order.

    Args:
        versions: `served`, `reranked`, `clustered` and `damaged`.
    """
    read = ("--store", LEFT, "--json")
    some = ("--users", "../data/users.txt")
    return [
        *(written("export", what, out=f"{what}.jsonl") for what in ("items", "users", "events")),
        *(written("export", what, out=f"{what}.parquet") for what in ("items", "codes")),
        written("export", "codes", "--of", "items", out="item-codes.jsonl"),
        written("export", "codes", "--version", versions["reranked"], out="other-codes.jsonl"),
        written("batch-recommend", "-k", "20", out="lists.jsonl"),
        written("batch-recommend", out="lists.parquet"),
        written("batch-recommend", *some, "--version", versions["reranked"], out="some.jsonl"),
        *(Command(("recommend", user, *read)) for user in (USERS[0], ODD_USERS[0], NEWCOMER)),
        Command(("recommend", NEWCOMER, "--strict", *read), status=1),
        Command(("recommend", "--positive", ITEMS[0], "--negative", ODD_ITEMS[0], *read)),
        Command(("recommend", "--positive", "unheard of", *read)),
        Command(("recommend", *read), status=2),
        Command(("evaluate", f"../before/runs/{RERANKED}", "--k", "10", "--json")),
        Command(("compare", versions["reranked"], *read)),
        Command(("compare", versions["clustered"], versions["reranked"], "--users", "50",
                 "-k", "5", "--seed", "3", *read)),
        Command(("compare", versions["damaged"], *read), status=1),
        Command(("versions", *read)),
        Command(("doctor", "--url", "http://127.0.0.1:1", *read), status=1),
        Command(("data", "list", "--json")),
        Command(("data", "validate", "../data/interactions.csv", "--types", "view", "--json")),
        Command(("data", "expand", "../data/interactions.csv", "--users", "300", "--items", "400",
                 "--interactions", "9000", "--out", "out/large.parquet", "--quiet"),
                "out/large.parquet"),
        Command(("data", "validate", "out/large.parquet", "--json")),
        Command(("data", "validate", "../data/nothing.csv", "--json"), status=1),
        Command(("import", "events", "../data/more-events.jsonl", "--store", CHANGED, "--json")),
        Command(("import", "items", "../data/more-items.csv", "--store", CHANGED, "--json")),
        written("export", "events", store=CHANGED, out="more-events.jsonl"),
        written("export", "items", store=CHANGED, out="more-items.jsonl"),
        Command(("activate", versions["clustered"], "--store", CHANGED, "--json"), POINTER),
        *(Command(("activate", version, "--store", CHANGED, "--json"), POINTER, status=1)
          for version in (versions["damaged"], UNKNOWN_VERSION)),
        Command(("rollback", "--store", CHANGED, "--json"), POINTER),
        Command(("train", "--model", "lsh"), status=2),  # without --out
        Command(("publish", "runs/nothing", "--store", "store"), status=1),
        Command(("nothing",), status=2),
    ]  # fmt: skip


def compare_commands(
    sides: Sides, versions: Mapping[str, str], account: Account, say: Callable[[str], None]
) -> None:
    """Run every command with both versions, and compare exit status, output and files."""
    for side in sides:
        if not (side.folder / LEFT).exists():  # nothing was asked of a service
            shutil.copytree(side.folder / "store", side.folder / LEFT)
        shutil.copytree(side.folder / LEFT, side.folder / CHANGED)
    listed = commands(versions)
    for number, command in enumerate(listed, 1):
        _compare_command(command, sides, account)
        if not number % 10:
            say(f"ran {number} of {len(listed)} commands")
    _compare_retraining(sides, account)


def _compare_command(command: Command, sides: Sides, account: Account) -> None:
    where = " ".join(command.arguments)
    before, after = run_both(sides, command.arguments)
    if before.status != command.status:
        raise ChildProcessError(f"{where}: {before.stderr}")
    status = of_values(before.status, after.status, f"{where}: exit status")
    account.add("commands", status + _of_outputs(before, after, where))
    if command.out is not None:
        files = [side.folder / command.out for side in sides]
        contents = (file.read_bytes() if file.exists() else b"(no file)" for file in files)
        account.add("files of commands", of_bytes(*contents, f"{where}: {command.out}"))


def _of_outputs(before: Done, after: Done, where: str) -> list[Difference]:
    """Compare what was printed: messages only of commands that failed, others tell of progress."""
    found: list[Difference] = []
    if before.status and before.stderr != after.stderr:
        said = (done.stderr.strip() for done in (before, after))
        found.append(Difference(f"{where}: stderr", *said, kind="wording"))
    if where.startswith("doctor"):
        return found + of_documents(*(_examination(d.stdout) for d in (before, after)), where)
    return found + of_json(before.stdout, after.stdout, where)


def _examination(printed: bytes) -> dict[str, Any]:
    """Return what `hashrec doctor` found, without the numbers of the hour in its messages."""
    found = json.loads(printed)
    for finding in found["findings"]:
        finding["message"] = re.sub(r"[0-9][0-9,.]*", "N", finding["message"])
    return found


def _compare_retraining(sides: Sides, account: Account) -> None:
    """Retrain from the data and the journal, and compare reports and what is published."""
    where = " ".join(RETRAIN)
    before, after = run_both(sides, RETRAIN)
    if before.status:
        raise ChildProcessError(f"{where}: {before.stderr}")
    if after.status:
        account.add("commands", of_values("0", after.stderr, f"{where}: exit status"))
        return
    reports = [json.loads(done.stdout) for done in (before, after)]
    account.add("commands", of_documents(*map(report_of, reports), where))
    folders = [
        side.folder / CHANGED / "versions" / found["version"]
        for side, found in zip(sides, reports, strict=True)
    ]
    for differences in of_run(*folders, f"{CHANGED}/versions/retrained"):
        account.add("files of runs", differences)
