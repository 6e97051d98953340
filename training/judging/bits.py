"""`BitUse`: how a set of codes uses its bits: balance, correlation and effective rank."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hashrec.index.arrays.codes import BinaryCodes

_BLOCK = 1 << 22  # signs at once


@dataclass(frozen=True, slots=True)
class BitUse:
    """Statistics of the bits of a set of codes, as values -1 and +1.

    Attributes:
        n_codes: users or items.
        n_distinct: different codes among them.
        mean_imbalance: mean over the bits of |mean of the bit|; 0 is half of the codes on each
            side.
        worst_bit: the most imbalanced bit, from 0.
        worst_imbalance: of that bit; 1 is a constant bit.
        constant_bits: bits with one value in every code; they have no correlation.
        mean_correlation: mean |correlation| over the pairs of other bits.
        max_correlation: the largest of them; 1 is a bit that repeats another or its opposite.
        effective_rank: exp of the entropy of the covariance's eigenvalues, normalised to sum 1 (Roy
            and Vetterli 2007); the number of independent bits with the same spread. 0 if all
            codes are the same.
    """

    n_codes: int
    n_distinct: int
    mean_imbalance: float
    worst_bit: int
    worst_imbalance: float
    constant_bits: int
    mean_correlation: float
    max_correlation: float
    effective_rank: float


def bit_use(codes: BinaryCodes) -> BitUse:
    """Compute the statistics of the bits in one pass over blocks of codes."""
    n, n_bits = len(codes), codes.n_bits
    totals, gram = np.zeros(n_bits), np.zeros((n_bits, n_bits))
    size = max(1, _BLOCK // n_bits)
    for start in range(0, n, size):
        signs = codes[start : start + size].to_signs().astype(np.float32)
        totals += signs.sum(axis=0)  # sums of so few signs are exact in float32
        gram += signs.T @ signs
    means = totals / max(1, n)
    covariance = gram / max(1, n) - np.outer(means, means)
    imbalance = np.abs(means)
    worst = int(imbalance.argmax())
    varying = imbalance < 1  # a constant bit's mean is exactly 1 or -1
    mean_correlation, max_correlation = _correlations(covariance[np.ix_(varying, varying)])
    return BitUse(
        n_codes=n,
        n_distinct=_n_distinct(codes),
        mean_imbalance=float(imbalance.mean()),
        worst_bit=worst,
        worst_imbalance=float(imbalance[worst]),
        constant_bits=int((~varying).sum()),
        mean_correlation=mean_correlation,
        max_correlation=max_correlation,
        effective_rank=_effective_rank(covariance),
    )


def _n_distinct(codes: BinaryCodes) -> int:
    if not len(codes):
        return 0
    width = codes.packed.shape[1]
    whole = np.ascontiguousarray(codes.packed).view(np.dtype((np.void, width)))
    return len(np.unique(whole))


def _correlations(covariance: NDArray[np.float64]) -> tuple[float, float]:
    """Return mean and largest |correlation| off the diagonal; 0 with fewer than two bits."""
    n = len(covariance)
    if n < 2:
        return 0.0, 0.0
    deviation = np.sqrt(covariance.diagonal())
    correlation = np.abs(covariance / np.outer(deviation, deviation))
    np.fill_diagonal(correlation, 0)
    return float(correlation.sum() / (n * (n - 1))), float(correlation.max())


def _effective_rank(covariance: NDArray[np.float64]) -> float:
    eigenvalues = np.maximum(np.linalg.eigvalsh(covariance), 0)
    if not eigenvalues.any():
        return 0.0
    shares = eigenvalues / eigenvalues.sum()
    shares = shares[shares > 0]
    return float(np.exp(-(shares * np.log(shares)).sum()))
