"""Write the tables, figures and sweeps of a report as Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hashrec.training.reproduction.summary import DASH, METRICS, as_text

Block = dict[str, Any]


def markdown_blocks(report: Block) -> dict[str, str]:
    """Return the text of each table, figure and sweep, by names such as `table 2`."""
    made = _how(report)
    return {
        **{f"table {n}": _table_text(n, block, made) for n, block in report["tables"].items()},
        **{f"figure {n}": _figure_text(n, block, made) for n, block in report["figures"].items()},
        **{f"sweep {n}": _sweep_text(n, block, made) for n, block in report["sweeps"].items()},
    }


def _how(report: Block) -> str:
    settings = "settings chosen on validation parts" if report["chosen"] else "settings as written"
    commits = sorted({run["environment"]["commit"] or "a release" for run in report["runs"]})
    source = ", ".join(commits) if len(commits) < 4 else f"{len(commits)} commits, see report.json"
    return f"{report['effort'].capitalize()} runs, {settings}; of {source}."


def _table_text(number: str, block: Block, made: str) -> str:
    k, data, compute = block["k"], block["data"], block["compute"]
    if not block["rows"]:
        return "\n".join([f"### Table {number}: {block['title']}", *_missing(block)])
    ours = (data["n_users"], data["n_items"], block["n_interactions"])
    lines = [
        f"### Table {number}: {block['title']}, {block['n_bits']} bits",
        "",
        f"{ours[0]:,} users x {ours[1]:,} items, {ours[2]:,} interactions"
        f"{_beside_the_paper(ours, block['printed_sizes'])}, of which {data['n_held_out']:,} "
        "are judged by.",
        "",
        f"| | bits | Recall@{k} | MAP@{k} | NDCG@{k} | Recall, printed | MAP, printed "
        "| NDCG, printed | splits | seconds | peak MB |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in block["rows"]:
        cells = [
            row["title"],
            str(row["bits"] or DASH),
            *(as_text(*row["figures"][metric]) for metric in METRICS),
            *(_printed(row["printed"], metric) for metric in METRICS),
            str(row["n_splits"]),
            f"{row['seconds']:,.0f}",
            f"{row['peak_mb']:,.0f}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    for row in block["printed"]:
        cells = [row["title"], str(row["bits"] or DASH), *[DASH] * 3]
        cells += [*(_printed(row["figures"], metric) for metric in METRICS), *[DASH] * 3]
        lines.append(f"| {' | '.join(cells)} |")
    lines += [
        "",
        f"Seconds are a run's, with its teacher's fit; all {compute['runs']} runs together, each "
        f"teacher fitted once: {compute['seconds'] / 60:,.0f} minutes, "
        f"{compute['processor_seconds'] / 60:,.0f} of one processor. {made}",
    ]
    return "\n".join([*lines, *_missing(block)])


def _beside_the_paper(ours: tuple[int, int, int], printed: tuple[int, int, int] | None) -> str:
    if printed is None:
        return ""
    n_users, n_items, n_interactions = printed
    if ours == printed:
        return ", as in the paper"
    return f" (the paper has {n_users:,} x {n_items:,} and {n_interactions:,})"


def _printed(figures: Mapping[str, float], metric: str) -> str:
    return as_text(figures[metric]) if metric in figures else DASH


def _figure_text(number: str, block: Block, made: str) -> str:
    k, bars, curves = block["k"], block.get("bars", []), block.get("curves", {})
    lines = [
        f"### Figure {number}: {block['title']}",
        "",
        f"![{block['title']}](figure-{number}.svg)",
        "",
    ]
    if "bars" in block:
        lines += [
            f"| {block['dataset']} | Recall@{k} | MAP@{k} | NDCG@{k} | splits |",
            "|---|---|---|---|---|",
        ]
        for row in bars:
            cells = [row["title"], *(as_text(*row["figures"][metric]) for metric in METRICS)]
            lines.append(f"| {' | '.join(cells)} | {row['n_splits']} |")
        gains = [
            f"{bars[-1]['title']} over {other['title']}: {_gains(bars[-1], other)}."
            for other in bars[:-1]
        ]
    else:
        lines += [
            f"| {block['dataset']} | epochs | first | half way | last |",
            "|---|---|---|---|---|",
        ]
        for title, loss in curves.items():
            losses = (loss[0], loss[len(loss) // 2], loss[-1])
            cells = [title, str(len(loss)), *(f"{value:.4f}" for value in losses)]
            lines.append(f"| {' | '.join(cells)} |")
        gains = []
    said = " ".join([*gains, f"In the paper: {block['printed']}.", made])
    return "\n".join([*lines, "", said, *_missing(block)])


def _gains(row: Block, other: Block) -> str:
    names = {"recall": "Recall", "map": "MAP", "ndcg": "NDCG"}
    means = ((row["figures"][metric][0], other["figures"][metric][0]) for metric in METRICS)
    return ", ".join(
        f"{names[metric]} {mean / base - 1:+.1%}" if base else f"{names[metric]} {DASH}"
        for metric, (mean, base) in zip(METRICS, means, strict=True)
    )


def _sweep_text(name: str, block: Block, made: str) -> str:
    values = list(dict.fromkeys(p["value"] for points in block["lines"].values() for p in points))
    lines = [
        f"### Sweep: {block['title']}",
        "",
        f"![{block['title']}](sweep-{name}.svg)",
        "",
        f"| NDCG@{block['k']}, {block['dataset']}, validation | {' | '.join(map(str, values))} |",
        "|---" * (len(values) + 1) + "|",
    ]
    for line, points in block["lines"].items():
        at = {point["value"]: as_text(*point["ndcg"]) for point in points}
        lines.append(f"| {line} | {' | '.join(at.get(value, DASH) for value in values)} |")
    return "\n".join([*lines, "", made, *_missing(block)])


def _missing(block: Block) -> list[str]:
    missing = block["missing"]
    return ["", *(f"- Missing: {what}: {why}" for what, why in missing.items())] if missing else []
