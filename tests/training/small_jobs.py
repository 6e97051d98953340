"""Jobs that end in a second or two."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hashrec.training.data.interactions import Interactions
from hashrec.training.data.synthetic import synthetic_catalogue
from hashrec.training.jobs.config import JobConfig, load_config

QUICK_TOML = """
[teacher]
name = "gcn-cf"
factor_dim = 16
epochs = 6
batches_per_epoch = 8

[model]
name = "dgcn-bincf"
n_bits = 64
epochs = 8
batches_per_epoch = 8
"""


def quick_toml(folder: Path) -> Path:
    """Write a configuration file with few epochs."""
    path = folder / "quick.toml"
    path.write_text(QUICK_TOML)
    return path


def quick_config(folder: Path, source: Path | str, **flags: Any) -> JobConfig:
    """Return a job of few epochs on one thread; flags use `__` for dots."""
    dotted = {name.replace("__", "."): value for name, value in flags.items()}
    return load_config(quick_toml(folder), {"data.source": str(source), **dotted})


def small_interactions() -> Interactions:
    """Return invented interactions of 120 users with 80 items."""
    return synthetic_catalogue(n_users=120, n_items=80, n_interactions=2_400, seed=3).interactions


def write_csv(path: Path, interactions: Interactions, *, times: bool = False) -> Path:
    """Write the pairs, with their times or without, as a file that the readers understand."""
    columns = [
        interactions.users.ids(interactions.user_rows),
        interactions.items.ids(interactions.item_rows),
    ]
    if times:
        assert interactions.timestamps is not None
        columns.append([str(time) for time in interactions.timestamps.tolist()])
    lines = (",".join(values) + "\n" for values in zip(*columns, strict=True))
    header = ("user_id", "item_id", "timestamp")[: len(columns)]
    path.write_text(",".join(header) + "\n" + "".join(lines))
    return path


def write_catalogue(folder: Path) -> None:
    """Write small interactions as `clicks.csv`, and what their items are as `items.csv`."""
    made = synthetic_catalogue(n_users=120, n_items=80, n_interactions=2_400, seed=3)
    write_csv(folder / "clicks.csv", made.interactions)
    rows = (
        f"{item_id},{item['title']},{'|'.join(item['categories'])}\n"
        for item_id, item in made.attributes.by_id.items()
    )
    (folder / "items.csv").write_text("item_id,title,categories\n" + "".join(rows))
