"""What came of the runs: one document for machines, and its tables as Markdown."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from training.report import environment
from training.reproduction.methods import (
    BARS_OF_FIGURE,
    METHODS,
    METHODS_OF_TABLE,
    SWEEPS,
    TITLE_OF_FIGURE,
)
from training.reproduction.planning import Target, is_registered
from training.reproduction.published import PUBLISHED
from training.reproduction.runs import Run
from training.reproduction.summary import DASH, METRICS, as_text, mean_and_deviation

Block = dict[str, Any]


@dataclass(frozen=True)
class Outcome:
    """A run and what came of it.

    Attributes:
        run: with all its settings.
        report: None if it failed.
        reason: why it failed.
    """

    run: Run
    report: dict[str, Any] | None
    reason: str = ""

    @property
    def figures(self) -> dict[str, float]:
        """What the run was judged, by name, of a run that did not fail."""
        assert self.report is not None
        (judged,) = self.report["metrics"].values()
        (figures,) = judged.values()
        return figures

    @property
    def ndcg(self) -> float:
        """NDCG of a run that did not fail."""
        return self.figures["ndcg"]

    def __str__(self) -> str:
        if self.report is None:
            return f"failed: {self.reason}"
        return f"NDCG@{self.figures['k']} {as_text(self.ndcg)}"


Outcomes = Mapping[str, Outcome]


def build_report(
    targets: Sequence[Target], outcomes: Outcomes, effort: str, choices: Sequence[Block]
) -> Block:
    """Return everything as plain data.

    Args:
        targets: what was asked for.
        outcomes: of all runs, by key.
        effort: name of how thoroughly things were run.
        choices: what was chosen on validation parts.
    """
    done = [outcome for outcome in outcomes.values() if outcome.report is not None]
    return {
        "effort": effort,
        "environment": environment(),
        "compute": _compute(done),
        "tables": {
            str(target.name): _table(target, outcomes)
            for target in targets
            if target.kind == "table"
        },
        "figures": {
            str(target.name): _figure(target, outcomes)
            for target in targets
            if target.kind == "figure"
        },
        "sweeps": {
            str(target.name): _sweep(target, outcomes)
            for target in targets
            if target.kind == "sweep"
        },
        "chosen": list(choices),
        "runs": [
            {
                "method": outcome.run.method,
                "seed": outcome.run.seed,
                "key": key,
                **(outcome.report or {"failed": outcome.reason}),
            }
            for key, outcome in outcomes.items()
        ],
    }


def _table(target: Target, outcomes: Outcomes) -> Block:
    source, protocol = target.plan.source, target.plan.source.protocol
    runs = target.runs()
    done = [outcome for outcome in _of(runs, outcomes) if outcome.report is not None]
    absent = [name for name in METHODS_OF_TABLE if not is_registered(name)]
    data = done[0].report["data"] if done and done[0].report else {}
    printed = [figure for figure in PUBLISHED if figure.dataset == source.dataset]
    rows = _rows(METHODS_OF_TABLE, runs, outcomes)
    here = {row["method"] for row in rows}
    return {
        "dataset": source.dataset,
        "title": protocol.title,
        "k": protocol.k,
        "n_bits": protocol.n_bits,
        "sizes": {name: data[name] for name in data if name.startswith("n_")},
        "printed_sizes": protocol.printed_sizes,
        "n_interactions": source.n_interactions,
        "rows": rows,
        "printed": [
            {"title": figure.title, "bits": figure.bits, "figures": figure.figures()}
            for figure in printed
            if figure.method not in here
        ],
        "missing": {METHODS[name].title: "not in this version" for name in absent}
        | _failures(runs, outcomes),
        "compute": _compute(done),
    }


def _figure(target: Target, outcomes: Outcomes) -> Block:
    runs, number = target.runs(), int(target.name)
    block: Block = {
        "title": TITLE_OF_FIGURE[number],
        "dataset": target.plan.source.protocol.title,
        "k": target.plan.source.protocol.k,
        "missing": _failures(runs, outcomes),
    }
    if number in BARS_OF_FIGURE:
        return block | {"bars": _rows(BARS_OF_FIGURE[number], runs, outcomes)}
    curves = {
        METHODS[outcome.run.method].title: _loss(outcome.report)
        for outcome in _of(runs, outcomes)
        if outcome.report is not None
    }
    return block | {"curves": curves}


def _sweep(target: Target, outcomes: Outcomes) -> Block:
    name = str(target.name)
    lines: dict[str, list[Block]] = {}
    for (line, value), runs in target.plan.sweep(name).items():
        judged = [outcome.ndcg for outcome in _of(runs, outcomes) if outcome.report is not None]
        if judged:
            point = {"value": value, "ndcg": mean_and_deviation(judged), "n_splits": len(judged)}
            lines.setdefault(line, []).append(point)
    protocol = target.plan.source.protocol
    return {
        "title": SWEEPS[name].title,
        "dataset": protocol.title,
        "k": protocol.k,
        "lines": lines,
        "missing": _failures(target.runs(), outcomes),
    }


def _rows(names: Iterable[str], runs: Sequence[Run], outcomes: Outcomes) -> list[Block]:
    """Return a row of each method with a finished run."""
    rows: list[Block] = []
    for name in names:
        of_method = [run for run in runs if run.method == name]
        done = [outcome for outcome in _of(of_method, outcomes) if outcome.report is not None]
        if not done:
            continue
        reports = [outcome.report for outcome in done if outcome.report is not None]
        dataset = done[0].run.source.dataset
        printed = [
            figure.figures()
            for figure in PUBLISHED
            if (figure.dataset, figure.method) == (dataset, name)
        ]
        rows.append(
            {
                "method": name,
                "title": METHODS[name].title,
                "bits": done[0].run.model.get("n_bits"),
                "n_splits": len(done),
                "figures": {
                    metric: mean_and_deviation([outcome.figures[metric] for outcome in done])
                    for metric in METRICS
                },
                "printed": printed[0] if printed else {},
                "seconds": statistics.mean(report["seconds"]["total"] for report in reports),
                "peak_mb": max(report["peak_memory_mb"] for report in reports),
            }
        )
    return rows


def _of(runs: Iterable[Run], outcomes: Outcomes) -> list[Outcome]:
    return [outcomes[run.key()] for run in runs]


def _failures(runs: Iterable[Run], outcomes: Outcomes) -> dict[str, str]:
    failed = (outcome for outcome in _of(runs, outcomes) if outcome.report is None)
    return {str(outcome.run): outcome.reason for outcome in failed}


def _loss(report: Block) -> list[float]:
    """Return the curve of the last loop that has a loss: a model's, whose teacher's come before."""
    curves = [curve["loss"] for curve in report["curves"].values() if "loss" in curve]
    return curves[-1]


def _compute(done: Iterable[Outcome]) -> Block:
    """Return what runs took together, a teacher that several learn from counted once."""
    seconds = [outcome.report["seconds"] for outcome in done if outcome.report is not None]
    return {
        "runs": len(seconds),
        "seconds": sum(one["spent"] for one in seconds),
        "processor_seconds": sum(one["processor"] for one in seconds),
    }


def markdown_blocks(report: Block) -> dict[str, str]:
    """Return the text of each table, figure and sweep, by names such as `table 2`."""
    made = _how(report)
    return {
        **{f"table {n}": _table_text(n, block, made) for n, block in report["tables"].items()},
        **{f"figure {n}": _figure_text(n, block, made) for n, block in report["figures"].items()},
        **{f"sweep {n}": _sweep_text(n, block, made) for n, block in report["sweeps"].items()},
    }


def _how(report: Block) -> str:
    environment = report["environment"]
    commit = environment["commit"] or f"hashrec {environment['hashrec']}"
    chosen = "settings chosen on validation parts" if report["chosen"] else "settings as written"
    return f"{report['effort']} runs, {chosen}, {commit}"


def _table_text(number: str, block: Block, made: str) -> str:
    k, sizes, compute = block["k"], block["sizes"], block["compute"]
    printed_sizes = block["printed_sizes"]
    ours = (sizes.get("n_users"), sizes.get("n_items"), block["n_interactions"])
    same = "the paper's sizes" if ours == tuple(printed_sizes or ()) else "not the paper's sizes"
    lines = [
        f"### Table {number}: {block['title']}, {block['n_bits']} bits",
        "",
        f"{ours[0]:,} users x {ours[1]:,} items, {ours[2]:,} interactions ({same}), of which "
        f"{sizes['n_held_out']:,} are judged by.",
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
        f"{compute['processor_seconds'] / 60:,.0f} of one processor. {made[:1].upper()}{made[1:]}.",
    ]
    return "\n".join([*lines, *_missing(block)])


def _printed(figures: Mapping[str, float], metric: str) -> str:
    return as_text(figures[metric]) if metric in figures else DASH


def _figure_text(number: str, block: Block, made: str) -> str:
    lines = [
        f"### Figure {number}: {block['title']}",
        "",
        f"![{block['title']}](figure-{number}.svg)",
        "",
    ]
    if "bars" in block:
        k, bars = block["k"], block["bars"]
        lines += [
            f"| {block['dataset']} | Recall@{k} | MAP@{k} | NDCG@{k} | splits |",
            "|---|---|---|---|---|",
            *(
                f"| {row['title']} | "
                f"{' | '.join(as_text(*row['figures'][metric]) for metric in METRICS)} "
                f"| {row['n_splits']} |"
                for row in bars
            ),
        ]
        if len(bars) > 1:
            *others, best = bars
            lines += [
                "",
                *(
                    f"{best['title']} over {other['title']}: {_gains(best, other)}."
                    for other in others
                ),
            ]
    else:
        lines += [
            f"| {block['dataset']} | epochs | first | half way | last |",
            "|---|---|---|---|---|",
            *(
                f"| {title} | {len(loss)} | {loss[0]:.4f} | {loss[len(loss) // 2]:.4f} "
                f"| {loss[-1]:.4f} |"
                for title, loss in block["curves"].items()
            ),
        ]
    return "\n".join([*lines, "", f"{made[:1].upper()}{made[1:]}.", *_missing(block)])


def _gains(row: Block, other: Block) -> str:
    names = {"recall": "Recall", "map": "MAP", "ndcg": "NDCG"}
    return ", ".join(
        f"{names[metric]} {row['figures'][metric][0] / other['figures'][metric][0] - 1:+.1%}"
        for metric in METRICS
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
    return "\n".join([*lines, "", f"{made[:1].upper()}{made[1:]}.", *_missing(block)])


def _missing(block: Block) -> list[str]:
    missing = block["missing"]
    return ["", *(f"- Missing: {what}: {why}" for what, why in missing.items())] if missing else []
