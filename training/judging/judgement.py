"""Judge lists at several lengths in one pass: each user's figures, and counts of each item.

Coverage and novelty are of all lists together. Coverage is the share of the catalogue that is in at
least one list. Novelty is the mean over all places in the lists of the item's self-information

    I(i) = -log2(share of the users who have i in training),

in bits: 0 for an item that everybody has, 10 for one that one user of 1,024 has (Zhou et al.,
"Solving the apparent diversity-accuracy dilemma of recommender systems", PNAS 2010, surprisal). An
item that nobody has counts as if one user had it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hashrec.index.arrays.seen import SeenItems, contained
from hashrec.training.judging.metrics import UserMetrics, metrics_of_hits

REPORTED_LENGTHS = (10, 20, 100)
_N_FIGURES = len(UserMetrics._fields)


@dataclass(frozen=True, slots=True)
class Metrics:
    """Means over the users with held-out items, coverage and novelty.

    Attributes:
        k: length of the lists.
        n_users: users judged.
        coverage: share of the catalogue that is in at least one list.
        novelty: mean self-information of the items in the lists, in bits; 0 without any.
        at: the figures of the same lists at other lengths.
    """

    k: int
    n_users: int
    recall: float
    map: float
    ndcg: float
    coverage: float
    precision: float
    hit_rate: float
    mrr: float
    novelty: float
    at: tuple[Metrics, ...] = ()

    def figures(self) -> dict[str, float]:
        """Return plain data: the figures at k by name, and those at every length as `ndcg@20`."""
        found = self._at_k()
        for judged in sorted((self, *self.at), key=lambda metrics: metrics.k):
            found |= {
                f"{name}@{judged.k}": value
                for name, value in judged._at_k().items()
                if name not in ("k", "n_users")
            }
        return found

    def _at_k(self) -> dict[str, float]:
        found = asdict(self)
        del found["at"]
        return found


@dataclass(frozen=True, eq=False)
class Judgement:
    """Figures of each user and counts of each item, from one pass over the lists.

    Attributes:
        k: length of the lists.
        users: int64, shape (n,), the rows of the users judged.
        figures: float64, shape (n, 6), the `UserMetrics` of each of them.
        recommended: int64, shape (n_items,), number of lists with each item.
        found: int64, shape (n_items,), number of those lists in which it is a hit.
        information: float64, shape (n_items,), see `self_information`.
        at: means of the same lists at other lengths.
    """

    k: int
    users: NDArray[np.int64]
    figures: NDArray[np.float64]
    recommended: NDArray[np.int64]
    found: NDArray[np.int64]
    information: NDArray[np.float64]
    at: tuple[Metrics, ...] = ()

    def metrics(self) -> Metrics:
        """Return the means; 0 if no user is judged."""
        sums, n_users = self.figures.sum(axis=0), len(self.users)
        at_k = _means(self.k, n_users, sums, self.recommended, self.information)
        return replace(at_k, at=self.at)


def judge_lists(
    users: NDArray[np.int64],
    rankings: Iterable[NDArray[np.integer]],
    relevant: SeenItems,
    k: int,
    *,
    lengths: Collection[int] = (),
    information: NDArray[np.float64],
) -> Judgement:
    """Judge lists that are as long as the longest length, unless there are fewer items.

    Args:
        users: int64, shape (n,), rows in `relevant` of the users judged.
        rankings: item rows of each of them, best first, none twice.
        relevant: the held-out items of each user row.
        k: length whose figures are kept of each user.
        lengths: other lengths; k may be among them.
        information: float64, shape (n_items,), see `self_information`.
    """
    others, n_items = sorted({*lengths} - {k}), len(information)
    figures = np.zeros((len(users), _N_FIGURES))
    recommended, found = np.zeros((2, n_items), dtype=np.int64)
    # Of the other lengths only means are wanted; rows of a million users would fill the memory.
    sums = np.zeros((len(others), _N_FIGURES))
    recommended_at = np.zeros((len(others), n_items), dtype=np.int64)
    longest = max((k, *others))
    for position, (user, ranked) in enumerate(zip(users, rankings, strict=True)):
        held_out = relevant[int(user)]
        is_hit = contained(ranked[:longest], held_out)
        ranks = np.flatnonzero(is_hit) + 1
        figures[position] = metrics_of_hits(ranks, len(held_out), k)
        recommended[ranked[:k]] += 1  # a list holds no item twice
        found[ranked[:k][is_hit[:k]]] += 1
        for position_at, length in enumerate(others):
            sums[position_at] += metrics_of_hits(ranks, len(held_out), length)
            recommended_at[position_at, ranked[:length]] += 1
    at = (
        _means(length, len(users), total, counts, information)
        for length, total, counts in zip(others, sums, recommended_at, strict=True)
    )
    return Judgement(k, users, figures, recommended, found, information, tuple(at))


def _means(
    k: int,
    n_users: int,
    sums: NDArray[np.float64],
    recommended: NDArray[np.int64],
    information: NDArray[np.float64],
) -> Metrics:
    means, places = sums / max(1, n_users), int(recommended.sum())
    return Metrics(
        k=k,
        n_users=n_users,
        coverage=float((recommended > 0).mean()),
        novelty=float(recommended @ information) / places if places else 0.0,
        **UserMetrics(*means.tolist())._asdict(),
    )


def self_information(seen: SeenItems, n_items: int) -> NDArray[np.float64]:
    """Return -log2 of the share of users who have each item, in bits, float64, shape (n_items,).

    Args:
        seen: the training items of each user.
        n_items: size of the catalogue.
    """
    n_having = np.bincount(seen.items, minlength=n_items)
    return np.log2(max(1, len(seen)) / np.maximum(1, n_having))
