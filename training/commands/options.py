"""Options of the commands that read data and train, and the settings of a job that they give."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hashrec.index.commands.completion import key_of, one_of
from hashrec.index.commands.file_options import FileOptions, parse_columns

if TYPE_CHECKING:
    from hashrec.training.jobs.config import JobConfig

DATA = typer.Option(
    "--data",
    help="Data set by name (see `hashrec data list`) or path.",
    autocompletion=key_of("hashrec.training.data.catalogue", "DATASETS"),
)
DataArgument = Annotated[
    str, typer.Argument(metavar="DATA", help=DATA.help, autocompletion=DATA.autocompletion)
]
HomeOption = Annotated[
    Path | None,
    typer.Option(
        "--data-home",
        envvar="HASHREC_DATA_HOME",
        help="Folder of the fetched data sets. [~/.cache/hashrec]",
    ),
]
ItemsOption = Annotated[
    Path | None, typer.Option(help="File of titles, categories and other attributes of items.")
]
MapItemsOption = Annotated[
    str | None,
    typer.Option(
        "--map-items",
        help="Columns of --items by role, for example item=sku,title=name; categories=- for none.",
    ),
]
SeedOption = Annotated[
    int | None, typer.Option(min=0, help="Seed of the split and of the training. [0]")
]
DeviceOption = Annotated[
    str | None,
    typer.Option(help="auto, cpu or cuda. [auto]", autocompletion=one_of("auto", "cpu", "cuda")),
]
FreshOption = Annotated[
    bool, typer.Option("--fresh", help="Start over: do not resume a job that was killed.")
]


@dataclass(frozen=True, kw_only=True)
class DataOptions(FileOptions):
    """The options of every command that reads interactions; None where an option is not given."""

    min_value: Annotated[
        float | None, typer.Option(help="Least value of a positive interaction. [all are positive]")
    ] = None
    types: Annotated[
        str | None,
        typer.Option(
            help="Types of positive interactions, for example click,buy. "
            "[all but dislike, skip and hide]"
        ),
    ] = None
    home: HomeOption = None

    def reading(self) -> dict[str, Any]:
        """Return the keywords of `load_dataset` and `validate` that say how the file is read."""
        return {
            "data_home": self.home,
            "options": self.format_options(),
            "min_value": self.min_value,
            "types": parse_types(self.types),
        }


@dataclass(frozen=True, kw_only=True)
class JobOptions(DataOptions):
    """The options of every command that runs a job; None where an option is not given."""

    data: Annotated[str | None, DATA] = None
    model: Annotated[
        str | None,
        typer.Option(
            help="Hash model. [auto: listwise, its teacher and target chosen on held-out data]",
            autocompletion=key_of("hashrec.training.models", "HASH_MODELS", "auto"),
        ),
    ] = None
    teacher: Annotated[
        str | None,
        typer.Option(
            help="Teacher. [chosen on held-out data for auto, else the model's default]",
            autocompletion=key_of("hashrec.training.teachers", "TEACHERS"),
        ),
    ] = None
    config: Annotated[
        Path | None, typer.Option(help="TOML file of settings; options override it.")
    ] = None
    bits: Annotated[int | None, typer.Option(help="Width of the codes, a multiple of 8. [192]")] = (
        None
    )
    preset: Annotated[
        str | None,
        typer.Option(
            help="Format of the file, if it is not to be detected; or `paper`, the protocol of the "
            "paper: 20-core, half of each user's items held out.",
            autocompletion=key_of("hashrec.index.reading.readers", "READERS", "paper"),
        ),
    ] = None
    k_core: Annotated[
        int | None,
        typer.Option(
            min=0, help="Drop users and items with fewer interactions, repeatedly. [0: keep all]"
        ),
    ] = None
    seed: SeedOption = None
    device: DeviceOption = None
    index: Annotated[
        str | None,
        typer.Option(
            help="Search index, for example flat (exact) or ivf (for millions of items). [flat]",
            autocompletion=key_of("hashrec.index.backends", "INDEX_TYPES"),
        ),
    ] = None
    rerank: Annotated[
        str | None,
        typer.Option(
            help="Re-rank the nearest items by small int8 vectors: off, or auto, which measures "
            "on held-out data whether that helps. [off]",
            autocompletion=one_of("off", "auto"),
        ),
    ] = None
    strength: Annotated[
        str | None,
        typer.Option(
            metavar="auto|off|FILE",
            help="What interactions are worth: a TOML file with a table [strength]; auto, derived "
            "from the data and used by the model auto if it helps; or off, all alike. [auto]",
        ),
    ] = None
    items: ItemsOption = None
    item_columns: MapItemsOption = None

    def config_with(self, **others: Any) -> JobConfig:
        """Return the settings: options over the TOML file over the `paper` preset over defaults.

        Args:
            others: options of one command, such as `split`; None where one is not given.
        """
        from hashrec.training.jobs.config import config_of

        options = vars(self) | others
        options["columns"] = parse_columns(self.columns)
        options["item_columns"] = parse_columns(self.item_columns, "--map-items")
        options["types"] = parse_types(self.types)
        return config_of(options.pop("config"), options)


def parse_types(text: str | None) -> tuple[str, ...] | None:
    """Parse `click,buy`."""
    return None if text is None else tuple(name.strip() for name in text.split(","))
