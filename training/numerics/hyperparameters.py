"""`Hyperparameters`: the class that every teacher and hash model derives from."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, ValidationError

from hashrec.index.errors import ConfigError


class Hyperparameters(BaseModel):
    """Settings as frozen fields with defaults, checked when a model is made.

    Raises:
        ConfigError: a field is unknown, of the wrong type or out of range; the message names it.
    """

    # Whether a teacher or a hash model learns more from stronger interactions.
    uses_strengths: ClassVar[bool] = False

    model_config = ConfigDict(
        frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False
    )

    def __init__(self, **options: Any) -> None:
        try:
            super().__init__(**options)
        except ValidationError as error:
            raise ConfigError(self._explain(error)) from None

    @classmethod
    def _explain(cls, error: ValidationError) -> str:
        problems: list[str] = []
        for problem in error.errors():
            field = ".".join(map(str, problem["loc"]))
            if problem["type"] == "extra_forbidden":
                known = ", ".join(sorted(cls.model_fields))
                problems.append(f"no setting {field!r} (there are {known})")
            else:
                message = problem["msg"][:1].lower() + problem["msg"][1:]
                problems.append(f"{field}: {message}, got {problem['input']!r}")
        return f"{cls.__name__}: {'; '.join(problems)}"
