"""Data sets by name: an invented one, and public ones that are downloaded once."""

from __future__ import annotations

import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from hashrec.index.errors import ConfigError, DataError
from hashrec.index.reading.containers import STANDARD_INPUT
from hashrec.index.reading.options import FormatOptions
from hashrec.index.reading.rows import DETECT
from hashrec.index.strength import Strength
from hashrec.training.data.download import Progress, download
from hashrec.training.data.interactions import Interactions
from hashrec.training.data.items import (
    NO_ATTRIBUTES,
    ItemAttributes,
    ItemReading,
    find_item_attributes,
    read_items,
)
from hashrec.training.data.overlap import LEAST_DESCRIBED, overlap_warning
from hashrec.training.data.reading import ReadResult, read_interactions
from hashrec.training.data.strengths import EVEN, Derived
from hashrec.training.data.synthetic import synthetic_catalogue

SYNTHETIC = "synthetic"
# Names of data files inside a folder, in order of preference; any may be gzipped.
DATA_FILES = (
    "u.data", "ratings.dat", "ratings.csv", "train.txt", "interactions.parquet",
    "interactions.jsonl", "interactions.csv", "interactions.tsv",
)  # fmt: skip


@dataclass(frozen=True)
class NamedDataset:
    """A data set that `--data` takes by its name.

    Attributes:
        description: one line for `hashrec data list`.
        url: a zip archive; None for the invented set.
        md5: checksum of the archive, as published.
    """

    description: str
    url: str | None = None
    md5: str = ""


GROUPLENS = "https://files.grouplens.org/datasets/movielens"
DATASETS: dict[str, NamedDataset] = {
    SYNTHETIC: NamedDataset(
        "invented: 1,000 users x 600 items, 40,000 interactions with planted tastes"
    ),
    "ml-100k": NamedDataset(
        "MovieLens: 943 users x 1,682 movies, 100,000 ratings (research use only)",
        f"{GROUPLENS}/ml-100k.zip",
        "0e33842e24a9c977be4e0107933c0723",
    ),
    "ml-1m": NamedDataset(
        "MovieLens: 6,040 users x 3,706 movies, 1,000,209 ratings (research use only)",
        f"{GROUPLENS}/ml-1m.zip",
        "c4d9eecfca2ab87c1945afe126590906",
    ),
    "ml-10m": NamedDataset(
        "MovieLens: 69,878 users x 10,677 movies, 10,000,054 ratings (research use only)",
        f"{GROUPLENS}/ml-10m.zip",
        "ce571fd55effeba0271552578f2648bd",
    ),
}


@dataclass(frozen=True, eq=False)
class Dataset:
    """Interactions, the attributes of their items, and their origin.

    Attributes:
        name: the name or the path that was asked for.
        interactions: all of them; the training part where `test_path` is set.
        attributes: titles, categories and other attributes of the items; may be empty.
        description: source, format and counts, one line.
        reading: the reader's counts; None for the synthetic set.
        warnings: what the user should look at, such as items whose ids are in no interaction.
        test_path: the test file beside the data, for ``--split given``.
        journal_position: position of the last merged journal entry; None without a journal.
        strength: what the interactions are worth, and why.
    """

    name: str
    interactions: Interactions
    attributes: ItemAttributes = field(default=NO_ATTRIBUTES)
    description: str = ""
    reading: ReadResult | None = None
    warnings: tuple[str, ...] = ()
    test_path: Path | None = None
    journal_position: int | None = None
    strength: Derived = EVEN

    def with_interactions(self, interactions: Interactions) -> Dataset:
        """Return the data set with other interactions, such as a part of them."""
        return replace(self, interactions=interactions)


@dataclass(frozen=True)
class Listing:
    """A line of `hashrec data list`.

    Attributes:
        name: a value for ``--data``.
        description: one line.
        is_here: whether it can be used without a download.
    """

    name: str
    description: str
    is_here: bool


def list_datasets(data_home: Path) -> list[Listing]:
    """Return the named data sets, and whether they are downloaded."""
    return [
        Listing(name, known.description, known.url is None or (data_home / name).is_dir())
        for name, known in DATASETS.items()
    ]


def default_data_home() -> Path:
    """Return the default folder of downloaded data sets."""
    return Path.home() / ".cache" / "hashrec"


def is_synthetic(name_or_path: str) -> bool:
    """Tell whether a name means the invented data set: a path that exists goes before a name."""
    return name_or_path == SYNTHETIC and not Path(name_or_path).exists()


