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
    """Print metrics as a table: for each length a row of each ranking, such as `codes`.

    Args:
        figures: ranking -> `Metrics.figures`.
    """
    if not figures:
        return
    first = next(iter(figures.values()))
    lengths = [int(name.removeprefix("ndcg@")) for name in first if name.startswith("ndcg@")]
    names = ("recall", "precision", "hit_rate", "map", "mrr", "ndcg", "coverage", "novelty")
    print_table(
        ("k", "ranked by", "users", *(name.replace("_", " ") for name in names)),
        [
            (k, what, judged["n_users"], *(judged[f"{name}@{k}"] for name in names))
            for k in lengths
            for what, judged in figures.items()
        ],
    )
