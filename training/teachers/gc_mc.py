"""GC-MC, the graph autoencoder, for implicit feedback.

van den Berg, Kipf and Welling, "Graph Convolutional Matrix Completion", 2017 (arXiv:1706.02263).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Annotated

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt
from torch import Tensor, nn

from hashrec.training.data.interactions import Interactions
from hashrec.training.judging.validation_curve import ValidationCurve
from hashrec.training.numerics.bpr_fit import BprFit
from hashrec.training.numerics.device import deterministic, generator
from hashrec.training.numerics.embeddings import Embeddings
from hashrec.training.numerics.graph import laplacian, neighbour_sum
from hashrec.training.numerics.hyperparameters import Hyperparameters
from hashrec.training.numerics.initial import normal_parameter
from hashrec.training.numerics.losses import bpr_of_triples
from hashrec.training.numerics.sampling import PairSampler, Triples
from hashrec.training.numerics.scorer import Csr
from hashrec.training.progress import Progress


@dataclass(frozen=True, eq=False)
class GcMcScores(Embeddings):
    """Factors of GC-MC; the factors of a user depend on the messages of the items alone.

    Attributes:
        messages: float32, shape (n_items, hidden), what an item sends, by the root of its degree.
        dense: float32, shape (hidden, d), from a user's hidden layer to the factors.
        additions: float32, shape (n_items, d), what an item adds to the factors of a user each of
            whose hidden units is open by the share of users who have it open.
    """

    messages: NDArray[np.float32]
    dense: NDArray[np.float32]
    additions: NDArray[np.float32]

    def fold_in(self, histories: Csr) -> NDArray[np.float32]:
        """Encode new users like known users; see `FoldInScorer.fold_in`."""
        roots = np.sqrt(np.maximum(histories.getnnz(1), 1), dtype=np.float32)[:, None]
        hidden: NDArray[np.float32] = np.maximum(histories @ self.messages / roots, 0)
        factors: NDArray[np.float32] = hidden @ self.dense
        return factors @ self.items.T

    def item_weights(self, item_rows: NDArray[np.integer]) -> NDArray[np.float32]:
        """Return the linear part of `fold_in`; see `LinearScorer`."""
        return self.additions[item_rows] @ self.items.T


class GraphAutoencoder(nn.Module):
    """The encoder and the matrix of the decoder, for one type of edges.

    Args:
        n_users: nodes that are users.
        n_items: nodes that are items, which come after the users.
        hidden_dim: width of the messages.
        dim: width of the factors.
        n_bases: matrices that Q is mixed from.
        init_scale: standard deviation of the initial messages.
        random: generator of the initial weights.
    """

    def __init__(
        self,
        n_users: int,
        n_items: int,
        *,
        hidden_dim: int,
        dim: int,
        n_bases: int,
        init_scale: float,
        random: torch.Generator,
    ) -> None:
        super().__init__()
        normal = partial(normal_parameter, random)
        self.n_users = n_users
        self.messages = normal(n_users + n_items, hidden_dim, scale=init_scale)
        self.dense_users = normal(hidden_dim, dim, scale=hidden_dim**-0.5)
        self.dense_items = normal(hidden_dim, dim, scale=hidden_dim**-0.5)
        self.bases = normal(n_bases, dim, dim, scale=dim**-0.5)
        self.mixture = normal(n_bases, scale=n_bases**-0.5)

    def forward(self, L: Tensor, kept: Tensor | None = None) -> Tensor:
        """Return Z_U Q and Z_V, float32, shape (n_nodes, dim), users before items.

        Args:
            L: `laplacian`, shape (n_nodes, n_nodes).
            kept: float32, shape (n_nodes, 1), what a node's messages are multiplied by.
        """
        hidden = self.hidden(L, kept)
        users = hidden[: self.n_users] @ self.decoded()
        return torch.cat([users, hidden[self.n_users :] @ self.dense_items])

    def hidden(self, L: Tensor, kept: Tensor | None = None) -> Tensor:
        """Return the hidden layer ReLU(L W), float32, shape (n_nodes, hidden_dim)."""
        return torch.relu(neighbour_sum(L, self.messages if kept is None else kept * self.messages))

    def decoded(self) -> Tensor:
        """Return Theta_U Q with Q = sum_s a_s P_s, float32, shape (hidden_dim, dim)."""
        return self.dense_users @ torch.einsum("s,sij->ij", self.mixture, self.bases)


class GcMc(Hyperparameters):
    """A graph autoencoder of one edge type, "has", that learns to rank.

    A node's features are a one-hot vector, so its message is a row w of weights. Encoder and
    decoder are, for user u, item i, and degrees d,

        h_u = ReLU(sum_(i of u) w_i / sqrt(d_u d_i)),    z_u = Theta_U^T h_u,    likewise h_i, z_i,
        s_ui = z_u^T Q z_i,    Q = sum_s a_s P_s.

    The paper has a message and a matrix Q for each rating, and learns which rating a pair has.
    Implicit feedback has one type of edge and no pair known not to be there, so the softmax over
    ratings becomes BPR between a user's items and sampled others. (Cross entropy between the two
    did a little worse.) The dropout of whole nodes is the paper's.

    A user's factors depend on the items alone, so a new user is encoded as known ones are.

    Attributes:
        hidden_dim: width of w and h.
        factor_dim: width of z.
        bases: number of P_s.
        dropout: chance that all messages of a node are left out of a step.
        epochs: passes over the training pairs.
        batches_per_epoch: steps in a pass; a fixed number keeps a pass linear in interactions.
        learning_rate: of Adam, at the start; it falls to zero along half a cosine.
        init_scale: standard deviation of the initial w.
        validate_every: epochs between two points of a curve of Recall@20 and NDCG@20, for which a
            tenth of the pairs is held out of training; 0 learns from all pairs, without a curve.
    """

    hidden_dim: PositiveInt = 128
    factor_dim: PositiveInt = 64
    bases: PositiveInt = 2
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.3
    epochs: PositiveInt = 100
    batches_per_epoch: PositiveInt = 16
    learning_rate: PositiveFloat = 0.01
    init_scale: PositiveFloat = 0.1
    validate_every: NonNegativeInt = 0

    def fit(
        self, train: Interactions, *, seed: int, device: torch.device, progress: Progress
    ) -> GcMcScores:
        """Minimise with Adam; see `Teacher.fit`."""
        train.require_any()
        with deterministic(device):
            return self._fit(train, seed, device, progress)

    def _fit(
        self, train: Interactions, seed: int, device: torch.device, progress: Progress
    ) -> GcMcScores:
        curve = ValidationCurve(train, self.validate_every, seed)
        sampler, L = PairSampler(curve.train, device), laplacian(curve.train, device)
        network = GraphAutoencoder(
            train.n_users,
            train.n_items,
            hidden_dim=self.hidden_dim,
            dim=self.factor_dim,
            n_bases=self.bases,
            init_scale=self.init_scale,
            random=generator(device, seed, 0),
        )

        def loss(batch: Triples, random: torch.Generator) -> Tensor:
            chance = torch.rand((len(network.messages), 1), generator=random, device=device)
            kept = (chance >= self.dropout) / (1 - self.dropout)
            return bpr_of_triples(network(L, kept), batch, train.n_users)

        adam = torch.optim.Adam(network.parameters(), lr=self.learning_rate, fused=True)
        fit = BprFit(loss, adam, sampler, self.batches_per_epoch)
        for epoch in fit.epochs("GC-MC epochs", self.epochs, seed, progress):
            if curve.is_due(epoch):
                curve.log(_scores(network, L), progress)
        return _scores(network, L)


@torch.no_grad()
def _scores(network: GraphAutoencoder, L: Tensor) -> GcMcScores:
    n_users = network.n_users
    factors = network(L).cpu().numpy()
    degrees = L.crow_indices().diff()[n_users:, None].float()
    # An item without users sent no message in training, so its weights mean nothing.
    messages = network.messages[n_users:] * degrees.clamp(min=1).rsqrt() * (degrees > 0)
    dense = network.decoded()
    open_share = (network.hidden(L)[:n_users] > 0).float().mean(0)
    return GcMcScores(
        users=factors[:n_users],
        items=factors[n_users:],
        messages=messages.cpu().numpy(),
        dense=dense.cpu().numpy(),
        additions=(messages * open_share @ dense).cpu().numpy(),
    )
