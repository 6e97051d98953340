"""What commands that train print: progress and messages on stderr, metrics on stdout."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from hashrec.index.commands.printing import print_table, say

if TYPE_CHECKING:
    from hashrec.training.progress import Progress


def progress_for(quiet: bool) -> Progress:
    """Return a progress that writes to stderr, or one that only records."""
    from hashrec.training.progress import QuietProgress, shown_on

    return QuietProgress() if quiet else shown_on(sys.stderr)


def narrator_for(quiet: bool) -> Callable[[str], None]:
    """Return a function that prints a message on stderr, or drops it."""
    return (lambda _message: None) if quiet else say


def print_metrics(figures: dict[str, dict[str, Any]]) -> None:
    """Print metrics as a table, one row for each ranking such as `codes` or `popularity`."""
    if not figures:
        return
    k = next(iter(figures.values()))["k"]
    names = ("recall", "map", "ndcg", "coverage")
    print_table(
        ("ranked by", "users", *(name if name == "coverage" else f"{name}@{k}" for name in names)),
        [
            (what, judged["n_users"], *(judged[name] for name in names))
            for what, judged in figures.items()
        ],
    )