def load_dataset(
    name_or_path: str,
    *,
    data_home: Path | None = None,
    items: Path | None = None,
    item_columns: Mapping[str, str] | None = None,
    options: FormatOptions = DETECT,
    min_value: float | None = None,
    types: Collection[str] | None = None,
    needed: Collection[str] = (),
    max_bad: int = 0,
    strength: Strength | None = None,
) -> Dataset:
    """Load a data set by its name, or from a file or a folder.

    A path that exists goes before a name.

    Args:
        name_or_path: a name in `DATASETS`, a file, or a folder with a data file.
        data_home: folder of the named sets, one folder each; None for the default.
        items: file of the items' attributes; the file beside a MovieLens file is found without it.
        item_columns: role -> column of that file, see `read_items`.
        options: see `read_interactions`, as for the next four. The encoding and the quoting are
            also those of the file of items.
        min_value: least value of a positive.
        types: types of positives.
        needed: roles that every row has to have.
        max_bad: bad rows allowed in each file.
        strength: what the interactions are worth; None derives it from the data.

    Raises:
        DataError: the data set is not there, or it cannot be read.
    """
    if str(items) == name_or_path == STANDARD_INPUT:
        raise ConfigError("--data and --items both read standard input; give one of them a file")
    if is_synthetic(name_or_path):
        made = synthetic_catalogue()
        dataset = Dataset(
            name_or_path,
            made.interactions,
            made.attributes,
            f"synthetic: invented data, {made.interactions.n_users:,} users x "
            f"{made.interactions.n_items:,} items; {len(made.interactions):,} interactions",
            strength=EVEN if strength is None else Derived(strength, expected=True),
        )
    else:
        path = find_data_file(name_or_path, data_home or default_data_home())
        reading = read_interactions(
            path,
            options,
            min_value=min_value,
            types=types,
            needed=needed,
            max_bad=max_bad,
            strength=strength,
        )
        items = items or find_item_attributes(path)
        dataset = Dataset(
            name_or_path,
            reading.interactions,
            description=reading.summary(),
            reading=reading,
            test_path=_test_file(path),
            strength=reading.strength,
        )
    if items is None:
        if item_columns:
            raise ConfigError("--map-items names columns of --items FILE, which is not given")
        return dataset
    item_options = FormatOptions(
        columns=item_columns or {}, encoding=options.encoding, quoting=options.quoting
    )
    return _described(dataset, read_items(items, item_options, max_bad=max_bad))


def _described(dataset: Dataset, items: ItemReading) -> Dataset:
    """Return a data set with the attributes of a file of items."""
    ids = dataset.interactions.items
    known = ids.ids(range(len(ids)))
    described = items.attributes.by_id
    n_described = sum(item_id in described for item_id in known)
    warning = overlap_warning(
        described, known, items.path.name, "the interactions", LEAST_DESCRIBED
    )
    return replace(
        dataset,
        attributes=items.attributes,
        description=f"{dataset.description}; {items.summary()}; they are {n_described:,} of "
        f"{len(known):,} items of the interactions",
        warnings=(warning,) if warning else (),
    )


def find_data_file(name_or_path: str, data_home: Path) -> Path:
    """Return the data file of a name, of a folder, or the file itself.

    Raises:
        DataError: there is no such file; says how to download a data set with that name.
    """
    path = Path(name_or_path)
    if name_or_path == STANDARD_INPUT:
        return path
    if not path.exists() and "/" not in name_or_path and (data_home / name_or_path).is_dir():
        path = data_home / name_or_path
    if path.is_dir():
        candidates = (path / (name + end) for name in DATA_FILES for end in ("", ".gz"))
        # a folder of Parquet files is itself the data
        return next((file for file in candidates if file.is_file()), path)
    if not path.exists():
        if name_or_path in DATASETS:
            raise DataError(
                f"{name_or_path}: not in {data_home}; run `hashrec data fetch {name_or_path}`"
            )
        raise DataError(
            f"{name_or_path}: no such file or data set; `hashrec data list` names the data sets"
        )
    return path


def fetch(name: str, data_home: Path, progress: Progress = lambda _done, _total: None) -> Path:
    """Download and unpack a named data set, unless its folder exists.

    Returns:
        The set's folder, ``data_home/name``.

    Raises:
        ConfigError: no data set of that name can be downloaded.
        DataError: the download failed or the archive is damaged.
    """
    dataset = DATASETS.get(name)
    if dataset is None or dataset.url is None:
        names = ", ".join(name for name, known in DATASETS.items() if known.url)
        raise ConfigError(f"no data set {name!r} to fetch; there are {names}")
    folder = data_home / name
    if folder.is_dir():
        return folder
    archive = download(dataset.url, data_home / f"{name}.zip", dataset.md5, progress)
    unpack(archive, folder)
    archive.unlink()
    return folder


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a zip archive's files into a new folder, without the folders inside the archive.

    The folder appears complete or not at all. It is flat, so that no name in the archive leads
    outside it.

    Raises:
        DataError: the archive is damaged, or has two files of the same name.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        with zipfile.ZipFile(archive) as files:
            for entry in files.infolist():
                name = PurePosixPath(entry.filename).name
                if entry.is_dir() or name.startswith(".") or "__MACOSX" in entry.filename:
                    continue
                target = unfinished / name
                if target.exists():
                    raise DataError(f"{archive}: two files named {name}; unpack it by hand")
                with files.open(entry) as source, target.open("wb") as copy:
                    shutil.copyfileobj(source, copy)
        unfinished.chmod(0o755)
        unfinished.replace(folder)
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise DataError(
            f"{archive}: the zip archive is damaged; delete it and fetch it again"
        ) from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _test_file(path: Path) -> Path | None:
    """Return test.txt beside train.txt, both gzipped or not."""
    if not path.name.startswith("train."):
        return None
    beside = path.with_name(path.name.replace("train.", "test.", 1))
    return beside if beside.is_file() else None
