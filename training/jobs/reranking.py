"""Int8 vectors for re-ranking: made from a teacher's factors, chosen on a validation part.

A vector of dim bytes costs memory for each item, and each request orders `depth` candidates. So a
model has vectors only if they rank validation items clearly better than the codes alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hashrec.index.arrays.codes import BinaryCodes
from hashrec.index.arrays.ids import spread
from hashrec.index.arrays.seen import SeenItems, contained
from hashrec.index.backends import EXACT_INDEX
from hashrec.index.model.reranker import Reranker
from hashrec.index.ranking.bulk import BATCH
from hashrec.training.models.hash_model import HashCodes
from hashrec.training.numerics.embeddings import Embeddings
from hashrec.training.numerics.factor_forms import balanced, standardised_rows

MAX_BYTES_PER_ITEM = 128  # code and vector together
LEAST_GAIN = 0.01  # share of NDCG
LEAST_CERTAINTY = 2.0  # standard errors of the gain
LEAST_USERS = 30  # of fewer users the standard error means nothing
INDIFFERENCE = 0.0025  # share of NDCG that is not worth a larger vector or a deeper list

DIMS = (16, 32, 48, 64, 96)
WEIGHTS = (0.0, 0.25, 0.5, 1.0, 2.0)
DEPTHS = (200, 500, 1000)
_FIRST_DEPTH = 500  # at which dim and weight are compared
_JUDGED_USERS = 5_000
_SAMPLE = 10_000  # codes of each side, for the deviation of their distances
_LARGEST = 127
_LARGEST_WEIGHT = 1 << 30


@dataclass(frozen=True, slots=True)
class RerankChoice:
    """How to re-rank, and the figures that decided it.

    Attributes:
        dim: numbers of a vector, one byte each.
        depth: number of the nearest items that are re-ordered.
        weight: of the distance relative to the vectors, both in standard deviations.
        k: length of the lists judged.
        codes: NDCG@k on the validation part by distance alone.
        reranked: NDCG@k after re-ranking.
        error: standard error of the difference, over users.
    """

    dim: int
    depth: int
    weight: float
    k: int
    codes: float
    reranked: float
    error: float

    @property
    def pays(self) -> bool:
        """Whether the gain is large enough for its bytes and more than chance."""
        gain = self.reranked - self.codes
        return gain >= LEAST_GAIN * self.codes and gain > LEAST_CERTAINTY * self.error

    def __str__(self) -> str:
        return (
            f"re-ranking the {self.depth} nearest by {self.dim} bytes an item takes ndcg@{self.k} "
            f"on the validation part from {self.codes:.4f} to {self.reranked:.4f}"
        )


def choose_reranker(
    codes: HashCodes,
    factors: Embeddings,
    relevant: SeenItems,
    seen: SeenItems,
    k: int,
    *,
    say: Callable[[str], None] = lambda _message: None,
) -> RerankChoice | None:
    """Compare a small grid on a validation part; None if re-ranking does not pay.

    Dimension and weight are compared at one depth, then depths for the best of them. Among choices
    that are about as good the fewest bytes win, then the smallest depth.

    Args:
        codes: fitted without the validation part.
        factors: of a teacher that was fitted without it too.
        relevant: validation items of each user row.
        seen: items of each user row in the fit; they are left out of the lists.
        k: length of the lists.
        say: takes a message about the best choice.
    """
    n_items = len(codes.items)
    factors = principal(factors)
    room = min(MAX_BYTES_PER_ITEM - codes.items.n_bits // 8, factors.dim)
    dims = sorted({min(dim, factors.dim) for dim in DIMS if min(dim, factors.dim) <= room})
    depths = sorted({min(depth, n_items) for depth in DEPTHS})
    candidates = _Candidates.of(codes, relevant, seen, k, max(depths))
    if not dims or len(candidates.users) < LEAST_USERS:
        say("re-ranking is off: no room for a vector, or too few users with validation items")
        return None

    def judge(dim: int, depth: int, weight: float) -> RerankChoice:
        gains = candidates.ndcg(quantised(codes, factors, dim, depth, weight)) - by_distance
        error = float(gains.std(ddof=1) / np.sqrt(len(gains)))
        return RerankChoice(
            dim,
            depth,
            weight,
            k,
            codes=float(by_distance.mean()),
            reranked=float((by_distance + gains).mean()),
            error=error,
        )

    by_distance = candidates.ndcg(None)
    first = min(_FIRST_DEPTH, n_items)
    of_each_dim = [
        max((judge(dim, first, weight) for weight in WEIGHTS), key=lambda choice: choice.reranked)
        for dim in dims
    ]
    best = _least_of_the_best(of_each_dim)
    best = _least_of_the_best(
        best if depth == best.depth else judge(best.dim, depth, best.weight) for depth in depths
    )
    say(f"{best}: {'on' if best.pays else f'off, below {LEAST_GAIN:.0%} or chance'}")
    return best if best.pays else None


def build_reranker(codes: HashCodes, factors: Embeddings, choice: RerankChoice) -> Reranker:
    """Make the vectors of a choice from other codes and factors of the same kind."""
    factors = principal(factors)
    dim = min(choice.dim, factors.dim)
    return quantised(codes, factors, dim, choice.depth, choice.weight)


def principal(factors: Embeddings) -> Embeddings:
    """Return factors of the standardised scores, the most important first.

    Every user's scores are brought to mean 0 and variance 1 over the items, which keeps their
    order and makes them comparable with distances, and written as their singular value
    decomposition (A sqrt S) (B sqrt S)^T: the first d columns are the best of d columns.
    """
    users, items = balanced(standardised_rows(factors))
    return Embeddings(users.astype(np.float32), items.astype(np.float32))


def quantised(
    codes: HashCodes, factors: Embeddings, dim: int, depth: int, weight: float
) -> Reranker:
    """Round the first `dim` principal factors to int8.

    Each column of the items has a scale, by which the users' column is multiplied; then each user
    has a scale, which no ranking depends on. A user's weight of the distance is in the user's
    units: weight / (standard deviation of the distance) where scores have variance 1. A user
    without scores keeps the order by distance.

    Args:
        codes: their distances are added to the scores of the vectors.
        factors: from `principal`.
        dim: number of columns kept.
        depth: number of the nearest items that are re-ordered.
        weight: of the distance, in standard deviations; 0 leaves it out.
    """
    items = factors.items[:, :dim].astype(np.float64)
    column = np.abs(items).max(axis=0) / _LARGEST
    column[column == 0] = 1
    users = factors.users[:, :dim] * column
    unit = np.abs(users).max(axis=1, keepdims=True) / _LARGEST
    scored = unit > 1e-6 * unit.max(initial=0)  # below it there is only rounding error
    bit = np.divide(weight / distance_deviation(codes), unit, out=np.ones_like(unit), where=scored)
    return Reranker(
        items=np.rint(items / column).astype(np.int8),
        users=np.rint(np.divide(users, unit, out=np.zeros_like(users), where=scored)).astype(
            np.int8
        ),
        weights=np.rint(np.minimum(bit[:, 0], _LARGEST_WEIGHT)).astype(np.int32),
        depth=depth,
    )


def distance_deviation(codes: HashCodes) -> float:
    """Return the standard deviation of the distances of a user to the items, quadratic mean.

    A distance is half of n_bits - p^T q, so its variance over the items is p^T Cov(q) p / 4.
    """
    P, Q = (_some(side).to_signs().astype(np.float32) for side in (codes.users, codes.items))
    Q -= Q.mean(axis=0)
    variance = float(((P @ (Q.T @ Q / len(Q))) * P).sum(axis=1).mean()) / 4 if len(P) else 0.0
    return max(variance, 1e-12) ** 0.5


@dataclass(frozen=True, eq=False)
class _Candidates:
    """The nearest items of the users that have validation items.

    Attributes:
        users: the user rows.
        rows: item rows in Hamming order, for each user.
        hamming: their distances.
        hits: which of them are relevant.
        best_gain: of a perfect list of k, for each user.
    """

    users: NDArray[np.int64]
    rows: list[NDArray[np.int32]]
    hamming: list[NDArray[np.int32]]
    hits: list[NDArray[np.bool_]]
    best_gain: NDArray[np.float64]
    k: int

    @classmethod
    def of(
        cls, codes: HashCodes, relevant: SeenItems, seen: SeenItems, k: int, depth: int
    ) -> _Candidates:
        users = np.flatnonzero(relevant.counts())
        users = users[np.array(spread(len(users), _JUDGED_USERS), dtype=np.int64)]
        gains = np.cumsum(_discounts(k))
        best_gain = gains[np.minimum(relevant.counts()[users], k) - 1]
        found = cls(users, [], [], [], best_gain, k)
        index, n = EXACT_INDEX.build(codes.items), max(depth, k)
        for start in range(0, len(users), BATCH):
            batch = users[start : start + BATCH]
            most = int(seen.counts()[batch].max())
            near = index.search(codes.users[batch], min(n + most, len(index)))
            for user, rows, hamming in zip(batch.tolist(), near.rows, near.distances, strict=True):
                keep = np.flatnonzero(~contained(rows, seen[user]))[:n]
                found.rows.append(rows[keep].astype(np.int32))
                found.hamming.append(hamming[keep])
                found.hits.append(contained(rows[keep], relevant[user]))
        return found

    def ndcg(self, reranker: Reranker | None) -> NDArray[np.float64]:
        """Return each user's NDCG@k, as `user_metrics` defines it, float64, shape (n_users,)."""
        discounts = _discounts(self.k)
        gains = np.zeros(len(self.users))
        lists = zip(self.users.tolist(), self.rows, self.hamming, self.hits, strict=True)
        for position, (user, rows, hamming, hits) in enumerate(lists):
            ranked = hits if reranker is None else hits[reranker.order(user, rows, hamming)]
            gains[position] = discounts[: len(ranked)][ranked[: self.k]].sum()
        return gains / self.best_gain


def _discounts(k: int) -> NDArray[np.float64]:
    return 1 / np.log2(np.arange(2, k + 2))


def _least_of_the_best(choices: Iterable[RerankChoice]) -> RerankChoice:
    """Return the first choice, in ascending order of cost, that is about as good as the best."""
    choices = list(choices)
    bar = (1 - INDIFFERENCE) * max(choice.reranked for choice in choices)
    return next(choice for choice in choices if choice.reranked >= bar)


def _some(codes: BinaryCodes) -> BinaryCodes:
    return codes[np.array(spread(len(codes), _SAMPLE))]
