"""Coordinate descent over bits, as in discrete collaborative filtering.

Zhang et al., "Discrete Collaborative Filtering", SIGIR 2016.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from hashrec.training.numerics.device import sparse_product
from hashrec.training.numerics.implicit_squares import Positives

_ROWS = 1024  # codes per block, which fits in the CPU cache


def descend(
    codes: Tensor,
    other: Tensor,
    wanted: Tensor,
    scale: float = 1.0,
    *,
    noise: float = 0.0,
    random: torch.Generator | None = None,
    heavier: tuple[Positives, float] | None = None,
) -> None:
    """Set every bit of one side to the sign of its field, in order; a field of 0 keeps the bit.

    The field of bit d of row u, whose code is p, is

        h_ud = R_ud - c sum_(e != d) A_u,de p_e,    A_u = sum_i w_ui q_i q_i^T,

    the part of dL / dp_d that p_d itself is not in, for a loss that is a sum of
    w_ui (t_ui - c p_u^T q_i)^2, times -1 / 2 c.

    Args:
        codes: +-1 as float32, shape (n, n_bits); changed in place.
        other: codes of the other side, shape (m, n_bits), held fixed.
        wanted: R, shape (n, n_bits): the weighted targets times the other side's codes.
        scale: c.
        noise: t, deviation of the noise in units of c A_dd.
        random: source of the noise; not needed without noise.
        heavier: pairs that weigh more than 1, and their weight; by default all pairs weigh 1.
    """
    A = (other.T @ other).fill_diagonal_(0)
    deviation = noise * scale * len(other)  # every A_dd is the number of codes
    columns = other.T.contiguous() if heavier else other
    for rows in blocks(len(codes), _ROWS):
        bits = codes[rows].T.contiguous()  # bit-major, so that one bit of all rows is contiguous
        reached = wanted[rows].T.contiguous()
        if noise:
            reached += deviation * torch.randn(reached.shape, generator=random, device=codes.device)
        extra = None if heavier is None else _Extra(*heavier, rows, codes, other)
        for d in range(len(bits)):
            field = torch.addmv(reached[d], bits.T, A[d], alpha=-scale)
            if extra is not None:
                field -= scale * extra.field(columns[d], bits[d])
            best = torch.where(field == 0, bits[d], field.sign())
            if extra is not None:
                extra.move(columns[d], best - bits[d])
            bits[d] = best
        codes[rows] = bits.T


class _Extra:
    """Contribution to the fields by the pairs of some rows with weight w, beyond weight 1."""

    def __init__(
        self, positives: Positives, weight: float, rows: slice, codes: Tensor, other: Tensor
    ) -> None:
        self._pairs = positives.block(rows)
        self._weight = weight - 1
        self._counts = self._pairs.counts()[:, 0]
        self._products = self._pairs.products(codes[rows], other)  # exact: small integers

    def field(self, column: Tensor, bits: Tensor) -> Tensor:
        """Return (w - 1) sum_i (p^T q_i - p_d q_id) q_id over the pairs of each row."""
        sums = sparse_product(self._pairs.weighted(self._products), column[:, None])[:, 0]
        return self._weight * (sums - self._counts * bits)

    def move(self, column: Tensor, change: Tensor) -> None:
        """Update the inner products after one bit of each row changed."""
        self._products += change[self._pairs.rows] * column[self._pairs.columns]


def blocks(n_rows: int, step: int) -> Iterator[slice]:
    """Return slices of `step` rows; the last one may be shorter."""
    return (slice(start, min(start + step, n_rows)) for start in range(0, n_rows, step))
