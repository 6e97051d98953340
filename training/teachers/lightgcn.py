"""LightGCN: embeddings smoothed over the graph, without other parameters.

He et al., "LightGCN: Simplifying and Powering Graph Convolution Network for Recommendation", SIGIR
2020.
"""

from __future__ import annotations

import torch
from pydantic import NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt
from torch import Tensor

from hashrec.training.data.interactions import Interactions
from hashrec.training.judging.validation_curve import ValidationCurve
from hashrec.training.numerics.bpr_fit import BprFit
from hashrec.training.numerics.device import deterministic, generator
from hashrec.training.numerics.embeddings import Embeddings
from hashrec.training.numerics.graph import embeddings_of_nodes, laplacian, neighbour_sum
from hashrec.training.numerics.hyperparameters import Hyperparameters
from hashrec.training.numerics.losses import bpr_of_triples, penalty_of_triples
from hashrec.training.numerics.sampling import PairSampler, Triples
from hashrec.training.progress import Progress


def mean_of_layers(L: Tensor, E: Tensor, n_layers: int) -> Tensor:
    """Return (E + L E + ... + L^K E) / (K + 1) (eq. 7 and 8, with alpha_k = 1 / (K + 1)).

    Args:
        L: `laplacian`, shape (n, n).
        E: float32, shape (n, d), the embeddings of layer 0.
        n_layers: K.
    """
    total = layer = E
    for _ in range(n_layers):
        layer = neighbour_sum(L, layer)
        total = total + layer
    return total / (n_layers + 1)


class LightGcn(Hyperparameters):
    """Graph convolution without weights or activations: only the embeddings E are learned.

    Minimises, over the triples of user u, item i of theirs and item j not of theirs,

        sum -ln sigmoid(s_ui - s_uj) + lambda / 2 (|E_u|^2 + |E_i|^2 + |E_j|^2),

    where s are inner products of the rows of `mean_of_layers` (eq. 9 and 15; half of the squares,
    as the authors' program has it).

    A step makes 2 K products with the whole graph, so the paper's 2,048 triples are few for it:
    larger batches at a larger rate need fewer steps. A fixed number of steps a pass, and not a
    fixed batch size, keeps a pass linear in interactions. Memory is the edges, and about ten arrays
    of the size of E.

    Attributes:
        factor_dim: width of the embeddings.
        layers: K.
        regularization: lambda. The published 1e-4 is for sparse data such as Gowalla, on which ten
            times as much did worse; MovieLens-1M takes ten times as much.
        epochs: passes over the training pairs.
        batches_per_epoch: steps in a pass, each with an equal part of the pairs.
        learning_rate: of Adam, at the start; it falls to zero along half a cosine.
        init_scale: standard deviation of the initial embeddings.
        validate_every: epochs between two points of a curve of Recall@20 and NDCG@20, for which a
            tenth of the pairs is held out of training; 0 learns from all pairs, without a curve.
    """

    factor_dim: PositiveInt = 64
    layers: PositiveInt = 3
    regularization: NonNegativeFloat = 1e-3
    epochs: PositiveInt = 120
    batches_per_epoch: PositiveInt = 8
    learning_rate: PositiveFloat = 0.03
    init_scale: PositiveFloat = 0.1
    validate_every: NonNegativeInt = 0

    def fit(
        self, train: Interactions, *, seed: int, device: torch.device, progress: Progress
    ) -> Embeddings:
        """Minimise with Adam; see `Teacher.fit`."""
        train.require_any()
        with deterministic(device):
            return self._fit(train, seed, device, progress)

    def _fit(
        self, train: Interactions, seed: int, device: torch.device, progress: Progress
    ) -> Embeddings:
        curve = ValidationCurve(train, self.validate_every, seed)
        sampler, L = PairSampler(curve.train, device), laplacian(curve.train, device)
        shape = (train.n_users + train.n_items, self.factor_dim)
        E = self.init_scale * torch.randn(
            shape, generator=generator(device, seed, 0), device=device
        )
        E.requires_grad_()

        def loss(batch: Triples, _: torch.Generator) -> Tensor:
            factors = mean_of_layers(L, E, self.layers)
            penalty = penalty_of_triples(E, batch, train.n_users) / 2
            return bpr_of_triples(factors, batch, train.n_users) + self.regularization * penalty

        adam = torch.optim.Adam([E], lr=self.learning_rate, fused=True)
        fit = BprFit(loss, adam, sampler, self.batches_per_epoch)
        for epoch in fit.epochs("LightGCN epochs", self.epochs, seed, progress):
            if curve.is_due(epoch):
                factors = mean_of_layers(L, E, self.layers)
                curve.log(embeddings_of_nodes(factors, train.n_users), progress)
        return embeddings_of_nodes(mean_of_layers(L, E, self.layers), train.n_users)
