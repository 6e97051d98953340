"""GCN-CF, the paper's teacher: two graph convolutions around two cross operations (eq. 6 to 14)."""

from __future__ import annotations

from functools import partial
from typing import Literal

import torch
from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor, nn
from torch.nn.functional import leaky_relu

from hashrec.training.data.interactions import Interactions
from hashrec.training.numerics.bpr_fit import BprFit
from hashrec.training.numerics.device import deterministic, generator
from hashrec.training.numerics.embeddings import Embeddings
from hashrec.training.numerics.graph import embeddings_of_nodes, laplacian, propagate
from hashrec.training.numerics.hyperparameters import Hyperparameters
from hashrec.training.numerics.initial import normal_parameter
from hashrec.training.numerics.losses import regularised_bpr
from hashrec.training.numerics.sampling import PairSampler, Triples
from hashrec.training.progress import Progress

ACTIVATIONS = {
    "identity": lambda x: x,
    "leaky_relu": leaky_relu,
    "relu": torch.relu,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
}


def cross(X: Tensor, W: Tensor) -> Tensor:
    """Return x (w^T x) + x for each row x of X and w of W (eq. 7, and 9 and 10 for all rows).

    Args:
        X: float, shape (n, d).
        W: float, shape (n, d).
    """
    return X * (X * W).sum(1, keepdim=True) + X


class GraphFactors(nn.Module):
    """The network of eq. 8 to 13 over the nodes of one graph.

    Args:
        n_nodes: users and items together.
        dim: D, the width of each layer.
        activation: rho of eq. 6, a key of `ACTIVATIONS`.
        init_scale: standard deviation of the initial factors.
        random: generator of the initial weights.
    """

    def __init__(
        self, n_nodes: int, dim: int, activation: str, init_scale: float, random: torch.Generator
    ) -> None:
        super().__init__()
        normal = partial(normal_parameter, random)
        self.activation = ACTIVATIONS[activation]
        self.factors = normal(n_nodes, dim, scale=init_scale)
        self.filters = nn.ParameterList([normal(dim, dim, scale=dim**-0.5) for _ in range(2)])
        self.crosses = nn.ParameterList([normal(n_nodes, dim, scale=0.1 / dim) for _ in range(2)])
        # Every step uses the whole graph, so the statistics of a step are the final ones.
        self.norms = nn.ModuleList(
            [nn.BatchNorm1d(dim, track_running_stats=False, device=random.device) for _ in range(2)]
        )

    def forward(self, L: Tensor) -> Tensor:
        """Return [X0, X1, X4], float32, shape (n_nodes, 3 dim), users before items."""
        X0 = self.factors
        X1 = self.convolve(0, X0, L)  # eq. 8
        X2 = cross(X1, self.crosses[0])  # eq. 9
        X3 = cross(X2, self.crosses[1])  # eq. 10
        X4 = self.convolve(1, X3, L)  # eq. 11
        return torch.cat([X0, X1, X4], dim=1)  # eq. 12 and 13

    def convolve(self, layer: int, X: Tensor, L: Tensor) -> Tensor:
        """Return sp(X; L, Theta) = rho((I + L) X Theta) of the batch-normalised X (eq. 6)."""
        return self.activation(propagate(L, self.norms[layer](X) @ self.filters[layer]))


class GcnCf(Hyperparameters):
    """Graph convolutional collaborative filtering; gives factors of width 3 `factor_dim`.

    Attributes:
        factor_dim: D of the paper.
        regularization: lambda of eq. 14, on the final factors of each triple.
        activation: rho of eq. 6, which the paper does not specify.
        epochs: passes over the training pairs.
        batches_per_epoch: steps in a pass. Each step propagates over the whole graph, so a fixed
            number of them, and not a fixed batch size, keeps a pass linear in interactions.
        learning_rate: of Adam, at the start; it falls to zero along half a cosine.
        init_scale: standard deviation of the initial factors U0 and V0.
    """

    factor_dim: PositiveInt = 64
    regularization: NonNegativeFloat = 0.001
    activation: Literal["identity", "leaky_relu", "relu", "sigmoid", "tanh"] = "sigmoid"
    epochs: PositiveInt = 35
    batches_per_epoch: PositiveInt = 32
    learning_rate: PositiveFloat = 0.01
    init_scale: PositiveFloat = 0.1

    def fit(
        self, train: Interactions, *, seed: int, device: torch.device, progress: Progress
    ) -> Embeddings:
        """Minimise eq. 14 with Adam; see `Teacher.fit`."""
        with deterministic(device):
            return self._fit(train, seed, device, progress)

    def _fit(
        self, train: Interactions, seed: int, device: torch.device, progress: Progress
    ) -> Embeddings:
        sampler = PairSampler(train, device)
        L = laplacian(train, device)
        network = GraphFactors(
            train.n_users + train.n_items,
            self.factor_dim,
            self.activation,
            self.init_scale,
            generator(device, seed, 0),
        )

        def loss(batch: Triples, _: torch.Generator) -> Tensor:
            return regularised_bpr(network(L), batch, train.n_users, self.regularization)

        adam = torch.optim.Adam(network.parameters(), lr=self.learning_rate, fused=True)
        fit = BprFit(loss, adam, sampler, self.batches_per_epoch)
        for _ in fit.epochs("GCN-CF epochs", self.epochs, seed, progress):
            pass
        return embeddings_of_nodes(network(L), train.n_users)
