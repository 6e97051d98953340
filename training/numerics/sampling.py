"""Batches of positives and sampled negatives, on the training device."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from hashrec.index.errors import EmptyDataError
from hashrec.training.data.interactions import Interactions


@dataclass(frozen=True, eq=False)
class Triples:
    """Rows (i, j, j') of eq. 1 and 14: user i has item j and not item j'.

    Attributes:
        users: int64, shape (b,).
        positives: int64, shape (b,).
        negatives: int64, shape (b,).
    """

    users: Tensor
    positives: Tensor
    negatives: Tensor


@dataclass(frozen=True, eq=False)
class ItemLists:
    """Lists of a user's positives, and as many sampled negatives, padded to one length.

    Attributes:
        users: int64, shape (b,).
        positives: int64, shape (b, length).
        negatives: int64, shape (b, length).
        mask: bool, shape (b, length), False where a place is padding.
        shares: float32, shape (b,), the part of its user's positives that each list holds.
    """

    users: Tensor
    positives: Tensor
    negatives: Tensor
    mask: Tensor
    shares: Tensor


class PairSampler:
    """Draws the set D = {(i, j, j')} of the paper, again in each epoch.

    An epoch visits every training pair once, so its cost is linear in interactions. Users who have
    every item have no negative and are left out.

    Args:
        train: the training interactions.
        device: of the samples.

    Raises:
        EmptyDataError: no user has both an item and a missing item.
    """

    def __init__(self, train: Interactions, device: torch.device) -> None:
        matrix = train.matrix()
        counts = torch.from_numpy(matrix.indptr).long().diff()
        users = torch.repeat_interleave(torch.arange(train.n_users), counts)
        items = torch.from_numpy(matrix.indices).long()
        usable = counts[users] < train.n_items
        if not usable.any():
            raise EmptyDataError("training data", "no user has both an item and a missing item")
        self.n_items = train.n_items
        self.users = users[usable].to(device)
        self.items = items[usable].to(device)
        self.counts = torch.bincount(users[usable], minlength=train.n_users).to(device)
        self.starts = self.counts.cumsum(0) - self.counts
        # Missing items of the user before the item of each pair, as an ascending key.
        n_missing_before = self.items - self._position_in_user()
        self._gap_keys = self.users * self.n_items + n_missing_before
        self._pair_keys = self.users * self.n_items + self.items

    def __len__(self) -> int:
        """Return the number of pairs visited in an epoch."""
        return len(self.users)

    def negatives(self, users: Tensor, generator: torch.Generator) -> Tensor:
        """Draw one missing item for each user, uniformly and exactly, without rejection.

        The r-th missing item of a user, r uniform, has row r + k, where k of the user's sorted
        items have at most r missing items before them.

        Args:
            users: int64, any shape, each with at least one pair.
            generator: on the sampler's device.

        Returns:
            int64, the shape of `users`.
        """
        n_missing = self.n_items - self.counts[users]
        uniform = torch.rand(
            users.shape, generator=generator, device=users.device, dtype=torch.float64
        )
        rank = (uniform * n_missing).long()
        passed = torch.searchsorted(self._gap_keys, users * self.n_items + rank, right=True)
        return rank + passed - self.starts[users]

    def has(self, users: Tensor, items: Tensor) -> Tensor:
        """Return whether some pairs are among the training pairs.

        Args:
            users: int64, any shape.
            items: int64, of a shape that broadcasts with it.

        Returns:
            bool, of the broadcast shape.
        """
        keys = users * self.n_items + items
        places = torch.searchsorted(self._pair_keys, keys).clamp_(max=len(self) - 1)
        return self._pair_keys[places] == keys

    def others(self, pairs: Tensor, n: int, generator: torch.Generator) -> Tensor:
        """Draw items of each pair's user other than the pair's own, uniformly, with replacement.

        Args:
            pairs: int64, shape (b,), rows of `users` and `items`.
            n: to draw for each.
            generator: on the sampler's device.

        Returns:
            int64, shape (b, n); the pair's own item if its user has no other.
        """
        users = self.users[pairs]
        starts, counts = self.starts[users][:, None], self.counts[users][:, None]
        uniform = torch.rand(
            (len(pairs), n), generator=generator, device=pairs.device, dtype=torch.float64
        )
        # Move 1 to count - 1 places, cyclically, in the user's items; 0 places for a single item.
        further = 1 + (uniform * (counts - 1)).long()
        return self.items[starts + (pairs[:, None] - starts + further) % counts]

    def triples(self, n_batches: int, generator: torch.Generator) -> Iterator[Triples]:
        """Yield every pair once with one negative, shuffled, in at most `n_batches` equal parts."""
        order = torch.randperm(len(self), generator=generator, device=self.users.device)
        for pairs in order.chunk(n_batches):
            users = self.users[pairs]
            yield Triples(users, self.items[pairs], self.negatives(users, generator))

    def lists(
        self, max_length: int, n_batches: int, generator: torch.Generator
    ) -> Iterator[ItemLists]:
        """Yield every pair once, in lists of one user, with a negative each.

        A user's positives are shuffled and split into the fewest lists of at most `max_length`; the
        lists are shuffled and come in at most `n_batches` equal parts.
        """
        device = self.users.device
        order = torch.randperm(len(self), generator=generator, device=device)
        order = order[torch.argsort(self.users[order], stable=True)]
        lists_per_user = (self.counts + max_length - 1) // max_length
        first_list = lists_per_user.cumsum(0) - lists_per_user
        position, n_lists_here = self._position_in_user(), lists_per_user[self.users]
        list_row = first_list[self.users] + position % n_lists_here
        n_lists = int(lists_per_user.sum())
        pairs = torch.full((n_lists, max_length), -1, dtype=torch.int64, device=device)
        pairs[list_row, position // n_lists_here] = order
        for rows in torch.randperm(n_lists, generator=generator, device=device).chunk(n_batches):
            mask = pairs[rows] >= 0
            batch = pairs[rows].clamp_min(0)
            users = self.users[pairs[rows, 0]]
            yield ItemLists(
                users=users,
                positives=self.items[batch],
                negatives=self.negatives(users[:, None].expand_as(batch), generator),
                mask=mask,
                shares=mask.sum(1) / self.counts[users],
            )

    def _position_in_user(self) -> Tensor:
        return torch.arange(len(self), device=self.users.device) - self.starts[self.users]
