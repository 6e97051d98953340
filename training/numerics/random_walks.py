"""Random walks over the user-item graph, and the items they visit most."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from hashrec.training.numerics.scorer import Csr

_AT_ONCE = 1 << 21  # visits counted at once: about 100 MB


class Walks:
    """Walks from item to item; a step goes to a random user of an item, then to one of theirs.

    Args:
        X: binary CSR, shape (n_users, n_items).
        device: of the walks.
    """

    def __init__(self, X: Csr, device: torch.device) -> None:
        by_item = X.tocsc()
        self.n_items = X.shape[1]
        self._users_of, self._items_of = (
            (
                torch.from_numpy(matrix.indptr.astype(np.int64)).to(device),
                torch.from_numpy(matrix.indices.astype(np.int64)).to(device),
            )
            for matrix in (by_item, X)
        )

    def step(self, items: Tensor, random: torch.Generator) -> Tensor:
        """Take one step from each of some items.

        Args:
            items: int64, any shape, each with at least one user.
            random: generator on the device.
        """
        users = _any_of(self._users_of, items, random)
        return _any_of(self._items_of, users, random)

    def with_users(self) -> Tensor:
        """Return the items that have a user, int64, ascending."""
        return self._users_of[0].diff().nonzero().squeeze(1)


@dataclass(frozen=True, eq=False)
class Neighbourhoods:
    """The items that short walks from each item visit most.

    Attributes:
        rows: int64, shape (n_items, size), most visited first; the item itself if walks visit
            fewer others.
        weights: float32, shape (n_items, size), the share of the visits that these items have; 0
            where there is none.
    """

    rows: Tensor
    weights: Tensor

    @classmethod
    def of(
        cls, walks: Walks, *, size: int, n_walks: int, n_steps: int, random: torch.Generator
    ) -> Neighbourhoods:
        """Walk from every item; ties go to the lower row.

        Args:
            walks: over the graph.
            size: T, the items kept.
            n_walks: from each item.
            n_steps: of each walk; every item on its way counts, but for the one it set out from.
            random: generator on the device of `walks`.
        """
        n_items, device = walks.n_items, random.device
        rows = torch.arange(n_items, device=device)[:, None].repeat(1, size)
        visits = torch.zeros((n_items, size), device=device)
        for some in walks.with_users().split(max(1, _AT_ONCE // (n_walks * n_steps))):
            starts = some.repeat_interleave(n_walks)
            at, seen = starts, []
            for _ in range(n_steps):
                at = walks.step(at, random)
                seen.append((starts * n_items + at)[at != starts])
            pairs, counts = torch.unique(torch.cat(seen), return_counts=True)
            # By item, then by visits; a stable sort leaves equals in the order of their rows.
            most = n_walks * n_steps
            order = torch.argsort(pairs // n_items * (most + 1) - counts, stable=True)
            pairs, counts = pairs[order], counts[order]
            of = pairs // n_items
            place = torch.arange(len(of), device=device) - torch.searchsorted(of, of)
            kept = place < size
            rows[of[kept], place[kept]] = pairs[kept] % n_items
            visits[of[kept], place[kept]] = counts[kept].float()
        return cls(rows, visits / visits.sum(1, keepdim=True).clamp(min=1))


def _any_of(lists: tuple[Tensor, Tensor], owners: Tensor, random: torch.Generator) -> Tensor:
    """Draw one member of each owner's list, uniformly; none of the lists is empty."""
    starts, members = lists
    lengths = starts[owners + 1] - starts[owners]
    # In float64 the product stays below the length for every draw.
    dice = torch.rand(owners.shape, generator=random, device=owners.device, dtype=torch.float64)
    return members[starts[owners] + (dice * lengths).long()]
