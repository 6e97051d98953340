"""Draw the figures and sweeps of a report, all in one style.

    python -m hashrec.training.reproduction.drawing OUT/report.json FOLDER

Needs matplotlib and no other library, so that an environment without the training libraries can
draw a report of `hashrec reproduce`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("svg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

INK, GREY, GRID = "#1f2328", "#57606a", "#d8dee4"
# Of the Okabe-Ito palette, which most kinds of colour blindness can tell apart.
PALETTE = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#56b4e9")
FORMATS = ("svg", "png")
PANEL = (5.6, 3.6)  # inches
METRICS = {"recall": "Recall", "map": "MAP", "ndcg": "NDCG"}

Block = dict[str, Any]


@contextmanager
def look() -> Generator[None]:
    """Set the style of all pictures: the same input gives the same file, and text stays text."""
    style: Any = {
        "svg.hashsalt": "hashrec",
        "svg.fonttype": "none",
        "font.family": "sans-serif",
        "font.sans-serif": ["Helvetica", "Arial", "DejaVu Sans"],
        "text.color": INK,
        "axes.labelcolor": INK,
        "axes.edgecolor": GREY,
        "xtick.color": INK,
        "ytick.color": INK,
        # An opaque background is readable on light and dark pages.
        "figure.facecolor": "white",
        "savefig.facecolor": "white",
    }
    with mpl.rc_context(style):
        yield


def draw(data: Path, folder: Path) -> list[Path]:
    """Draw every figure and sweep of a report as SVG and as PNG.

    Args:
        data: report.json.
        folder: of the pictures.
    """
    report: Block = json.loads(data.read_text())
    written: list[Path] = []
    with look():
        for number, block in report["figures"].items():
            figure = _bars(block) if "bars" in block else _curves(block)
            written += _save(figure, folder / f"figure-{number}")
        for name, block in report["sweeps"].items():
            written += _save(_lines(block), folder / f"sweep-{name}")
    return written


def plain(axes: Axes) -> None:
    """Remove spines, and put grid lines behind the data."""
    axes.yaxis.grid(visible=True, color=GRID, linewidth=0.6, zorder=0)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _bars(block: Block) -> Figure:
    figure, axes = plt.subplots(figsize=PANEL)
    bars = block["bars"]
    width = 0.8 / max(1, len(bars))
    for position, row in enumerate(bars):
        means, deviations = zip(*(row["figures"][metric] for metric in METRICS), strict=True)
        places = [place + width * (position - (len(bars) - 1) / 2) for place in range(len(METRICS))]
        axes.bar(
            places, means, width, yerr=[deviation or 0 for deviation in deviations], capsize=2,
            color=PALETTE[position], label=row["title"], zorder=2,
        )  # fmt: skip
    axes.set_xticks(range(len(METRICS)), [f"{name}@{block['k']}" for name in METRICS.values()])
    return _finished(figure, axes, block)


def _curves(block: Block) -> Figure:
    curves = block["curves"]
    figure, panels = plt.subplots(
        1, max(1, len(curves)), figsize=(PANEL[0] * 1.5, PANEL[1]), squeeze=False
    )
    for axes, colour, (title, loss) in zip(panels.flat, PALETTE, curves.items(), strict=False):
        axes.plot(range(1, len(loss) + 1), loss, color=colour, linewidth=1.5)
        axes.set_title(title, fontsize=11)
        axes.set_xlabel("epoch")
        axes.set_ylabel("loss a training pair")
        plain(axes)
    figure.suptitle(f"{block['title']}, {block['dataset']}", fontweight="bold")
    figure.tight_layout()
    return figure


def _lines(block: Block) -> Figure:
    figure, axes = plt.subplots(figsize=PANEL)
    lines = block["lines"]
    # Values have equal distances: most grow by factors, and some start at zero.
    values = list(dict.fromkeys(p["value"] for points in lines.values() for p in points))
    for colour, (line, points) in zip(PALETTE, lines.items(), strict=False):
        axes.errorbar(
            [values.index(point["value"]) for point in points],
            [point["ndcg"][0] for point in points],
            yerr=[point["ndcg"][1] or 0 for point in points],
            color=colour, marker="o", markersize=5, linewidth=1.5, capsize=2, label=line, zorder=3,
        )  # fmt: skip
    axes.set_xticks(range(len(values)), [str(value) for value in values])
    axes.set_ylabel(f"NDCG@{block['k']}, validation")
    return _finished(figure, axes, block)


def _finished(figure: Figure, axes: Axes, block: Block) -> Figure:
    plain(axes)
    axes.set_title(f"{block['title']}, {block['dataset']}", fontsize=11, fontweight="bold")
    if axes.get_legend_handles_labels()[0]:
        figure.legend(loc="lower center", ncols=3, frameon=False)
    figure.tight_layout(rect=(0, 0.08, 1, 1))
    return figure


def _save(figure: Figure, stem: Path) -> list[Path]:
    paths = [stem.with_name(f"{stem.name}.{ending}") for ending in FORMATS]
    for path in paths:
        # The same figures give the same file: no date in it.
        figure.savefig(path, dpi=150, metadata={"Date": None} if path.suffix == ".svg" else None)
    plt.close(figure)
    return paths


def main() -> None:
    """Draw from the command line."""
    if len(sys.argv) != 3:
        sys.exit("usage: python -m hashrec.training.reproduction.drawing REPORT.json FOLDER")
    draw(Path(sys.argv[1]), Path(sys.argv[2]))


if __name__ == "__main__":
    main()
