"""PinSage: graph convolutions over neighbourhoods found by random walks.

Ying et al., "Graph Convolutional Neural Networks for Web-Scale Recommender Systems", KDD 2018.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import NonNegativeInt, PositiveFloat, PositiveInt
from torch import Tensor
from torch.nn.functional import embedding

from hashrec.training.data.interactions import Interactions
from hashrec.training.judging.validation_curve import ValidationCurve
from hashrec.training.numerics.device import deterministic, generator
from hashrec.training.numerics.embeddings import Embeddings
from hashrec.training.numerics.hyperparameters import Hyperparameters
from hashrec.training.numerics.random_walks import Neighbourhoods, Walks
from hashrec.training.numerics.row_adam import RowAdam
from hashrec.training.numerics.sampling import PairSampler
from hashrec.training.numerics.scorer import Csr
from hashrec.training.progress import Progress
from hashrec.training.teachers.pinsage_network import Network

# A row of features is updated in far fewer steps than the weights of the layers.
FEATURE_RATE = 10


@dataclass(frozen=True, eq=False)
class PinSageScores(Embeddings):
    """Item embeddings; a user is the mean of the embeddings of their items."""

    def fold_in(self, histories: Csr) -> NDArray[np.float32]:
        """Pool the items of new users; see `FoldInScorer.fold_in`."""
        return pooled(histories, self.items) @ self.items.T

    def item_weights(self, item_rows: NDArray[np.integer]) -> NDArray[np.float32]:
        """Return inner products of items, whose mean over a history is the score."""
        return self.items[item_rows] @ self.items.T


def pooled(histories: Csr, items: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the mean of each user's items, float32, shape (b, d); zeros of a user without any.

    Args:
        histories: binary float32 CSR, shape (b, n_items).
        items: float32, shape (n_items, d).
    """
    lengths = np.maximum(histories.getnnz(1), 1).astype(np.float32)
    return histories @ items / lengths[:, None]


@dataclass(frozen=True, eq=False)
class PairBatch:
    """Some pairs of a user and an item, with the negatives of their scores.

    Attributes:
        items: int64, ascending, all items of the batch; the other fields are positions in it.
        pooled: int64, shape (b, S), other items of the user.
        positives: int64, shape (b,).
        hard: int64, shape (b, n_hard), negatives of each pair.
        shared: int64, shape (n_shared,), negatives of all pairs.
        wrong: bool, shape (b, n_hard + n_shared), False if the user has the item.
    """

    items: Tensor
    pooled: Tensor
    positives: Tensor
    hard: Tensor
    shared: Tensor
    wrong: Tensor

    @classmethod
    def draw(
        cls,
        sampler: PairSampler,
        walks: Walks,
        pairs: Tensor,
        *,
        n_pooled: int,
        n_shared: int,
        n_hard: int,
        hard_steps: int,
        random: torch.Generator,
    ) -> PairBatch:
        """Draw a batch for some pairs.

        Args:
            sampler: of the training pairs.
            walks: over their graph.
            pairs: int64, shape (b,), rows of the sampler.
            n_pooled: S.
            n_shared: negatives of all pairs, of all items with the same chance.
            n_hard: negatives of each pair, where walks from a pooled item end.
            hard_steps: of these walks.
            random: generator on the device.
        """
        pooled, positives = sampler.others(pairs, n_pooled, random), sampler.items[pairs]
        hard = sampler.others(pairs, n_hard, random)
        for _ in range(hard_steps if n_hard else 0):
            hard = walks.step(hard, random)
        shared = torch.randint(
            sampler.n_items, (n_shared,), generator=random, device=positives.device
        )
        wrong = ~sampler.has(
            sampler.users[pairs][:, None],
            torch.cat([hard, shared.expand(len(pairs), n_shared)], dim=1),
        )
        items = torch.unique(
            torch.cat([part.ravel() for part in (pooled, positives, hard, shared)])
        )
        at = [torch.searchsorted(items, part) for part in (pooled, positives, hard, shared)]
        return cls(items, at[0], at[1], at[2], at[3], wrong)

    def loss(self, z: Tensor, margin: float) -> Tensor:
        """Return the mean over pairs of the mean of max(0, s_uj - s_ui + margin) over negatives j.

        Args:
            z: float32, shape (len(items), dim), embeddings of `items`.
            margin: required lead of a positive.
        """
        q = embedding(self.pooled, z).mean(1)
        positive = (q * embedding(self.positives, z)).sum(1, keepdim=True)
        hard = (q[:, None] * embedding(self.hard, z)).sum(2)
        negative = torch.cat([hard, q @ embedding(self.shared, z).T], dim=1)
        excess = torch.relu(negative - positive + margin) * self.wrong
        return (excess.sum(1) / self.wrong.sum(1).clamp(min=1)).mean()


