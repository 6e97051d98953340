"""Find and read the data of each table."""

from __future__ import annotations

from pathlib import Path

from hashrec.index.errors import DataError
from hashrec.index.reading.options import FormatOptions
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
        what: name of the target, such as `Table 2`.
        datasets: keys of `PROTOCOLS`; the first one that is there is used.
        data: a file, the folder of a data set, a folder of named data sets, or a name in `home`;
            None uses the name of the data set.
        home: folder of the named data sets; None for the default.

    Raises:
        DataError: the data are not there; says how to get them.
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
    """Tell whether a path is a folder of named data sets, not a data set itself."""
    return any((folder / name).is_dir() for name in PROTOCOLS)


def _is_empty(path: Path) -> bool:
    return path.is_dir() and not any(path.iterdir())


def _read(datasets: tuple[str, ...], path: Path, home: Path) -> Source:
    """Read data; with a test file beside them, use the protocol with a fixed split if possible."""
    found = read(DataConfig(source=str(path), home=home), lambda _: None)
    fixed = found.test_path is not None
    dataset = next((name for name in datasets if PROTOCOLS[name].fixed_split == fixed), datasets[0])
    protocol = PROTOCOLS[dataset]
    interactions = k_core(found.interactions, protocol.k_core)
    data_hash = interactions.data_hash()
    if protocol.fixed_split:
        if found.test_path is None:
            raise DataError(f"{path}: {protocol.title} needs train.txt and test.txt beside it")
        like_training = FormatOptions(preset=found.reading.preset if found.reading else None)
        test = read_interactions(found.test_path, like_training).interactions
        data_hash = key_of({"train": data_hash, "test": test.data_hash()})
    source = str(path.resolve() if path.exists() else path)  # `synthetic` has no path
    return Source(dataset, source, data_hash, len(interactions))
