"""Draw accuracy over the bytes an item takes, one panel a data set.

    python -m benchmarks.accuracy_plot RESULTS/accuracy.json docs/accuracy.svg

Needs matplotlib (`make accuracy` installs it) and of hashrec only what needs no other library, so
that another environment can draw what `benchmarks/accuracy.py` wrote.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import NullFormatter, NullLocator

from hashrec.training.reproduction.drawing import GREY, PANEL, look, plain

# Of the Okabe-Ito palette, which most kinds of colour blindness can tell apart.
LINES = {
    "auto": ("#0072b2", "o"),
    "auto-reranked": ("#009e73", "D"),
    "listwise": ("#56b4e9", "v"),
    "least-squares": ("#e69f00", "s"),
    "dgcn-bincf": ("#cc79a7", "^"),
    "bincf": ("#d55e00", "X"),
}
COLUMNS = 2
BYTES = (8, 16, 32, 64, 128, 256, 512, 1024)
GAP = 0.055  # of the panel's height, between two labels

Row = dict[str, Any]


def draw(data: Path, picture: Path) -> None:
    """Draw the comparisons of a file.

    Args:
        data: accuracy.json.
        picture: SVG to write.
    """
    comparisons = list(json.loads(data.read_text()).values())
    n_columns = min(COLUMNS, len(comparisons))
    n_lines = -(-len(comparisons) // n_columns)
    with look():
        size = (PANEL[0] * n_columns, PANEL[1] * n_lines + 0.8)
        figure, panels = plt.subplots(n_lines, n_columns, figsize=size, squeeze=False)
        for axes, comparison in zip(panels.flat, comparisons, strict=False):
            _panel(axes, comparison)
        for axes in panels.flat[len(comparisons) :]:
            axes.set_axis_off()
        legend = {
            label: handle
            for axes in panels.flat
            for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
        }
        figure.suptitle("Accuracy over the memory an item takes", fontweight="bold")
        figure.legend(
            legend.values(), legend.keys(), loc="lower center", ncols=min(4, len(legend) or 1),
            frameon=False,
        )  # fmt: skip
        figure.tight_layout(rect=(0, 0.16 / n_lines, 1, 1), h_pad=2, w_pad=2)
        figure.savefig(picture, metadata={"Date": None})
        plt.close(figure)


def _panel(axes: Axes, comparison: dict[str, Any]) -> None:
    rows: list[Row] = comparison["rows"]
    k = comparison["k"]
    for method, (colour, marker) in LINES.items():
        of_method = [row for row in rows if row["method"] == method and row["bytes_per_item"]]
        if of_method:
            axes.errorbar(
                [_mean_bytes(row) for row in of_method],
                [row["figures"]["ndcg"][0] for row in of_method],
                yerr=[row["figures"]["ndcg"][1] or 0 for row in of_method],
                color=colour, marker=marker, markersize=5, linewidth=1.5, capsize=2,
                label=of_method[0]["title"], zorder=3,
            )  # fmt: skip
    labels: list[tuple[float, str]] = []
    for row in rows:
        is_published = row["kind"] == "published"
        if row["method"] in LINES or (is_published and not row["bytes_per_item"]):
            continue
        ndcg, title = row["figures"]["ndcg"][0], row["title"]
        if is_published:
            title = title.rpartition(": ")[2].partition(" (")[0] + ", as printed"
        labels.append((ndcg, title))
        if row["bytes_per_item"]:
            face = "white" if is_published else GREY
            axes.plot(_mean_bytes(row), ndcg, "P", color=GREY, markerfacecolor=face, zorder=2)
        else:
            axes.axhline(ndcg, color=GREY, linewidth=0.8, linestyle=":", zorder=1)
    axes.set_title(comparison["title"], fontsize=11)
    axes.set_xscale("log", base=2)
    axes.set_xlim(6, 1400)
    axes.set_xticks(BYTES, [f"{n:,}" for n in BYTES])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("bytes an item (log scale)")
    axes.set_ylabel(f"NDCG@{k}")
    plain(axes)
    _label(axes, labels)


def _label(axes: Axes, labels: list[tuple[float, str]]) -> None:
    """Write names at the right edge, pushed apart, each with a line to its height."""
    low, high = axes.get_ylim()
    ordered = sorted(labels)
    heights = [(value - low) / (high - low) for value, _ in ordered]
    for (_, name), height, place in zip(ordered, heights, _apart(heights), strict=True):
        axes.annotate(
            name, xy=(1.0, height), xytext=(1.06, place), xycoords="axes fraction",
            textcoords="axes fraction", fontsize=8, color=GREY, va="center",
            arrowprops={
                "arrowstyle": "-", "color": GREY, "linewidth": 0.5, "relpos": (0, 0.5),
                "shrinkA": 1, "shrinkB": 0,
            },
        )  # fmt: skip


def _apart(heights: list[float]) -> list[float]:
    """Move ascending heights until `GAP` lies between any two, each group about its own middle."""
    groups: list[list[float]] = []
    for height in heights:
        groups.append([height])
        while len(groups) > 1 and _ends(groups[-2])[1] + GAP > _ends(groups[-1])[0]:
            groups[-2:] = [groups[-2] + groups[-1]]
    return [_ends(group)[0] + GAP * position for group in groups for position in range(len(group))]


def _ends(group: list[float]) -> tuple[float, float]:
    """Return the lowest and the highest place of a group's labels, all in the panel if they fit."""
    span = GAP * (len(group) - 1)
    lowest = max(0.0, min(sum(group) / len(group) - span / 2, 1.0 - span))
    return lowest, lowest + span


def _mean_bytes(row: Row) -> float:
    return sum(row["bytes_per_item"]) / len(row["bytes_per_item"])


def main() -> None:
    """Draw from the command line."""
    if len(sys.argv) != 3:
        sys.exit("usage: python -m benchmarks.accuracy_plot ACCURACY.json PICTURE.svg")
    draw(Path(sys.argv[1]), Path(sys.argv[2]))


if __name__ == "__main__":
    main()
