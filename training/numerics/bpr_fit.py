"""The training loop of models that learn by BPR: steps on sampled triples, epoch by epoch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from hashrec.training.numerics.device import generator
from hashrec.training.numerics.sampling import PairSampler, Triples
from hashrec.training.progress import Progress


@dataclass(frozen=True, eq=False)
class BprFit:
    """Gradient steps on batches of triples, at a rate that falls to zero along half a cosine.

    Attributes:
        loss: the sum over a batch, shape (). It changes nothing, and what it draws comes from the
            generator, so that epochs can go on where a killed job left them.
        optimizer: of all that is learned, at the rate of the start.
        sampler: draws the triples.
        batches_per_epoch: steps in an epoch, each with an equal part of the pairs.
        stream: of the random numbers, see `generator`.
    """

    loss: Callable[[Triples, torch.Generator], Tensor]
    optimizer: torch.optim.Optimizer
    sampler: PairSampler
    batches_per_epoch: int
    stream: int = 1

    def epochs(self, loop: str, total: int, seed: int, progress: Progress) -> Iterator[int]:
        """Learn for an epoch, log its mean loss and yield it, `total` times.

        Args:
            loop: as what `progress` shows the epochs.
            total: number of epochs.
            seed: of the triples, and of what the loss draws.
            progress: follows the epochs.
        """
        device = self.sampler.users.device
        learned = [weight for group in self.optimizer.param_groups for weight in group["params"]]
        decay = torch.optim.lr_scheduler.CosineAnnealingLR(self.optimizer, total)
        for epoch in progress.track(loop, total, (*learned, self.optimizer, decay)):
            random = generator(device, seed, self.stream, epoch)
            loss_of_epoch = torch.zeros((), device=device)
            for batch in self.sampler.triples(self.batches_per_epoch, random):
                loss = self.loss(batch, random)
                self.optimizer.zero_grad(set_to_none=True)
                loss.backward()
                self.optimizer.step()
                loss_of_epoch += loss.detach()
            decay.step()
            progress.log(loss=loss_of_epoch.item() / len(self.sampler))
            yield epoch
