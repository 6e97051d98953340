"""A run: one method on one split, its settings, and the key of its result."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from hashrec.training.jobs.config import JobConfig, load_config
from hashrec.training.jobs.recipe import Recipe
from hashrec.training.jobs.selection import TEACHERS_OF_FEW_ITEMS, TEACHERS_OF_MANY_ITEMS
from hashrec.training.reproduction.methods import METHODS, PROTOCOLS, Protocol
from hashrec.training.teachers import TEACHERS, Teacher

KEY_LENGTH = 16  # hexadecimal digits of the SHA-256
_UNSAID = ("name", "n_bits", "factor_dim")  # not in the name of a run: its table implies them


@dataclass(frozen=True)
class Source:
    """The data of runs, with their hash and size.

    Attributes:
        dataset: key of `PROTOCOLS`.
        path: the data source of a job.
        data_hash: SHA-256 over all pairs, including those of a given test part.
        n_interactions: number of pairs after filtering.
    """

    dataset: str
    path: str
    data_hash: str
    n_interactions: int

    @property
    def protocol(self) -> Protocol:
        """How to split and judge these data."""
        return PROTOCOLS[self.dataset]


@dataclass(frozen=True)
class Run:
    """One method on one split.

    Attributes:
        source: the data.
        method: key of `METHODS`.
        teacher: name and settings of the float method, or of the teacher of the codes; empty if the
            model decides.
        model: name and settings of the hash model; empty for a float method.
        seed: of the split and of the fit.
        by_validation: judge by a tenth of the training part.
    """

    source: Source
    method: str
    teacher: Mapping[str, Any]
    model: Mapping[str, Any]
    seed: int
    by_validation: bool = False

    def config(self, device: str = "auto") -> JobConfig:
        """Return the settings of the job."""
        protocol = self.source.protocol
        flags = {
            "data.source": self.source.path,
            "data.k_core": protocol.k_core,
            "split.strategy": "given" if protocol.fixed_split else "random",
            "split.by_validation": self.by_validation,
            "teacher": dict(self.teacher),
            "model": dict(self.model),
            "k": protocol.k,
            "seed": self.seed,
            "device": device,
        }
        return load_config(None, flags)

    def settings(self) -> dict[str, Any]:
        """Return all settings that the result depends on, defaults included."""
        config = self.config()
        shared = config.model_dump(
            mode="json", include={"data": {"k_core"}, "split": True, "k": True, "seed": True}
        )
        shared["version"] = version_of(self.method)
        if not self.model:
            return shared | {"teacher": described(self.teacher)}
        recipe = Recipe.of(config)
        if recipe.chooses_teacher:
            shared["chosen_from"] = candidates()
        elif recipe.teacher_name is not None:
            shared["teacher_version"] = version_of(recipe.teacher_name)
        return shared | recipe.settings()

    def key(self) -> str:
        """Return a key that is equal for two runs if and only if they have the same result."""
        return key_of(self.settings() | {"data": self.source.data_hash})

    def file_name(self) -> str:
        """Return the path of the result in the folder of all results."""
        return f"{self.source.dataset}/{self.method}-{self.seed}-{self.key()}.json"

    def __str__(self) -> str:
        given = (self.model or self.teacher).items()
        words = ", ".join(f"{name} {value}" for name, value in given if name not in _UNSAID)
        settings = f" ({words})" if words else ""
        part = ", validation" if self.by_validation else ""
        title = METHODS[self.method].title
        return f"{self.source.protocol.title}: {title}{settings}, split {self.seed}{part}"


def key_of(settings: Mapping[str, Any]) -> str:
    """Return a hash of settings that does not depend on their order."""
    return sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:KEY_LENGTH]


def version_of(name: str) -> int:
    """Return the version of a method, or of a teacher that is a method too."""
    return METHODS[name].version if name in METHODS else 1


def described(teacher: Mapping[str, Any]) -> dict[str, Any]:
    """Return the name and all settings of a teacher as in a report, defaults included."""
    settings = {"name": teacher["name"], **teacher_of(teacher).model_dump()}
    return json.loads(json.dumps(settings))


def teacher_of(settings: Mapping[str, Any]) -> Teacher:
    """Make a teacher, not fitted, from its name and settings."""
    others = {name: value for name, value in settings.items() if name != "name"}
    return TEACHERS[settings["name"]](**others)


def candidates() -> list[dict[str, Any]]:
    """Return the teachers that `auto` chooses from, described as in a report."""
    return [
        described({"name": name, **settings})
        for name, settings in (*TEACHERS_OF_FEW_ITEMS, *TEACHERS_OF_MANY_ITEMS)
    ]
