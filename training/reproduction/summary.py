"""Mean and deviation of figures, and their text."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

from hashrec.index.errors import DataError

DASH = "–"
METRICS = ("recall", "map", "ndcg")


def mean_and_deviation(values: Sequence[float]) -> tuple[float, float | None]:
    """Return the mean and the sample standard deviation, which is None for a single value."""
    return statistics.mean(values), statistics.stdev(values) if len(values) > 1 else None


def as_text(mean: float, deviation: float | None = None) -> str:
    """Return `.4523`, or `.4523 ± .0012`."""
    if deviation is None:
        return f"{mean:.4f}".removeprefix("0")
    return f"{as_text(mean)} ± {as_text(deviation)}"


def write_into(page: Path, blocks: Mapping[str, str]) -> None:
    """Replace the text between the markers of each block of a page.

    Raises:
        DataError: a marker is missing.
    """
    text = page.read_text()
    for name, content in blocks.items():
        begin, end = f"<!-- {name}: begin -->\n", f"<!-- {name}: end -->"
        before, found, rest = text.partition(begin)
        _, found_end, after = rest.partition(end)
        if not (found and found_end):
            raise DataError(f"{page}: the lines {begin.strip()} and {end} are missing")
        text = f"{before}{begin}{content}\n{end}{after}"
    page.write_text(text)
