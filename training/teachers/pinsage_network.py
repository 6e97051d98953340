"""The network of PinSage: convolutions over neighbourhoods, then two dense layers.

Ying et al., "Graph Convolutional Neural Networks for Web-Scale Recommender Systems", KDD 2018.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding, normalize

from hashrec.training.numerics.random_walks import Neighbourhoods

_AT_ONCE = 4_096  # items whose neighbours are in memory at once, after training


class Dense(nn.Module):
    """x W + b with an initialisation for a ReLU, from a passed generator."""

    def __init__(self, n_in: int, n_out: int, random: torch.Generator) -> None:
        super().__init__()
        W = torch.randn((n_in, n_out), generator=random, device=random.device)
        self.W = nn.Parameter(math.sqrt(2 / n_in) * W)
        self.b = nn.Parameter(torch.zeros(n_out, device=random.device))

    def forward(self, x: Tensor) -> Tensor:
        """Return x W + b, float32, shape (n, n_out)."""
        return torch.addmm(self.b, x, self.W)


class Convolution(nn.Module):
    """CONVOLVE of algorithm 1, for node u and its neighbours v.

        n_u = sum_v alpha_uv ReLU(Q h_v + q),
        z_u = ReLU(W [h_u; n_u] + w),    z_u / |z_u|.

    Args:
        dim: width of all layers.
        random: generator of the initial weights.
    """

    def __init__(self, dim: int, random: torch.Generator) -> None:
        super().__init__()
        self.message = Dense(dim, dim, random)
        self.update = Dense(2 * dim, dim, random)

    def forward(self, h: Tensor, sent: Tensor, neighbours: Tensor, alpha: Tensor) -> Tensor:
        """Convolve n nodes.

        Args:
            h: float32, shape (n, dim), of the nodes.
            sent: `messages`, shape (m, dim), of all their neighbours.
            neighbours: int64, shape (n, T), places of the neighbours in `sent`.
            alpha: float32, shape (n, T).
        """
        n = (alpha[:, :, None] * embedding(neighbours, sent)).sum(1)
        return normalize(torch.relu(self.update(torch.cat([h, n], dim=1))), dim=1)

    def messages(self, h: Tensor) -> Tensor:
        """Return ReLU(Q h + q) of nodes, shape (m, dim) as h."""
        return torch.relu(self.message(h))


class Network(nn.Module):
    """Layers of convolutions over learned features, and the dense layers after them.

    Args:
        near: the neighbours of every item.
        n_layers: K.
        dim: width of all layers.
        random: generator of the initial weights, on the device of `near`.
    """

    def __init__(
        self, near: Neighbourhoods, n_layers: int, dim: int, random: torch.Generator
    ) -> None:
        super().__init__()
        self.near = near
        self.convolutions = [Convolution(dim, random) for _ in range(n_layers)]
        self._registered = nn.ModuleList(self.convolutions)  # a plain list is not registered
        self.hidden = Dense(dim, dim, random)
        self.out = Dense(dim, dim, random)

    def needed(self, items: Tensor) -> list[Tensor]:
        """Return the nodes of each layer, int64, ascending; the first layer needs its features.

        Args:
            items: int64, ascending, the items to embed.
        """
        layers = [items]
        for _ in self.convolutions:
            layers.append(torch.unique(torch.cat([layers[-1], self.near.rows[layers[-1]].ravel()])))
        return layers[::-1]

    def forward(self, layers: list[Tensor], x: Tensor) -> Tensor:
        """Embed the items of the last layer (algorithm 2).

        Args:
            layers: of `needed`.
            x: float32, shape (m, dim), features of the nodes of the first layer.
        """
        h = x
        steps = zip(self.convolutions, layers[:-1], layers[1:], strict=True)
        for convolution, before, nodes in steps:
            h = convolution(
                embedding(torch.searchsorted(before, nodes), h),
                convolution.messages(h),
                torch.searchsorted(before, self.near.rows[nodes]),
                self.near.weights[nodes],
            )
        return self.embed(h)

    def embed(self, h: Tensor) -> Tensor:
        """Return G_1 ReLU(G_2 h + g)."""
        return self.out(torch.relu(self.hidden(h)))

    @torch.no_grad()
    def everything(self, x: Tensor) -> Tensor:
        """Embed all items layer by layer, so that no item is convolved twice.

        Args:
            x: float32, shape (n_items, dim), the features of all.
        """
        h = x
        for convolution in self.convolutions:
            sent = convolution.messages(h)
            parts = zip(
                *(part.split(_AT_ONCE) for part in (h, self.near.rows, self.near.weights)),
                strict=True,
            )
            h = torch.cat([convolution(own, sent, rows, alpha) for own, rows, alpha in parts])
        return self.embed(h)
