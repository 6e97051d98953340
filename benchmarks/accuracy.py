"""Accuracy: codes at several widths beside every float model, and over the bytes an item takes.

    python -m benchmarks.accuracy [--data-root FOLDER] [--results FOLDER] [--datasets NAME ...]
        [--methods NAME ...] [--bits N ...] [--splits 5] [--no-run] [--write-docs]

FOLDER holds the data sets, one folder each: ml-1m, gowalla, yelp2018, ml-100k; those that are not
there are left out, and named. Each run leaves a folder in RESULTS and is not made again as long as
its settings stay the same, so that the script can be stopped and started. `--no-run` takes what is
there, says what is not, and runs nothing. Tables go to RESULTS/table.md and RESULTS/accuracy.json;
`--write-docs` puts them into docs/accuracy.md, with the plot beside it. Everything, on two cores,
takes many hours.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from importlib.util import find_spec
from pathlib import Path

from benchmarks.accuracy_jobs import Job, Report, finished, invent, jobs, run, stale
from benchmarks.accuracy_protocol import DATASETS, FLOAT_METHODS, HASH_METHODS, METHODS
from benchmarks.accuracy_tables import Comparison, as_json, compare, markdown, summary
from hashrec.index.errors import HashrecError
from hashrec.training.data.catalogue import default_data_home
from hashrec.training.reproduction.summary import write_into

DOCS = Path(__file__).resolve().parents[1] / "docs"
ALL_METHODS = (*FLOAT_METHODS, *HASH_METHODS)


def say(message: str) -> None:
    """Tell people, apart from the tables."""
    print(message, file=sys.stderr, flush=True)


def source_of(dataset: str, root: Path, results: Path) -> Path | None:
    """Return where a data set lies; None, and a word about it, if it does not."""
    if DATASETS[dataset].invented is not None:
        return invent(dataset, results)
    if (root / dataset).is_dir():
        return root / dataset
    say(f"{dataset}: not in {root}, left out")
    return None


def collect(
    wanted: list[Job], source: Path, results: Path, *, may_run: bool
) -> tuple[list[tuple[Job, Report]], dict[str, str]]:
    """Take the reports that are there and make the others.

    Returns:
        Each job with its report, and what there is no report of, with the reason.
    """
    reports: list[tuple[Job, Report]] = []
    missing: dict[str, str] = {}
    for job in wanted:
        described = (FLOAT_METHODS if job.bits is None else HASH_METHODS)[job.method].title
        if described in missing and may_run:
            continue  # what is refused on one split is refused on all
        report = finished(job, results)
        if report is None:
            why = stale(job, results)
            say(f"{job.name}: {'not there' if why is None else f'of other settings: {why}'}")
            if not may_run:
                continue
            start = time.perf_counter()
            try:
                report = run(job, str(source), results)
            except HashrecError as error:
                say(f"{job.name}: {error}")
                missing[described] = str(error)
                continue
            except ChildProcessError as error:
                say(f"{job.name}: {error}")
                missing[job.name] = str(error)
                continue
            say(f"{job.name}: {time.perf_counter() - start:.0f} s")
        reports.append((job, report))
    return reports, missing


def publish(comparisons: list[Comparison], results: Path, *, write_docs: bool) -> None:
    """Print the tables and write them, and the plot where there is something to draw with."""
    tables = "\n\n".join(map(markdown, comparisons))
    in_short = summary(comparisons)
    print(f"{in_short}\n\n{tables}")
    results.mkdir(parents=True, exist_ok=True)
    (results / "table.md").write_text(f"{in_short}\n\n{tables}\n")
    data = results / "accuracy.json"
    data.write_text(json.dumps(as_json(comparisons), indent=2) + "\n")
    picture = (DOCS if write_docs else results) / "accuracy.svg"
    if write_docs:
        write_into(DOCS / "accuracy.md", {"in short": in_short, "tables": tables})
    if find_spec("matplotlib") is None:
        say(f"no matplotlib to draw with: python -m benchmarks.accuracy_plot {data} {picture}")
        return
    from benchmarks.accuracy_plot import draw

    draw(data, picture)


def main() -> None:
    """Run what is missing, then write tables and plot."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    home = os.environ.get("HASHREC_DATA") or default_data_home()
    parser.add_argument("--data-root", type=Path, default=Path(home))
    parser.add_argument("--results", type=Path, default=Path("runs/accuracy"))
    parser.add_argument("--datasets", nargs="+", choices=DATASETS, default=list(DATASETS))
    parser.add_argument("--methods", nargs="+", choices=ALL_METHODS, default=list(METHODS))
    parser.add_argument("--bits", type=int, nargs="+", help="widths, in place of the protocol's")
    parser.add_argument("--splits", type=int, default=5, help="where the split is a random one")
    parser.add_argument("--no-run", action="store_true", help="only take what is there")
    parser.add_argument("--write-docs", action="store_true", help="into docs/accuracy.md and .svg")
    options = parser.parse_args()
    comparisons: list[Comparison] = []
    try:
        for dataset in options.datasets:
            source = Path()  # of no use where nothing runs
            if not options.no_run:
                found = source_of(dataset, options.data_root, options.results)
                if found is None:
                    continue
                source = found
            wanted = list(jobs(dataset, options.methods, options.splits, options.bits))
            reports, missing = collect(wanted, source, options.results, may_run=not options.no_run)
            if reports:
                comparisons.append(compare(dataset, reports, missing))
        publish(comparisons, options.results, write_docs=options.write_docs)
    except HashrecError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
