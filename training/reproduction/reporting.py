"""Build the report of all runs as plain data."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from typing import Any

from hashrec.training.jobs.report import environment
from hashrec.training.reproduction.methods import (
    BARS_OF_FIGURE,
    METHODS,
    METHODS_OF_TABLE,
    PRINTED_OF_FIGURE,
    SWEEPS,
    TITLE_OF_FIGURE,
)
from hashrec.training.reproduction.planning import Target
from hashrec.training.reproduction.published import PUBLISHED
from hashrec.training.reproduction.results import Finished, Results
from hashrec.training.reproduction.summary import METRICS, mean_and_deviation

Block = dict[str, Any]


def build_report(
    targets: Sequence[Target], results: Results, effort: str, choices: Sequence[Block]
) -> Block:
    """Return the report as plain data.

    Args:
        targets: the requested tables, figures and sweeps.
        results: of all runs.
        effort: name of the effort.
        choices: the settings chosen on validation parts.
    """
    blocks: dict[str, dict[str, Block]] = {"table": {}, "figure": {}, "sweep": {}}
    for target in targets:
        blocks[target.kind][str(target.name)] = _BLOCKS[target.kind](target, results)
    return {
        "effort": effort,
        "environment": environment(),
        "compute": _compute(results.finished.values()),
        "tables": blocks["table"],
        "figures": blocks["figure"],
        "sweeps": blocks["sweep"],
        "chosen": list(choices),
        "runs": [
            {"key": key, "method": done.run.method, "seed": done.run.seed, **done.report}
            for key, done in results.finished.items()
        ],
        "failed": dict(results.failed),
    }


def _table(target: Target, results: Results) -> Block:
    source, protocol, runs = target.plan.source, target.plan.source.protocol, target.runs()
    done = results.of(runs)
    rows = _rows(METHODS_OF_TABLE, done)
    here = {row["method"] for row in rows}
    return {
        "dataset": source.dataset,
        "title": protocol.title,
        "k": protocol.k,
        "n_bits": protocol.n_bits,
        "n_interactions": source.n_interactions,
        "data": done[0].report["data"] if done else {},  # of the first split
        "printed_sizes": protocol.printed_sizes,
        "rows": rows,
        "printed": [
            {"title": figure.title, "bits": figure.bits, "figures": figure.figures()}
            for figure in PUBLISHED
            if figure.dataset == source.dataset and figure.method not in here
        ],
        "missing": results.failures(runs),
        "compute": _compute(done),
    }


def _figure(target: Target, results: Results) -> Block:
    runs, number, protocol = target.runs(), int(target.name), target.plan.source.protocol
    block: Block = {
        "title": TITLE_OF_FIGURE[number],
        "printed": PRINTED_OF_FIGURE[number],
        "dataset": protocol.title,
        "k": protocol.k,
        "missing": results.failures(runs),
    }
    if number in BARS_OF_FIGURE:
        return block | {"bars": _rows(BARS_OF_FIGURE[number], results.of(runs))}
    curves = {METHODS[done.run.method].title: _loss(done.report) for done in results.of(runs)}
    return block | {"curves": curves}


def _sweep(target: Target, results: Results) -> Block:
    name, protocol = str(target.name), target.plan.source.protocol
    lines: dict[str, list[Block]] = {}
    for (line, value), runs in target.plan.sweep(name).items():
        if judged := [done.ndcg for done in results.of(runs)]:
            point = {"value": value, "ndcg": mean_and_deviation(judged), "n_splits": len(judged)}
            lines.setdefault(line, []).append(point)
    return {
        "title": SWEEPS[name].title,
        "dataset": protocol.title,
        "k": protocol.k,
        "lines": lines,
        "missing": results.failures(target.runs()),
    }


_BLOCKS = {"table": _table, "figure": _figure, "sweep": _sweep}


def _rows(names: Iterable[str], finished: Sequence[Finished]) -> list[Block]:
    """Return a row of each method with a finished run."""
    rows: list[Block] = []
    for name in names:
        of_method = [done for done in finished if done.run.method == name]
        if not of_method:
            continue
        run = of_method[0].run
        printed = [
            figure.figures()
            for figure in PUBLISHED
            if (figure.dataset, figure.method) == (run.source.dataset, name)
        ]
        rows.append(
            {
                "method": name,
                "title": METHODS[name].title,
                "bits": run.model.get("n_bits"),
                "n_splits": len(of_method),
                "figures": {
                    metric: mean_and_deviation([done.figures[metric] for done in of_method])
                    for metric in METRICS
                },
                "printed": printed[0] if printed else {},
                "seconds": statistics.mean(done.report["seconds"]["total"] for done in of_method),
                "peak_mb": max(done.report["peak_memory_mb"] for done in of_method),
            }
        )
    return rows


def _loss(report: Block) -> list[float]:
    """Return the loss of the last loop that has one: the model's, which follows its teacher's."""
    curves = [curve["loss"] for curve in report["curves"].values() if "loss" in curve]
    return curves[-1]


def _compute(finished: Iterable[Finished]) -> Block:
    """Return the total time of the runs; a teacher that several runs share counts once."""
    seconds = [done.report["seconds"] for done in finished]
    return {
        "runs": len(seconds),
        "seconds": sum(one["spent"] for one in seconds),
        "processor_seconds": sum(one["processor"] for one in seconds),
    }
