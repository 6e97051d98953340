"""`Job`: the settings of a training job and its followers, passed to every step."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypedDict

import torch

from hashrec.training.jobs.config import JobConfig
from hashrec.training.jobs.report import Stopwatch
from hashrec.training.numerics.device import resolve_device
from hashrec.training.progress import Progress, Say


class FitOptions(TypedDict):
    """Keyword arguments that every `fit` of a teacher or a hash model takes."""

    seed: int
    device: torch.device
    progress: Progress


@dataclass(frozen=True, eq=False)
class Job:
    """A training job.

    Attributes:
        config: all settings.
        device: the device that the job learns on.
        progress: follows the training loops.
        say: takes one-line messages.
        clock: seconds of each stage so far.
    """

    config: JobConfig
    device: torch.device
    progress: Progress
    say: Say
    clock: Stopwatch = field(default_factory=Stopwatch)

    @classmethod
    def of(cls, config: JobConfig, progress: Progress, say: Say) -> Job:
        """Make a job from its settings.

        Raises:
            ConfigError: this machine does not have the device.
        """
        return cls(config, resolve_device(config.device), progress, say)

    @property
    def k(self) -> int:
        """Length of the lists that are evaluated."""
        return self.config.k

    @property
    def seed(self) -> int:
        """Seed of the split, of every initial weight and of every sample."""
        return self.config.seed

    @property
    def fit_options(self) -> FitOptions:
        """Seed, device and progress of every fit."""
        return {"seed": self.seed, "device": self.device, "progress": self.progress}

    @contextmanager
    def stage(self, name: str) -> Generator[None]:
        """Time a stage of the job and report when it is done."""
        with self.clock.stage(name):
            yield
        self.progress.end_stage(name, self.clock.seconds[name])
