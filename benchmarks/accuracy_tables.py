"""Reports of many runs as the rows of a comparison, and these as Markdown."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.accuracy_jobs import Job, Report
from benchmarks.accuracy_protocol import DATASETS, FLOAT_METHODS, HASH_METHODS
from hashrec.index.errors import DataError
from hashrec.training.reproduction.published import PUBLISHED
from hashrec.training.reproduction.summary import DASH, METRICS, as_text, mean_and_deviation

_OF_THE_SPLIT = ("sha256", "n_users", "n_items", "n_train", "n_held_out")  # one seed, the same


@dataclass(frozen=True)
class Row:
    """One method at one width.

    Attributes:
        method: its name, `published` for what others print.
        title: for people.
        kind: `float`, `codes`, `reranked` or `published`.
        bits: None for floats.
        bytes_per_item: smallest and largest of the splits; empty where there is no such number.
        n_splits: that the figures are the mean of.
        figures: name -> mean over the splits, and their standard deviation, if they are several.
            Keys are recall, map and ndcg.
        seconds: mean.
        peak_mb: the largest.
        chose_reranker: the seconds include the choice of vectors, which this row does without.
        teacher: names of the teachers, the most frequent first.
        teacher_share: of the teacher's NDCG, mean over the splits.
    """

    method: str
    title: str
    kind: str
    bits: int | None
    bytes_per_item: tuple[int, ...]
    n_splits: int
    figures: Mapping[str, tuple[float, float | None]]
    seconds: float | None = None
    peak_mb: float | None = None
    chose_reranker: bool = False
    teacher: tuple[str, ...] = ()
    teacher_share: float | None = None


@dataclass(frozen=True)
class Comparison:
    """Everything known of one data set.

    Attributes:
        dataset: key of `DATASETS`.
        title: for people.
        k: length of the lists.
        sizes: users, items and pairs to learn from and to judge by, of the first split.
        rows: floats, then codes, then what others print.
        missing: what there is no figure for -> why.
    """

    dataset: str
    title: str
    k: int
    sizes: Mapping[str, int]
    rows: tuple[Row, ...]
    missing: Mapping[str, str]


def compare(
    dataset: str, reports: Sequence[tuple[Job, Report]], missing: Mapping[str, str]
) -> Comparison:
    """Make a data set's rows from the reports of its runs.

    Raises:
        DataError: two runs learned from other data.
    """
    protocol = DATASETS[dataset]
    groups: dict[tuple[str, int | None], list[Report]] = {}
    first: dict[int, tuple[Job, Mapping[str, Any]]] = {}
    for job, report in reports:
        other, data = first.setdefault(job.seed, (job, report["data"]))
        if any(data[name] != report["data"][name] for name in _OF_THE_SPLIT):
            raise DataError(
                f"{job.name} and {other.name} are of other data; delete the folder that is wrong"
            )
        groups.setdefault((job.method, job.bits), []).append(report)
    rows = [_row(method, bits, runs) for (method, bits), runs in groups.items()]
    known = [*FLOAT_METHODS, *HASH_METHODS]
    rows.sort(key=lambda row: (known.index(row.method), row.bits or 0))
    printed = [
        Row(
            "published",
            figure.title,
            "published",
            figure.bits,
            () if figure.n_bytes is None else (figure.n_bytes,),
            0,
            {name: (value, None) for name, value in figure.figures().items()},
        )
        for figure in PUBLISHED
        if figure.dataset == dataset
    ]
    data = first[min(first)][1]
    counts = {name: data[name] for name in _OF_THE_SPLIT if name.startswith("n_")}
    return Comparison(dataset, protocol.title, protocol.k, counts, (*rows, *printed), dict(missing))


def _row(method: str, bits: int | None, runs: Sequence[Report]) -> Row:
    is_float = bits is None
    described = FLOAT_METHODS[method] if is_float else HASH_METHODS[method]
    kind = "float" if is_float else HASH_METHODS[method].ranked_by
    judged = [_judged(report, kind) for report in runs]
    shares = [
        figures["ndcg"] / report["metrics"]["test"]["teacher"]["ndcg"]
        for figures, report in zip(judged, runs, strict=True)
        if report["metrics"]["test"].get("teacher", {}).get("ndcg")
    ]
    sizes = [_n_bytes(report, kind) for report in runs]
    known = sorted({size for size in sizes if size is not None})
    teachers = Counter(report["config"]["teacher"]["name"] for report in runs if shares)
    return Row(
        method,
        described.title,
        kind,
        bits,
        tuple(dict.fromkeys((known[0], known[-1]))) if known else (),
        len(runs),
        {name: mean_and_deviation([one[name] for one in judged]) for name in METRICS},
        statistics.mean(report["seconds"]["total"] for report in runs),
        max(report["peak_memory_mb"] for report in runs),
        kind == "codes" and any(report["config"]["rerank"] == "auto" for report in runs),
        tuple(name for name, _ in teachers.most_common()),
        statistics.mean(shares) if shares else None,
    )


def _judged(report: Report, kind: str) -> dict[str, float]:
    figures = report["metrics"]["test"]
    if kind == "reranked":  # where vectors did not pay, the codes are what is served
        return figures.get("reranked", figures["codes"])
    return figures["scores" if kind == "float" else "codes"]


def _n_bytes(report: Report, kind: str) -> int | None:
    return report["bytes_per_item"].get("code" if kind == "codes" else "total")


def markdown(comparison: Comparison) -> str:
    """Return a heading, the table, and what it lacks."""
    k, sizes = comparison.k, comparison.sizes
    lines = [
        f"### {comparison.title}",
        "",
        f"{sizes['n_users']:,} users x {sizes['n_items']:,} items, {sizes['n_train']:,} pairs to "
        f"learn from, {sizes['n_held_out']:,} to judge by.",
        "",
        f"| | bits | bytes an item | Recall@{k} | MAP@{k} | NDCG@{k} | splits | seconds | peak MB "
        "| of its teacher |",
        "|---|---|---|---|---|---|---|---|---|---|",
        *(f"| {' | '.join(_cells(row))} |" for row in comparison.rows),
    ]
    if any(row.chose_reranker for row in comparison.rows):
        lines += ["", "† with the choice of vectors to re-rank by, made in the same run."]
    if comparison.missing:
        lines += ["", *(f"- No {what}: {why}" for what, why in comparison.missing.items())]
    return "\n".join(lines)


def summary(comparisons: Iterable[Comparison]) -> str:
    """Return one line a data set: NDCG of the widest codes beside the floats'."""
    lines = [
        "| NDCG | popularity | iALS-64 | iALS-192 | best float here | codes alone | bytes "
        "| re-ranked | bytes |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for comparison in comparisons:
        rows = comparison.rows
        floats = [row for row in rows if row.kind == "float"]
        best = max(floats, key=_ndcg, default=None)
        named = {row.method: row for row in floats}
        # rows are in order of width, so that the widest is what is left
        widest = {row.method: row for row in rows if row.method in ("auto", "auto-reranked")}
        codes, reranked = widest.get("auto"), widest.get("auto-reranked")
        cells = [
            f"{comparison.title}, @{comparison.k}",
            *(_figure(named.get(name)) for name in ("popularity", "ials-64", "ials-192")),
            DASH if best is None else f"{_figure(best)} ({best.title})",
            _figure(codes),
            _bytes(codes),
            _figure(reranked),
            _bytes(reranked),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def as_json(comparisons: Iterable[Comparison]) -> dict[str, Any]:
    """Return all comparisons as plain data."""
    return {comparison.dataset: asdict(comparison) for comparison in comparisons}


def _cells(row: Row) -> list[str]:
    seconds = DASH if row.seconds is None else f"{row.seconds:,.0f}{'†' * row.chose_reranker}"
    share = DASH
    if row.teacher_share is not None:
        share = f"{row.teacher_share:.1%} of {', '.join(row.teacher)}"
    return [
        row.title,
        DASH if row.bits is None else str(row.bits),
        _bytes(row),
        *(_figure(row, name) for name in METRICS),
        str(row.n_splits or DASH),
        seconds,
        DASH if row.peak_mb is None else f"{row.peak_mb:,.0f}",
        share,
    ]


def _ndcg(row: Row) -> float:
    return row.figures["ndcg"][0]


def _bytes(row: Row | None) -> str:
    return (DASH.join(map(str, row.bytes_per_item)) if row else "") or DASH


def _figure(row: Row | None, name: str = "ndcg") -> str:
    if row is None or name not in row.figures:
        return DASH
    return as_text(*row.figures[name])
