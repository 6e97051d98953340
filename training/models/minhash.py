"""Min-hash codes: users who share more of their items share more of their bits.

Das, Datar, Garg and Rajaram, "Google News Personalization", WWW 2007; one bit of a min-hash as in
Li and König, "b-Bit Minwise Hashing", WWW 2010.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import NonNegativeFloat, PositiveInt
from torch import Tensor

from hashrec.training.data.interactions import Interactions
from hashrec.training.models.hash_model import CodeWidth, HashCodes, codes_of_signs
from hashrec.training.numerics.device import csr_tensor, deterministic, generator, sparse_product
from hashrec.training.numerics.hyperparameters import Hyperparameters
from hashrec.training.numerics.scorer import Scorer
from hashrec.training.progress import Progress

_BITS_AT_ONCE = 64  # of the users, in float32 at once


class MinHash(Hyperparameters):
    """A user's bits are min-hashes of their items, an item's the vote of its users.

    **Users.** A random permutation h of the items hashes a set H to its first item, argmin_H h. Two
    sets have the same min-hash with chance J, their Jaccard similarity |H and H'| / |H or H'|. Each
    bit is a random sign of its own min-hash, so sets that do not share it agree by half a chance:

        P(bits agree) = J + (1 - J) / 2 = (1 + J) / 2,    E[hamming] = n_bits (1 - J) / 2.

    The original puts p min-hashes together into one cluster's name, here `hashes_per_bit`: a
    product of so many signs, with J^p in place of J.

    **Items.** The original scores item i for user u by the users v who have i, each counted by the
    clusters shared with u. In codes that is p_u^T sum_(v has i) p_v, the sum of n_bits J(u, v) on
    average. So an item belongs where its users are, and its code is the sign of

        sum_(v has i) p_v - t mean_v p_v,    t = shift sum_i n_i^2 / sum_i n_i,

    n_i being an item's users: t is `shift` times the audience of a mean interaction's item. The
    second term is the same for all items. It changes nothing in rankings by inner products, but
    decides what signs keep. Without it every item has nearly the code of the mean user; with it
    popular items stand near the mean user and rare ones opposite. What an item's code estimates is
    therefore a ranking, not a Jaccard similarity.

    Nothing is learned, and no teacher is needed. New users are coded by the linear map that is
    fitted to any model's codes, not by min-hashes.

    Attributes:
        n_bits: width of the codes, a multiple of 8.
        hashes_per_bit: p, min-hashes that have to agree for two users to be alike.
        shift: audience that places an item near the mean user, in mean audiences as above.
    """

    needs_teacher: ClassVar[bool] = False
    default_teacher: ClassVar[str] = "denoised-ease"

    n_bits: CodeWidth = 192
    hashes_per_bit: PositiveInt = 1
    shift: NonNegativeFloat = 1.5

    def fit(
        self,
        train: Interactions,
        teacher: Scorer | None,  # noqa: ARG002 - uses only the sets of items
        *,
        seed: int,
        device: torch.device,
        progress: Progress,
    ) -> HashCodes:
        """Hash the users' sets, then let them vote; see `HashModel.fit`."""
        train.require_any()
        with deterministic(device):
            users = self.user_signs(train, generator(device, seed, 10), progress)
            items = self.votes(train, users)
        return codes_of_signs(train, users, items)

    def user_signs(
        self, train: Interactions, random: torch.Generator, progress: Progress
    ) -> Tensor:
        """Return the users' codes, int8, shape (n_users, n_bits); without items the mean user's."""
        device = random.device
        signs = torch.ones((train.n_users, self.n_bits), dtype=torch.int8, device=device)
        user_rows = torch.from_numpy(train.user_rows).long().to(device)
        item_rows = torch.from_numpy(train.item_rows).to(device)
        for bit in progress.track("Min-hash bits", self.n_bits):
            for _ in range(self.hashes_per_bit):
                keys = random_keys(train.n_items, random)
                signs[:, bit] *= min_hash_signs(keys[item_rows], user_rows, train.n_users)
        known = torch.bincount(user_rows, minlength=train.n_users) > 0
        signs[~known] = torch.where(signs[known].sum(0) >= 0, 1, -1).to(torch.int8)
        return signs

    def votes(self, train: Interactions, users: Tensor) -> Tensor:
        """Return what items' codes are the signs of, float32, shape (n_items, n_bits)."""
        audiences = train.popularity()
        needed = self.shift * float(audiences @ audiences / audiences.sum())
        users_of_items = csr_tensor(train.matrix().T.tocsr(), users.device)
        return torch.cat(
            [
                sparse_product(users_of_items, signs) - needed * signs.mean(0)
                for signs in (part.float() for part in users.split(_BITS_AT_ONCE, dim=1))
            ],
            dim=1,
        )


def random_keys(n_items: int, random: torch.Generator) -> Tensor:
    """Return each item's place in a random order, and in the last bit a random sign.

    Returns:
        int64, shape (n_items,).
    """
    order = torch.randperm(n_items, generator=random, device=random.device)
    return 2 * order + torch.randint(2, (n_items,), generator=random, device=random.device)


def min_hash_signs(keys: Tensor, user_rows: Tensor, n_users: int) -> Tensor:
    """Return the sign of each user's first item.

    Args:
        keys: int64, shape (n,), of the item of each interaction (`random_keys`).
        user_rows: int64, shape (n,), the user of each interaction.
        n_users: number of users; one without an interaction gets +1.

    Returns:
        int8, shape (n_users,), of +-1.
    """
    last = torch.full((n_users,), torch.iinfo(torch.int64).max, device=keys.device)
    first = last.scatter_reduce(0, user_rows, keys, "amin")
    return (2 * (first & 1) - 1).to(torch.int8)
