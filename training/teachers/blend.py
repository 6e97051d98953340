"""A weighted sum of the scores of several teachers, which make different errors."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, PositiveFloat, ValidationInfo, field_validator

from hashrec.index.errors import ConfigError
from hashrec.training.data.interactions import Interactions
from hashrec.training.numerics.hyperparameters import Hyperparameters
from hashrec.training.numerics.scorer import Csr, LinearScorer
from hashrec.training.progress import Progress
from hashrec.training.teachers.denoised_ease import DenoisedEase
from hashrec.training.teachers.ease import Ease
from hashrec.training.teachers.graph_filter import GraphFilter
from hashrec.training.teachers.ials import Ials

# All of these score new users. Parts are fitted in this order, so that a teacher that rejects a
# large catalogue does so before the slower ones run.
BLENDABLE: dict[str, type[DenoisedEase | Ease | GraphFilter | Ials]] = {
    "denoised-ease": DenoisedEase,
    "ease": Ease,
    "graph-filter": GraphFilter,
    "ials": Ials,
}


@dataclass(frozen=True, eq=False)
class BlendScores:
    """Scores sum_t w_t Z_t, where Z_t has the scores of part t with each user's row standardised.

    Attributes:
        weights: w_t.
        parts: a scorer for each weight, all of the same users and items.
    """

    weights: tuple[float, ...]
    parts: tuple[LinearScorer, ...]

    @property
    def n_users(self) -> int:
        """Users of every part."""
        return self.parts[0].n_users

    @property
    def n_items(self) -> int:
        """Items of every part."""
        return self.parts[0].n_items

    def scores(self, user_rows: NDArray[np.integer]) -> NDArray[np.float32]:
        """Score every item for some users; see `Scorer.scores`."""
        return self._sum(part.scores(user_rows) for part in self.parts)

    def fold_in(self, histories: Csr) -> NDArray[np.float32]:
        """Score every item for new users; see `FoldInScorer.fold_in`."""
        return self._sum(part.fold_in(histories) for part in self.parts)

    def item_weights(self, item_rows: NDArray[np.integer]) -> NDArray[np.float32]:
        """Return the weights of the part with the largest weight; see `LinearScorer`.

        The scale of a part's scores depends on the user, so the sum has no exact item weights.
        """
        heaviest = max(range(len(self.parts)), key=self.weights.__getitem__)
        return self.parts[heaviest].item_weights(item_rows)

    def _sum(self, scores: Iterable[NDArray[np.float32]]) -> NDArray[np.float32]:
        terms = zip(self.weights, scores, strict=True)
        return reduce(np.add, (weight * standardised(rows) for weight, rows in terms))


class Blend(Hyperparameters):
    """The weighted sum of several teachers' scores, made comparable user by user.

    Each part is fitted by itself, to all of the data. Its scores of a user are then shifted and
    scaled to mean 0 and variance 1 over the items, whatever scale the teacher has, and multiplied
    by its weight. Only the ratios of the weights change rankings.

    Time and memory are the sums of the parts'.

    Attributes:
        weights: of each part, by its name in `BLENDABLE`.
        settings: of each part, by the same names; settings that are not given are
            filled in with the teacher's defaults.
    """

    uses_strengths: ClassVar[bool] = True

    weights: dict[str, PositiveFloat] = Field(default={"denoised-ease": 1.0, "ials": 1.0})
    settings: dict[str, dict[str, Any]] = Field(default={})

    @field_validator("weights")
    @classmethod
    def _check_names(cls, weights: dict[str, float]) -> dict[str, float]:
        unknown = sorted(weights.keys() - BLENDABLE.keys())
        if unknown or not weights:
            problem = f"cannot blend {', '.join(map(repr, unknown))}" if unknown else "no weights"
            raise ConfigError(f"Blend: {problem}; choose from {', '.join(BLENDABLE)}")
        return weights

    @field_validator("settings")
    @classmethod
    def _complete(
        cls, settings: dict[str, dict[str, Any]], info: ValidationInfo
    ) -> dict[str, dict[str, Any]]:
        """Construct each part once, so that errors appear before anything is fitted."""
        if "weights" not in info.data:
            return settings  # the weights are invalid, and pydantic reports that
        blended = [name for name in BLENDABLE if name in info.data["weights"]]
        if idle := sorted(settings.keys() - set(blended)):
            raise ConfigError(
                f"Blend: settings for {', '.join(map(repr, idle))}, but no weight; add one under "
                f"weights (now {', '.join(blended)}), or remove the settings"
            )
        return {name: BLENDABLE[name](**settings.get(name, {})).model_dump() for name in blended}

    def fit(
        self, train: Interactions, *, seed: int, device: torch.device, progress: Progress
    ) -> BlendScores:
        """Fit the parts, one after the other; see `Teacher.fit`.

        Raises:
            ConfigError: a part rejects the data, for example EASE a catalogue that is too large.
        """
        return self.combined(
            [part.fit(train, seed=seed, device=device, progress=progress) for part in self.parts()]
        )

    def parts(self) -> list[DenoisedEase | Ease | GraphFilter | Ials]:
        """Return the teachers that are blended, in the order of `settings`."""
        return [BLENDABLE[name](**settings) for name, settings in self.settings.items()]

    def combined(self, fitted: Sequence[LinearScorer]) -> BlendScores:
        """Blend the `parts`, fitted to the same data."""
        return BlendScores(tuple(self.weights[name] for name in self.settings), tuple(fitted))


def standardised(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """Bring each row to mean 0 and variance 1, in place; a row of equal scores becomes zeros.

    Args:
        scores: float32, shape (b, n_items).
    """
    mean = scores.mean(axis=1, keepdims=True)
    scores -= mean
    deviation = np.sqrt(np.square(scores).mean(axis=1, keepdims=True))
    # Equal scores differ from their mean by rounding errors, which must not be amplified.
    equal = deviation <= 1e-6 * np.abs(mean)
    scores /= np.where(equal, np.inf, deviation)
    return scores
