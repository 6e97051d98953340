"""Hashed matrix factorisation: signs of factors that are read from two small tables.

Karatzoglou, Smola and Weimer, "Collaborative Filtering on a Budget", AISTATS 2010.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor

from hashrec.index.arrays.codes import BinaryCodes
from hashrec.training.data.interactions import Interactions
from hashrec.training.models.hash_model import CodeWidth, HashCodes, packed_signs
from hashrec.training.numerics.bpr_fit import BprFit
from hashrec.training.numerics.device import deterministic, generator
from hashrec.training.numerics.hyperparameters import Hyperparameters
from hashrec.training.numerics.losses import regularised_bpr
from hashrec.training.numerics.sampling import PairSampler, Triples
from hashrec.training.numerics.scorer import Scorer
from hashrec.training.progress import Progress

_ROWS = 4096  # factors read at once when codes are made


@dataclass(frozen=True, eq=False)
class HashedTable:
    """Factors of any number of rows in a table of fixed size.

    Entry d of row i is sign(i, d) table[slot(i, d)], both hashes of (i, d). Entries that share a
    slot are equal up to their signs, which are independent, so that inner products are right on
    average.

    Attributes:
        table: float32, shape (size,).
        width: entries of a row.
        salt: 62 random bits, so that each table has different hashes.
    """

    table: Tensor
    width: int
    salt: int

    def rows(self, rows: Tensor) -> Tensor:
        """Read some rows out of the table, differentiably.

        Args:
            rows: int64, shape (b,).

        Returns:
            float32, shape (b, width).
        """
        slots, signs = self.hashes(rows)
        return signs * self.table.gather(0, slots.flatten()).view(slots.shape)

    def hashes(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Return slots, int64, and signs, float32, both of shape (b, width)."""
        entries = rows[:, None] * self.width + torch.arange(self.width, device=rows.device)
        mixed = _mixed(entries ^ self.salt)
        low, high = mixed & 0xFFFFFFFF, (mixed >> 32) & 0x7FFFFFFF
        return (high * len(self.table)) >> 31, (2 * (low & 1) - 1).to(self.table.dtype)


class HashedMf(Hyperparameters):
    """Matrix factorisation whose parameters take a fixed amount of memory.

    The original hashes every factor into a small table with a random sign and fits the table to
    ratings,

        p_ud = xi(u, d) a[h(u, d)],    q_id = xi'(i, d) b[h'(i, d)],    score p_u^T q_i,

    by stochastic gradients. Here feedback is implicit and the loss is BPR (eq. 1) on a sampled
    missing item for each pair, with an L2 penalty on the rows of each triple. Factors are never
    stored: a step reads the rows that it needs, and their gradient is added up in the tables. What
    is learned, its gradient and Adam's moments take the memory of the tables.

    **What becomes a code.** The original keeps real numbers. Here a code is the sign of each factor
    that is read out, sign(p_ud) and sign(q_id): entries that share a slot have equal or opposite
    bits.

    Attributes:
        n_bits: width of the codes, a multiple of 8, and of the factors.
        table_share: size of each table, as a share of the factors it stands for.
        regularization: of the L2 penalty.
        epochs: passes over the training pairs.
        batches_per_epoch: steps in a pass; fixed, so that a pass is linear in interactions.
        learning_rate: of Adam, at the start; it falls to zero along half a cosine.
        init_scale: standard deviation of the tables' initial entries.
    """

    needs_teacher: ClassVar[bool] = False
    default_teacher: ClassVar[str] = "gcn-cf"

    n_bits: CodeWidth = 192
    table_share: PositiveFloat = 0.5
    regularization: NonNegativeFloat = 0.015
    epochs: PositiveInt = 10
    batches_per_epoch: PositiveInt = 16
    learning_rate: PositiveFloat = 0.03
    init_scale: PositiveFloat = 0.02

    def fit(
        self,
        train: Interactions,
        teacher: Scorer | None,  # noqa: ARG002 - learns from the interactions alone
        *,
        seed: int,
        device: torch.device,
        progress: Progress,
    ) -> HashCodes:
        """Minimise BPR over the tables with Adam; see `HashModel.fit`."""
        with deterministic(device):
            users, items = self._fit(train, seed, device, progress)
            codes = _codes(users, train.n_users), _codes(items, train.n_items)
        return HashCodes.fitted(train, *codes)

    def _fit(
        self, train: Interactions, seed: int, device: torch.device, progress: Progress
    ) -> tuple[HashedTable, HashedTable]:
        sampler = PairSampler(train, device)
        random = generator(device, seed, 11)
        users = self._table(train.n_users, random)
        items = self._table(train.n_items, random)

        def loss(batch: Triples, _: torch.Generator) -> Tensor:
            users_read, user_of = batch.users.unique(return_inverse=True)
            pairs = torch.stack([batch.positives, batch.negatives])
            items_read, items_of = pairs.unique(return_inverse=True)
            factors = torch.cat([users.rows(users_read), items.rows(items_read)])
            triples = Triples(user_of, *items_of)
            return regularised_bpr(factors, triples, len(users_read), self.regularization)

        adam = torch.optim.Adam([users.table, items.table], lr=self.learning_rate, fused=True)
        fit = BprFit(loss, adam, sampler, self.batches_per_epoch, stream=12)
        for _ in fit.epochs("Hashed MF epochs", self.epochs, seed, progress):
            pass
        return users, items

    def _table(self, n_rows: int, random: torch.Generator) -> HashedTable:
        size = math.ceil(self.table_share * n_rows * self.n_bits)
        table = self.init_scale * torch.randn(size, generator=random, device=random.device)
        salt = torch.randint(1 << 62, (), generator=random, device=random.device)
        return HashedTable(table.requires_grad_(), self.n_bits, int(salt))


def _codes(factors: HashedTable, n_rows: int) -> BinaryCodes:
    """Return the signs of all rows, read out in blocks."""
    rows = torch.arange(n_rows, device=factors.table.device)
    with torch.no_grad():
        packed = [packed_signs(factors.rows(block)).packed for block in rows.split(_ROWS)]
    return BinaryCodes(np.concatenate(packed))


def _mixed(x: Tensor) -> Tensor:
    """Return a hash of 64-bit integers: the finaliser of MurmurHash3, a bijection."""
    for multiplier in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
        x = (x ^ ((x >> 33) & 0x7FFFFFFF)) * (multiplier - (1 << 64))  # wraps by design
    return x ^ ((x >> 33) & 0x7FFFFFFF)