class PinSage(Hyperparameters):
    """Item embeddings from an item's features and those of the items that walks visit from it.

    The neighbourhood N(i) of an item is the T items that short random walks i - user - item - ...
    visit most, with the shares of the visits as weights alpha (importance pooling). K layers of
    `Convolution` over these, and two dense layers, make the embedding z_i. A user is the mean of
    the embeddings of their items, and s_ui = z_u^T z_i; so a new user is known by a history.

    Minimises, over pairs of user u and item i, the mean over negatives j, items not of u's, of

        max(0, s_uj - s_ui + margin),

    where u is the mean of a few other items of theirs. Some negatives are the same for all pairs of
    a step. Others are hard: where walks from one of u's items end. The first pass has none, and
    each later one has one more for each pair, up to `hard_negatives`.

    Differences from the paper, because the feedback is implicit and without content: the features
    x_i are learned, not made from pictures and texts; a training pair is a user, represented by
    other items, and an item, not two successive items; hard negatives come from walks, not from the
    middle ranks of visits from the query.

    A step needs the rows of at most b (S + 1 + n_hard) + n_shared items and of (T + 1)^K times as
    many neighbours, independent of the size of the graph. In memory are the edges, T neighbours of
    each item, and the features with the two moments of Adam.

    Attributes:
        factor_dim: width of features, layers and embeddings.
        layers: K.
        neighbours: T.
        walks: from each item, to find its neighbours.
        walk_steps: items that such a walk visits.
        pooled_items: S, other items that stand for a user in a step.
        negatives: of all pairs of a step.
        hard_negatives: most of each pair.
        hard_steps: items that a walk to a hard negative visits, of which it is the last.
        margin: required lead of a positive over a negative.
        epochs: passes over the training pairs.
        pairs_per_epoch: most pairs of a pass, drawn anew each time; None takes all.
        batch_size: b, the most pairs of a step.
        learning_rate: of Adam for the weights, at its height: it rises during the first pass and
            falls to zero along half a cosine. Features have `FEATURE_RATE` times that.
        init_scale: standard deviation of the initial features.
        validate_every: epochs between two points of a curve of Recall@20 and NDCG@20, for which a
            tenth of the pairs is held out of training; 0 learns from all pairs, without a curve.
    """

    factor_dim: PositiveInt = 64
    layers: PositiveInt = 2
    neighbours: PositiveInt = 10
    walks: PositiveInt = 100
    walk_steps: PositiveInt = 2
    pooled_items: PositiveInt = 8
    negatives: PositiveInt = 100
    hard_negatives: NonNegativeInt = 2
    hard_steps: PositiveInt = 3
    margin: PositiveFloat = 0.1
    epochs: PositiveInt = 8
    pairs_per_epoch: PositiveInt | None = None
    batch_size: PositiveInt = 512
    learning_rate: PositiveFloat = 0.001
    init_scale: PositiveFloat = 0.1
    validate_every: NonNegativeInt = 0

    def fit(
        self, train: Interactions, *, seed: int, device: torch.device, progress: Progress
    ) -> PinSageScores:
        """Minimise the margin loss with Adam; see `Teacher.fit`."""
        train.require_any()
        with deterministic(device):
            return self._fit(train, seed, device, progress)

    def _fit(
        self, train: Interactions, seed: int, device: torch.device, progress: Progress
    ) -> PinSageScores:
        curve = ValidationCurve(train, self.validate_every, seed)
        X, sampler = curve.train.matrix(), PairSampler(curve.train, device)
        walks, random = Walks(X, device), generator(device, seed, 0)
        near = Neighbourhoods.of(
            walks,
            size=self.neighbours,
            n_walks=self.walks,
            n_steps=self.walk_steps,
            random=random,
        )
        network = Network(near, self.layers, self.factor_dim, random)
        shape = (train.n_items, self.factor_dim)
        features = self.init_scale * torch.randn(shape, generator=random, device=device)
        of_weights = torch.optim.Adam(network.parameters(), lr=self.learning_rate, fused=True)
        of_features = RowAdam(features)
        n_pairs = min(self.pairs_per_epoch or len(sampler), len(sampler))
        n_batches = math.ceil(n_pairs / self.batch_size)
        for epoch in progress.track("PinSage epochs", self.epochs):
            loss_of_epoch = torch.zeros((), device=device)
            random = generator(device, seed, 1, epoch)
            n_hard = min(epoch, self.hard_negatives)
            order = torch.randperm(len(sampler), generator=random, device=device)
            for number, pairs in enumerate(order[:n_pairs].chunk(n_batches)):
                done = (epoch + number / n_batches) / self.epochs
                warmth = min(1.0, epoch + (number + 1) / n_batches)
                rate = self.learning_rate * warmth * (1 + math.cos(math.pi * done)) / 2
                batch = PairBatch.draw(
                    sampler,
                    walks,
                    pairs,
                    n_pooled=self.pooled_items,
                    n_shared=self.negatives,
                    n_hard=n_hard,
                    hard_steps=self.hard_steps,
                    random=random,
                )
                layers = network.needed(batch.items)
                x = features[layers[0]].requires_grad_()
                loss = batch.loss(network(layers, x), self.margin)
                of_weights.param_groups[0]["lr"] = rate
                of_weights.zero_grad(set_to_none=True)
                loss.backward()
                of_weights.step()
                assert x.grad is not None
                of_features.step(layers[0], x.grad, FEATURE_RATE * rate)
                loss_of_epoch += loss.detach() * len(pairs)
            progress.log(loss=loss_of_epoch.item() / n_pairs)
            if curve.is_due(epoch):
                curve.log(_scores(network, features, X), progress)
        return _scores(network, features, X)


def _scores(network: Network, features: Tensor, X: Csr) -> PinSageScores:
    items = network.everything(features).cpu().numpy()
    return PinSageScores(users=pooled(X, items), items=items)
