"""`Recipe`: the hash model and the teacher of a job, with their settings."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

from hashrec.index.backends import index_named
from hashrec.index.errors import ConfigError
from hashrec.index.strength import ALIKE, Strength
from hashrec.training.data.interactions import Interactions
from hashrec.training.data.strengths import EVEN, Derived
from hashrec.training.jobs.checkpoints import job_key
from hashrec.training.jobs.config import JobConfig
from hashrec.training.jobs.job import Job
from hashrec.training.jobs.selection import PERPLEXITIES, Selection, select
from hashrec.training.jobs.strength_choice import is_open
from hashrec.training.models import HASH_MODELS, HashModel
from hashrec.training.models.listwise import Listwise
from hashrec.training.teachers import TEACHERS, Teacher

AUTO = "auto"  # the default model: listwise, with teacher and perplexity chosen on held-out data
RERANK_NEEDS_TEACHER = "--rerank auto needs a teacher for its vectors; name one with --teacher"


@dataclass(frozen=True)
class Recipe:
    """A hash model and its teacher, not fitted.

    Attributes:
        model_name: key of `HASH_MODELS`.
        teacher_name: key of `TEACHERS`; None without a teacher.
        chooses_teacher: `settle` replaces the teacher by the one that it chooses.
        chooses_perplexity: `settle` replaces the model's perplexity likewise.
        strength: what interactions are worth to the fits, once it is settled.
        counts_strength: `settle` takes the strengths of the data (`yes`), takes them if they help
            (`if better`), or counts all interactions alike (`no`).
    """

    model_name: str
    model: HashModel
    teacher_name: str | None
    teacher: Teacher | None
    chooses_teacher: bool = False
    chooses_perplexity: bool = False
    strength: Strength = ALIKE
    counts_strength: Literal["yes", "if better", "no"] = "no"

    @classmethod
    def of(cls, config: JobConfig) -> Recipe:
        """Look up the names in a job's settings; no data is read.

        Raises:
            ConfigError: a name or a setting is unknown.
        """
        index_named(config.index)
        model_name, model = _build("model", HASH_MODELS | {AUTO: Listwise}, config.model, AUTO)
        teacher_name, teacher = None, None
        if model.needs_teacher or config.teacher:
            teacher_name, teacher = _build(
                "teacher", TEACHERS, config.teacher, model.default_teacher
            )
        if config.rerank == "auto" and teacher is None:
            raise ConfigError(RERANK_NEEDS_TEACHER)
        automatic = model_name == AUTO
        return cls(
            "listwise" if automatic else model_name,
            model,
            teacher_name,
            teacher,
            chooses_teacher=automatic and not config.teacher,
            chooses_perplexity=automatic and "perplexity" not in config.model,
            counts_strength="yes"
            if isinstance(config.strength, Strength)
            else "if better"
            if automatic and config.strength == "auto"
            else "no",
        )

    def settle(
        self, job: Job, train: Interactions, said: Derived = EVEN, *, by_time: bool = False
    ) -> tuple[Recipe, Selection | None]:
        """Choose what is open by a validation part of `train`; keep defaults if it is too small.

        Args:
            job: the job.
            train: what its fits learn from.
            said: what the interactions are worth.
            by_time: whether the job is judged by interactions later than `train`.

        Returns:
            A recipe with nothing open, and the trials that it was chosen by, if there were any.
        """
        model, teacher, name = self.model, self.teacher, self.teacher_name
        counts = self.counts_strength
        strength = said.policy if counts == "yes" else said.policy.even()
        closed = replace(
            self,
            chooses_teacher=False,
            chooses_perplexity=False,
            strength=strength,
            counts_strength="no",
        )
        if said.reason and counts == "no" and job.config.strength == "auto":
            job.say(
                "all interactions count alike: only the model auto chooses if strengths help; "
                "--strength FILE says what they are worth"
            )
        tries_strength = counts == "if better" and is_open(train, said, by_time=by_time)
        anything = self.chooses_teacher or self.chooses_perplexity or tries_strength
        if not (anything and isinstance(model, Listwise) and teacher and name):
            return closed, None
        selection = select(
            job,
            train,
            model,
            None if self.chooses_teacher else (name, teacher),
            perplexities=PERPLEXITIES if self.chooses_perplexity else (model.perplexity,),
            said=replace(said, policy=said.policy if tries_strength else strength),
            chooses_strength=tries_strength,
            by_time=by_time,
        )
        job.progress.history.clear()  # a report's curves are those of the fit that it describes
        if selection is None:
            job.say("too little data to choose a teacher and settings; taking the defaults")
            return closed, None
        return replace(
            closed,
            model=selection.model,
            teacher_name=selection.teacher_name,
            teacher=selection.teacher,
            strength=selection.strength,
        ), selection

    @property
    def ignoring_strength(self) -> list[str]:
        """The parts that count all interactions alike because they cannot do otherwise."""
        parts: list[str] = []
        if not self.strength.is_even:
            if not self.model.uses_strengths:
                parts.append(f"model {self.model_name}")
            if self.teacher is not None and not self.teacher.uses_strengths:
                parts.append(f"teacher {self.teacher_name}")
        return parts

    def key(self, job: Job, *data: Interactions) -> str:
        """Return a key for a job's checkpoints, equal only for jobs with the same result.

        Args:
            job: the job, whose settings this recipe was made from; nothing is settled yet.
            data: what the job learns from.
        """
        settings = {"job": job.config.model_dump(mode="json"), "recipe": self.settings()}
        return job_key(settings, job.device, *data)

    def settings(self) -> dict[str, Any]:
        """Return the names and all settings of model and teacher, defaults included."""
        model = {"name": self.model_name, **self.model.model_dump()}
        if self.teacher is None:
            return {"model": model}
        return {"model": model, "teacher": {"name": self.teacher_name, **self.teacher.model_dump()}}


def _build(
    kind: str, registry: dict[str, type[Any]], settings: dict[str, Any], default: str
) -> tuple[str, Any]:
    name = settings.get("name", default)
    if not isinstance(name, str) or name not in registry:
        raise ConfigError(f"no {kind} {name!r}; there are {', '.join(sorted(registry))}")
    return name, registry[name](**{key: settings[key] for key in settings if key != "name"})
