"""`SharedFits`: fits several teachers to the same data, each common part once."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from typing import Any

import torch

from hashrec.training.data.interactions import Interactions
from hashrec.training.numerics.scorer import Scorer
from hashrec.training.progress import Progress
from hashrec.training.teachers import Teacher
from hashrec.training.teachers.blend import Blend
from hashrec.training.teachers.denoised_ease import DenoisedEase
from hashrec.training.teachers.graph_filter import GraphFilter


class SharedFits:
    """Fits teachers; the scores are exactly those of separate fits, with one exception.

    Shared are the parts of blends, the smooth signals of graph filters with any exponents, and the
    widest factors of a denoised EASE. A smaller rank takes the first of these factors, which are
    slightly more accurate than those of a separate fit because `truncated_svd` follows more
    directions. The result of a fit does not depend on the fits before it.

    Args:
        train: the interactions that all teachers are fitted to.
        seed: of every fit.
        device: of every fit.
        progress: follows the fits.
        teachers: all teachers that may be fitted.
    """

    def __init__(
        self,
        train: Interactions,
        *,
        seed: int,
        device: torch.device,
        progress: Progress,
        teachers: Iterable[Teacher] = (),
    ) -> None:
        self._train = train
        self._widest: dict[Hashable, int] = {}
        for part in (part for teacher in teachers for part in _parts(teacher)):
            if isinstance(part, DenoisedEase) and part.rank is not None:
                self._widest[_key(part)] = max(part.rank, self._widest.get(_key(part), 0))
        self._how: dict[str, Any] = {"seed": seed, "device": device, "progress": progress}
        self._kept: dict[Hashable, Any] = {}

    def fit(self, teacher: Teacher) -> Scorer:
        """Fit a teacher, reusing the parts that are fitted already; see `Teacher.fit`."""
        if isinstance(teacher, Blend):
            return teacher.combined([self._fit(part) for part in teacher.parts()])
        return self._fit(teacher)

    def release(self, later: Iterable[Teacher]) -> None:
        """Forget the parts that none of the teachers still to be fitted can use."""
        needed = {_key(part) for teacher in later for part in _parts(teacher)}
        self._kept = {key: kept for key, kept in self._kept.items() if key in needed}

    def _fit(self, teacher: Teacher) -> Any:
        def alone() -> Any:
            return teacher.fit(self._train, **self._how)

        key = _key(teacher)
        if isinstance(teacher, GraphFilter):
            X = teacher.accepted(self._train)
            return teacher.filtered(X, self._once(key, lambda: teacher.signals(X, **self._how)))
        if isinstance(teacher, DenoisedEase) and teacher.rank is not None:
            rank = min(teacher.rank, self._train.n_users, self._train.n_items)
            factors = self._kept.get(key)
            if factors is None or factors.dim < rank:
                widest = max(teacher.rank, self._widest.get(key, 0))
                wide = teacher.model_copy(update={"rank": widest})
                self._kept[key] = wide.fit(self._train, **self._how)
                factors = self._kept[key]
            return factors if factors.dim == rank else factors.cut(rank)
        return self._once(key, alone)

    def _once(self, key: Hashable, make: Callable[[], Any]) -> Any:
        if key not in self._kept:
            self._kept[key] = make()
        return self._kept[key]


def _parts(teacher: Teacher) -> Iterable[Teacher]:
    return teacher.parts() if isinstance(teacher, Blend) else (teacher,)


def _key(teacher: Teacher) -> Hashable:
    """Return a key that is equal for two teachers if and only if they share a fit."""
    if isinstance(teacher, DenoisedEase) and teacher.rank is not None:
        return "factors", teacher.model_copy(update={"rank": None})
    if isinstance(teacher, GraphFilter):
        return "signals", teacher.rank, teacher.passes
    return teacher
