from __future__ import annotations

import numpy as np
import pytest
import torch

from hashrec.training.jobs.checkpoints import Checkpoints
from hashrec.training.jobs.resuming import ResumableProgress
from hashrec.training.numerics.bpr_fit import BprFit
from hashrec.training.numerics.device import generator, resolve_device
from hashrec.training.numerics.losses import bpr_loss
from hashrec.training.numerics.sampling import PairSampler
from hashrec.training.progress import QuietProgress
from hashrec.training.teachers import TEACHERS
from tests.training.pairs import random_interactions

pytestmark = pytest.mark.usefixtures("one_thread")

CPU = torch.device("cpu")
QUICK = {"factor_dim": 4, "epochs": 6, "batches_per_epoch": 3}
SETTINGS = {
    "gc-mc": QUICK | {"hidden_dim": 8, "dropout": 0.5, "validate_every": 2},
    "gcn-cf": QUICK,
    "lightgcn": QUICK | {"validate_every": 2},
    "spectralcf": QUICK | {"validate_every": 2},
}


@pytest.fixture
def train():
    return random_interactions(30, 40, 0.3, seed=1)


class Interruption(BaseException):
    """Stands for whatever ends a process in the middle of its work."""


class Interrupted(QuietProgress):
    """Notes the steps of a loop, and ends the job before one of them."""

    def __init__(self, until: int | None = None) -> None:
        super().__init__()
        self.until, self.begun = until, []

    def track(self, loop, total, state=(), *, first=0):
        for step in super().track(loop, total, state, first=first):
            if step == self.until:
                raise Interruption
            self.begun.append(step)
            yield step


@pytest.mark.parametrize("name", sorted(SETTINGS))
def test_a_teacher_that_was_left_goes_on_to_the_same_factors_and_curves(name, train, tmp_path):
    teacher = TEACHERS[name](**SETTINGS[name])

    def fit(progress):
        return teacher.fit(train, seed=5, device=resolve_device("auto"), progress=progress)

    def kept(shown):
        checkpoints = Checkpoints(tmp_path / "checkpoints", 0.0, lambda _: None)
        checkpoints.begin("a job")
        return ResumableProgress(shown, checkpoints, lambda _: None)

    uninterrupted = QuietProgress()
    whole = fit(uninterrupted)
    left, again = Interrupted(until=3), Interrupted()
    with pytest.raises(Interruption):
        fit(kept(left))
    resumed = fit(kept(again))
    assert (left.begun, again.begun) == ([0, 1, 2], [3, 4, 5])
    assert again.history == uninterrupted.history
    for part in vars(whole):
        assert np.array_equal(getattr(resumed, part), getattr(whole, part)), part


def test_steps_are_those_of_gradient_descent_at_a_rate_along_half_a_cosine(train):
    """Follow the loop by hand: one weight, a loss that draws a number of its own."""

    def loss(batch, random):
        drawn = torch.rand((), generator=random)
        return (bpr_loss(weight * (batch.positives - batch.negatives)) * drawn).sum()

    sampler, progress = PairSampler(train, CPU), QuietProgress()
    weight = torch.tensor(0.1, requires_grad=True)
    fit = BprFit(loss, torch.optim.SGD([weight], lr=1e-4), sampler, batches_per_epoch=4)
    learned = [
        (epoch, weight.item()) for epoch in fit.epochs("epochs of one weight", 3, 7, progress)
    ]

    w, expected, curve = 0.1, [], []
    for epoch in range(3):
        random, total = generator(CPU, 7, 1, epoch), 0.0
        rate = 1e-4 * (1 + np.cos(np.pi * epoch / 3)) / 2
        for batch in sampler.triples(4, random):
            drawn = torch.rand((), generator=random).item()
            x = (batch.positives - batch.negatives).double().numpy()
            total += drawn * np.log1p(np.exp(-w * x)).sum()
            w += rate * drawn * (x / (1 + np.exp(w * x))).sum()
        expected.append((epoch, pytest.approx(w, rel=1e-4)))
        curve.append(pytest.approx(total / len(sampler), rel=1e-4))
    assert learned == expected
    assert progress.history == {"epochs of one weight": {"loss": curve}}
