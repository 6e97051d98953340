"""Seconds and peak memory of reading a file of interactions, beside polars alone.

    python -m benchmarks.reading [--rows 10000000] [--before SRC] [--json FILE]

Invented rows `user_id,item_id,rating,timestamp` as CSV, as CSV with every field in quotes, as CSV
with one stray quote in a column that is not used, gzipped, and as Parquet. Each reading is a
process of its own. polars reads the same columns as strings (Parquet: as they are) and checks
nothing; hashrec also detects the format, counts lines, checks ids, converts values and times,
numbers the ids and merges duplicates. `--before` names the folder `src` of another checkout, which
is measured too. CPU seconds are those of all threads.
"""

from __future__ import annotations

import argparse
import gzip
import json
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
import polars as pl

from benchmarks.processes import measured
from hashrec.index.commands.printing import print_table

POLARS_CSV = """
import polars as pl, sys
names = ["user_id", "item_id", "rating", "timestamp"]
pl.read_csv(sys.argv[1], columns=names, schema_overrides=dict.fromkeys(names, pl.String))
"""
POLARS_PARQUET = """
import polars as pl, sys
pl.read_parquet(sys.argv[1], columns=["user_id", "item_id", "rating", "timestamp"])
"""
HASHREC = """
import sys
from hashrec.training.data.reading import read_interactions
print(len(read_interactions(sys.argv[1]).interactions))
"""


def write_files(folder: Path, n_rows: int) -> dict[str, Path]:
    """Write the invented rows in every form."""
    random = np.random.default_rng(0)
    frame = pl.DataFrame(
        {
            "user_id": random.integers(0, max(2, n_rows // 50), n_rows),
            "item_id": random.zipf(1.3, n_rows) % max(2, n_rows // 100),
            "rating": random.integers(1, 11, n_rows) / 2,
            "timestamp": random.integers(1_500_000_000, 1_700_000_000, n_rows),
        }
    ).with_columns(
        user_id=pl.format("u{}", "user_id"), item_id=pl.format("i{}", "item_id"),
        note=pl.lit("TV"),
    )  # fmt: skip
    files = {
        name: folder / name for name in ("plain.csv", "quoted.csv", "stray.csv", "rows.parquet")
    }
    frame.write_csv(files["plain.csv"])
    frame.write_csv(files["quoted.csv"], quote_style="always")
    frame.write_parquet(files["rows.parquet"])
    stray = pl.when(pl.int_range(pl.len()) == n_rows // 2).then(pl.lit('TV 32"')).otherwise("note")
    frame.with_columns(note=stray).write_csv(files["stray.csv"], quote_style="never")
    files["plain.csv.gz"] = folder / "plain.csv.gz"
    with (
        files["plain.csv"].open("rb") as source,
        gzip.open(files["plain.csv.gz"], "wb", compresslevel=1) as target,
    ):
        shutil.copyfileobj(source, target)
    return files


def measure(code: str, path: Path, source: Path | None = None) -> dict[str, float]:
    """Run a reading in a process of its own."""
    environment = {} if source is None else {"PYTHONPATH": str(source)}
    return measured([sys.executable, "-c", code, str(path)], environment)


def main() -> None:
    """Print a table, a row for each file and reader."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--before", type=Path, help="folder src of another checkout")
    parser.add_argument("--json", type=Path, help="file for the figures")
    arguments = parser.parse_args()
    figures: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory() as folder:
        for name, path in write_files(Path(folder), arguments.rows).items():
            alone = POLARS_PARQUET if name.endswith("parquet") else POLARS_CSV
            readers: dict[str, tuple[str, Path | None]] = {
                "polars": (alone, None), "hashrec": (HASHREC, None),
            }  # fmt: skip
            if arguments.before is not None:
                readers["hashrec before"] = (HASHREC, arguments.before)
            if name == "stray.csv":
                del readers["polars"]  # it refuses the file or misreads it
                readers.pop("hashrec before", None)
            base: dict[str, float] | None = None
            for reader, (code, source) in readers.items():
                print(f"{name}: {reader}", file=sys.stderr, flush=True)
                found = measure(code, path, source)
                base = base or found
                figures.append(
                    {"file": name, "reader": reader, **found,
                     "ratio": found["seconds"] / base["seconds"],
                     "memory_ratio": found["peak_mb"] / base["peak_mb"]}
                )  # fmt: skip
    print_table(list(figures[0]), [list(row.values()) for row in figures])
    if arguments.json is not None:
        arguments.json.write_text(
            json.dumps({"rows": arguments.rows, "figures": figures}, indent=2)
        )


if __name__ == "__main__":
    main()
