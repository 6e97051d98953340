"""The settings of a job: command-line flags, then a TOML file, then the defaults here."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, NonNegativeFloat, NonNegativeInt, SecretStr

from hashrec.index.backends import DEFAULT_INDEX
from hashrec.index.errors import ConfigError
from hashrec.index.reading.options import FormatOptions
from hashrec.index.strength import NEGATIVE_TYPES, Strength
from hashrec.training.data.cuts import at_of
from hashrec.training.numerics.hyperparameters import Hyperparameters

# All ratings are positives; users and items with fewer than 20 are dropped, repeatedly; half of
# each user's items are held out (Wang, Lian and Ge, IJCAI 2019, section 5.1).
PAPER_PROTOCOL = "paper"
PAPER_SETTINGS: dict[str, Any] = {"data.k_core": 20, "split.strategy": "random", "k": 100}


def _strength_of(setting: Any) -> Any:
    """Return a policy for a table of settings, and a word as it is."""
    if isinstance(setting, Mapping):
        return Strength.of(setting)
    if isinstance(setting, Path) or (isinstance(setting, str) and setting not in ("auto", "off")):
        raise ConfigError(
            f"strength: {str(setting)!r} is neither auto, off nor a table of settings"
        )
    return setting


StrengthSetting = Annotated[Literal["auto", "off"] | Strength, BeforeValidator(_strength_of)]


class DataConfig(Hyperparameters):
    """The interactions to learn from.

    Attributes:
        source: a named data set or a path.
        home: folder of the fetched data sets; None for `~/.cache/hashrec`.
        preset: name of the file's format, in place of detection.
        columns: role -> column name, or `-` for no column.
        separator: of the fields of a text.
        decimal: mark between the digits of a number.
        encoding: of a text.
        quoting: whether quotes enclose fields.
        time_format: of the timestamps, a unit or a pattern of strftime.
        items: file of titles, categories and other attributes of the items, in place of the one
            found beside the data.
        item_columns: role -> column of that file, or `-` for no column.
        min_value: least value that counts as a positive.
        types: types of interactions that are positives; None for all but dislike, skip and hide.
        events: URL of a journal whose events are added to the data; None without a journal.
        negative_types: types of events that remove a pair.
        max_bad: unreadable rows to leave out before the job fails.
        k_core: drop users and items with fewer interactions, repeatedly; 0 keeps all.
    """

    source: str = "synthetic"
    home: Path | None = None
    preset: str | None = None
    columns: dict[str, str] = Field(default_factory=dict)
    separator: str | None = None
    decimal: Literal[".", ","] | None = None
    encoding: str | None = None
    quoting: bool = True
    time_format: str | None = None
    items: Path | None = None
    item_columns: dict[str, str] = Field(default_factory=dict)
    min_value: float | None = None
    types: tuple[str, ...] | None = None
    events: SecretStr | None = None
    negative_types: tuple[str, ...] = tuple(sorted(NEGATIVE_TYPES))
    max_bad: NonNegativeInt = 0
    k_core: NonNegativeInt = 0

    def format_options(self) -> FormatOptions:
        """Return what the user says about the format of the file."""
        return FormatOptions(
            preset=self.preset,
            columns=self.columns,
            separator=self.separator,
            decimal=self.decimal,
            encoding=self.encoding,
            quoting=self.quoting,
            time_format=self.time_format,
        )


def _as_text(at: object) -> str | None:
    """Return a date or a share as text, whatever type the TOML file or a caller gave it.

    Raises:
        ConfigError: it is neither.
    """
    if at is None:
        return None
    at_of(str(at))
    return str(at)


class SplitConfig(Hyperparameters):
    """The pairs to hold out.

    Attributes:
        strategy: `random` half of each user's items; `time`, all after one moment; `temporal`, the
            last item of each user; `given`, a file; or `none`.
        at: where `time` cuts: a date, or the share of the interactions after it. None is 0.2.
        test: the given file.
        by_validation: judge by a tenth of the training part, held out of it, and do not use the
            test part: to choose settings.
    """

    strategy: Literal["random", "time", "temporal", "given", "none"] = "random"
    at: Annotated[str | None, BeforeValidator(_as_text)] = None
    test: Path | None = None
    by_validation: bool = False


class JobConfig(Hyperparameters):
    """All settings that the result of a job depends on, and the time between its checkpoints.

    Attributes:
        teacher: `name` and settings; by default chosen on held-out data for the model `auto`, and
            the model's default teacher for other models that need one.
        model: `name` and settings, by default `auto`: `listwise`, its perplexity chosen on held-out
            data unless it is given.
        index: type of the search index, a key of `INDEX_TYPES`.
        rerank: `auto` re-orders the nearest items by small int8 vectors if that pays on a tenth of
            the training part; the comparison costs one more fit.
        strength: what interactions are worth: a policy, which is used as it is; `auto`, a policy
            derived from the data, which the model `auto` uses if it helps on held-out data; or
            `off`, all alike.
        k: length of the lists that count, that is of the lists to be served: NDCG@k chooses the
            teacher and its settings and is compared by the quality gate. Reports have every figure
            at 10, 20 and 100 too.
        seed: of the split, of every initial weight and of every sample.
        checkpoint_seconds: between two checkpoints, from which a killed job goes on; 0 writes one
            after every step that can be resumed. It is not in a report: the result does not depend
            on it.
    """

    data: DataConfig = DataConfig()
    split: SplitConfig = SplitConfig()
    teacher: dict[str, Any] = Field(default_factory=dict)
    model: dict[str, Any] = Field(default_factory=dict)
    index: str = DEFAULT_INDEX
    rerank: Literal["off", "auto"] = "off"
    strength: StrengthSetting = "auto"
    k: Annotated[int, Field(ge=1)] = 20
    seed: NonNegativeInt = 0
    device: Literal["auto", "cpu", "cuda"] = "auto"
    checkpoint_seconds: NonNegativeFloat = Field(default=30.0, exclude=True)

    @property
    def given_strength(self) -> Strength | None:
        """The policy that interactions are read by; None for one derived from the data."""
        if isinstance(self.strength, Strength):
            return self.strength
        return None if self.strength == "auto" else Strength()


# The setting that each option of `train` and `retrain` gives, on the command line and in Python.
SETTING_OF_OPTION: dict[str, str] = {
    "data": "data.source",
    "preset": "data.preset",
    "columns": "data.columns",
    "separator": "data.separator",
    "decimal": "data.decimal",
    "encoding": "data.encoding",
    "quoting": "data.quoting",
    "time_format": "data.time_format",
    "home": "data.home",
    "k_core": "data.k_core",
    "min_value": "data.min_value",
    "types": "data.types",
    "events": "data.events",
    "negative_types": "data.negative_types",
    "max_bad": "data.max_bad",
    "items": "data.items",
    "item_columns": "data.item_columns",
    "split": "split.strategy",
    "at": "split.at",
    "test": "split.test",
    "validate": "split.by_validation",
    "teacher": "teacher.name",
    "model": "model.name",
    "bits": "model.n_bits",
    "index": "index",
    "rerank": "rerank",
    "strength": "strength",
    "k": "k",
    "seed": "seed",
    "device": "device",
}


def strength_option(given: str | Path | Mapping[str, Any] | None) -> Any:
    """Return the setting of an option: a word, or the policy in a TOML file.

    Raises:
        ConfigError: the file cannot be read, or a setting in it is wrong.
    """
    if isinstance(given, str | Path) and str(given) not in ("auto", "off"):
        return Strength.read(Path(given))
    return given


def config_of(path: Path | None, options: Mapping[str, Any]) -> JobConfig:
    """Return the settings: options over the TOML file over the `paper` preset over defaults.

    Args:
        path: the TOML file; None for none.
        options: by the names of `SETTING_OF_OPTION`; None where one is not given.

    Raises:
        ConfigError: an option or a setting is unknown or out of range, or the file is not TOML.
    """
    if unknown := sorted(set(options) - set(SETTING_OF_OPTION)):
        raise ConfigError(
            f"no option {unknown[0]!r}; the options are {', '.join(sorted(SETTING_OF_OPTION))}"
        )
    options = {**options, "strength": strength_option(options.get("strength"))}
    flags = {SETTING_OF_OPTION[name]: value for name, value in options.items() if value is not None}
    if options.get("preset") == PAPER_PROTOCOL:
        del flags["data.preset"]
        flags = PAPER_SETTINGS | flags
    return load_config(path, flags)


def load_config(path: Path | None, flags: Mapping[str, Any]) -> JobConfig:
    """Read a TOML file; flags go before its settings.

    Args:
        path: the file, or None for the defaults.
        flags: dotted setting -> value, such as `data.k_core`; None means not given.

    Raises:
        ConfigError: the file is missing or not TOML, or a setting is unknown or out of range.
    """
    settings: dict[str, Any] = {}
    if path is not None:
        try:
            settings = tomllib.loads(path.read_text())
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise ConfigError(f"{path}: cannot be read as TOML: {error}") from error
    for name, value in flags.items():
        if value is not None:
            section = settings
            *parents, last = name.split(".")
            for parent in parents:
                section = section.setdefault(parent, {})
                if not isinstance(section, dict):
                    raise ConfigError(f"{path}: [{parent}] must be a table, got {section!r}")
            section[last] = value
    return JobConfig(**settings)
