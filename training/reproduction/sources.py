"""The data of each table: where they are, and what they are."""

from __future__ import annotations

from pathlib import Path

from hashrec.index.errors import DataError
from hashrec.training.data.catalogue import default_data_home
from hashrec.training.data.filtering import k_core
from hashrec.training.data.reading import read_interactions
from hashrec.training.jobs.config import DataConfig
from hashrec.training.jobs.inputs import read
from hashrec.training.reproduction.methods import PROTOCOLS
from hashrec.training.reproduction.runs import Source, key_of


def find_source(
    what: str, datasets: tuple[str, ...], data: Path | None, home: Path | None
) -> Source:
    """Find the data of a table and read them once.

    Args:
        what: they are for, such as `Table 2`.
        datasets: keys of `PROTOCOLS`, the first that is there is taken.
        data: a file, the folder of one data set, a folder that holds such by name, or a name in
            `home`; None takes the data set's own name.
        home: where named data sets lie; None for the default.

    Raises:
        DataError: they are not there; says how to get them.
    """
    home = home or default_data_home()
    if data is not None and not data.exists() and (home / data).is_dir():
        data = home / data
    folder = home if data is None else data
    if data is not None and not holds_data_sets(data) and not _is_empty(data):
        return _read(datasets, data, home)
    for name in datasets:
        if (folder / name).is_dir():
            return _read((name,), folder / name, home)
    protocol = PROTOCOLS[datasets[0]]
    raise DataError(f"{what} needs {protocol.title}, which is not in {folder}: {protocol.help}")


def holds_data_sets(folder: Path) -> bool:
    """Say whether a path is a folder of data sets by name, rather than one of them."""
    return any((folder / name).is_dir() for name in PROTOCOLS)


def _is_empty(path: Path) -> bool:
    return path.is_dir() and not any(path.iterdir())


def _read(datasets: tuple[str, ...], path: Path, home: Path) -> Source:
    """Read data; where they bring a test part, by the protocol that takes it, if there is one."""
    found = read(DataConfig(source=str(path), home=home), lambda _: None)
    fixed = found.test_path is not None
    dataset = next((name for name in datasets if PROTOCOLS[name].fixed_split == fixed), datasets[0])
    protocol = PROTOCOLS[dataset]
    interactions = k_core(found.interactions, protocol.k_core)
    data_hash = interactions.data_hash()
    if protocol.fixed_split:
        if found.test_path is None:
            raise DataError(f"{path}: {protocol.title} needs train.txt and test.txt beside it")
        test = read_interactions(found.test_path).interactions
        data_hash = key_of({"train": data_hash, "test": test.data_hash()})
    source = str(path.resolve() if path.exists() else path)  # `synthetic` is nowhere
    return Source(dataset, source, data_hash, len(interactions))
