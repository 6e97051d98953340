"""SpectralCF: convolutions on the graph's spectrum, with the layers side by side.

Zheng, Lu, Jiang, Zhang and Yu, "Spectral Collaborative Filtering", RecSys 2018.
"""

from __future__ import annotations

from functools import partial

import torch
from pydantic import NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt
from torch import Tensor, nn

from hashrec.training.data.interactions import Interactions
from hashrec.training.judging.validation_curve import ValidationCurve
from hashrec.training.numerics.bpr_fit import BprFit
from hashrec.training.numerics.device import deterministic, generator
from hashrec.training.numerics.embeddings import Embeddings
from hashrec.training.numerics.graph import embeddings_of_nodes, laplacian, neighbour_sum
from hashrec.training.numerics.hyperparameters import Hyperparameters
from hashrec.training.numerics.initial import normal_parameter
from hashrec.training.numerics.losses import regularised_bpr
from hashrec.training.numerics.sampling import PairSampler, Triples
from hashrec.training.progress import Progress


def spectral_filter(L: Tensor, X: Tensor) -> Tensor:
    """Return (2 I - D^-1 A) X, which equals (U U^T + U Lambda U^T) X.

    Args:
        L: `laplacian`, shape (n, n); D^-1 A is D^-1/2 L D^1/2.
        X: float32, shape (n, d).
    """
    degrees = L.crow_indices().diff()  # L has an entry for each edge
    roots = degrees.clamp(min=1).to(X.dtype).sqrt()[:, None]
    return 2 * X - neighbour_sum(L, roots * X) / roots


class SpectralFactors(nn.Module):
    """X_0, and X_k+1 = sigmoid((U U^T + U Lambda U^T) X_k Theta_k), side by side.

    Args:
        n_nodes: users and items together.
        dim: width of each layer.
        n_layers: K.
        init_scale: standard deviation of X_0.
        random: generator of the initial weights.
    """

    def __init__(
        self, n_nodes: int, dim: int, n_layers: int, init_scale: float, random: torch.Generator
    ) -> None:
        super().__init__()
        normal = partial(normal_parameter, random)
        self.factors = normal(n_nodes, dim, scale=init_scale)
        self.filters = nn.ParameterList(
            [normal(dim, dim, scale=dim**-0.5) for _ in range(n_layers)]
        )

    def forward(self, L: Tensor) -> Tensor:
        """Return [X_0, ..., X_K], float32, shape (n_nodes, (K + 1) dim), users before items."""
        layers: list[Tensor] = [self.factors]
        for Theta in self.filters:
            layers.append(torch.sigmoid(spectral_filter(L, layers[-1] @ Theta)))
        return torch.cat(layers, dim=1)


class SpectralCf(Hyperparameters):
    """Spectral collaborative filtering; gives factors of width (K + 1) `factor_dim`.

    With the random-walk Laplacian I - D^-1 A = U Lambda U^T of the graph, a layer is

        X_k+1 = sigmoid((U U^T + U Lambda U^T) X_k Theta_k),

    and [X_0, ..., X_K] is learned by BPR with a penalty of lambda on the rows of each triple. The
    authors compute all of U, in n^2 memory and n^3 time. Here the filter is taken for the
    polynomial in Lambda that they derive it from: U U^T = I leaves 2 I - D^-1 A, so that a layer is
    one sparse product, and memory is linear in interactions. For the U of their program, which is
    not orthonormal as I - D^-1 A is not symmetric, the two are not the same.

    The optimiser is RMSProp, as published; Adam at the same rate did a little worse.

    Attributes:
        factor_dim: width of X_k.
        layers: K.
        regularization: lambda, on the final factors of each triple.
        epochs: passes over the training pairs.
        batches_per_epoch: steps in a pass; a fixed number keeps a pass linear in interactions.
        learning_rate: of RMSProp, at the start; it falls to zero along half a cosine.
        init_scale: standard deviation of X_0.
        validate_every: epochs between two points of a curve of Recall@20 and NDCG@20, for which a
            tenth of the pairs is held out of training; 0 learns from all pairs, without a curve.
    """

    factor_dim: PositiveInt = 16
    layers: PositiveInt = 3
    regularization: NonNegativeFloat = 0.001
    epochs: PositiveInt = 100
    batches_per_epoch: PositiveInt = 8
    learning_rate: PositiveFloat = 0.02
    init_scale: PositiveFloat = 0.1
    validate_every: NonNegativeInt = 0

    def fit(
        self, train: Interactions, *, seed: int, device: torch.device, progress: Progress
    ) -> Embeddings:
        """Minimise with RMSProp; see `Teacher.fit`."""
        train.require_any()
        with deterministic(device):
            return self._fit(train, seed, device, progress)

    def _fit(
        self, train: Interactions, seed: int, device: torch.device, progress: Progress
    ) -> Embeddings:
        curve = ValidationCurve(train, self.validate_every, seed)
        sampler, L = PairSampler(curve.train, device), laplacian(curve.train, device)
        network = SpectralFactors(
            train.n_users + train.n_items,
            self.factor_dim,
            self.layers,
            self.init_scale,
            generator(device, seed, 0),
        )

        def loss(batch: Triples, _: torch.Generator) -> Tensor:
            return regularised_bpr(network(L), batch, train.n_users, self.regularization)

        rmsprop = torch.optim.RMSprop(network.parameters(), lr=self.learning_rate)
        fit = BprFit(loss, rmsprop, sampler, self.batches_per_epoch)
        for epoch in fit.epochs("SpectralCF epochs", self.epochs, seed, progress):
            if curve.is_due(epoch):
                curve.log(embeddings_of_nodes(network(L), train.n_users), progress)
        return embeddings_of_nodes(network(L), train.n_users)
