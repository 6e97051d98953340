"""A run: one method on one split, what it does, and the key under which its result is kept."""

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
_UNSAID = ("name", "n_bits", "factor_dim")  # when a run is named: they are those of its table


@dataclass(frozen=True)
class Source:
    """Data that are there, read once to know them.

    Attributes:
        dataset: key of `PROTOCOLS`.
        path: what a job reads.
        data_hash: SHA-256 over all pairs, those of a given test part too.
        n_interactions: of them, after filtering.
    """

    dataset: str
    path: str
    data_hash: str
    n_interactions: int

    @property
    def protocol(self) -> Protocol:
        """How these data are judged."""
        return PROTOCOLS[self.dataset]


@dataclass(frozen=True)
class Run:
    """One method on one split.

    Attributes:
        source: the data.
        method: key of `METHODS`.
        teacher: name and settings of what is judged, or of what codes are learned from; empty
            where the model decides.
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
        """Return all that decides the result but data, device and threads, defaults written out."""
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
        """Return what is the same for two runs if and only if one result does for both."""
        return key_of(self.settings() | {"data": self.source.data_hash})

    def file_name(self) -> str:
        """Return the name of the file, in the folder of all results."""
        return f"{self.source.dataset}/{self.method}-{self.seed}-{self.key()}.json"

    def __str__(self) -> str:
        given = (self.model or self.teacher).items()
        words = ", ".join(f"{name} {value}" for name, value in given if name not in _UNSAID)
        settings = f" ({words})" if words else ""
        part = ", validation" if self.by_validation else ""
        title = METHODS[self.method].title
        return f"{self.source.protocol.title}: {title}{settings}, split {self.seed}{part}"


def key_of(settings: Mapping[str, Any]) -> str:
    """Return a hash of settings, whatever their order."""
    return sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:KEY_LENGTH]


def version_of(name: str) -> int:
    """Return the version of a method, or of a teacher that is one."""
    return METHODS[name].version if name in METHODS else 1


def described(teacher: Mapping[str, Any]) -> dict[str, Any]:
    """Return a teacher's name and settings as a report has them, its defaults written out."""
    settings = {"name": teacher["name"], **teacher_of(teacher).model_dump()}
    return json.loads(json.dumps(settings))


def teacher_of(settings: Mapping[str, Any]) -> Teacher:
    """Return the teacher that a name and settings stand for, not fitted."""
    others = {name: value for name, value in settings.items() if name != "name"}
    return TEACHERS[settings["name"]](**others)


def candidates() -> list[dict[str, Any]]:
    """Return the teachers that `auto` chooses from, as a report shows the one chosen."""
    return [
        described({"name": name, **settings})
        for name, settings in (*TEACHERS_OF_FEW_ITEMS, *TEACHERS_OF_MANY_ITEMS)
    ]
