"""Two versions side by side: what users would see change, before they do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hashrec.index.errors import ConfigError
from hashrec.index.ranking.recommender import Recommender


@dataclass(frozen=True, slots=True)
class Comparison:
    """How the lists of a candidate differ from those of the version it would replace.

    Attributes:
        n_users: users whose lists were compared.
        overlap: share of the places of a list, on average over users, that hold an item which is
            in the other list, too. 1 where all lists have the same items.
        changed_users: share of the users whose list is another one, in its items or their order.
        rank_shift: places by which an item that is in both lists has moved, on average over such
            items; None without any.
        kendall_tau: agreement on the order of the items that are in both lists, on average over
            the users who have two of them: 1 the same, -1 reversed; None without such users.
        coverage: share of its catalogue that each version's lists name at least once.
        personal_users: share of the users for whom each version has a list of their own.
    """

    candidate: str
    baseline: str
    k: int
    n_users: int
    overlap: float
    changed_users: float
    rank_shift: float | None
    kendall_tau: float | None
    coverage: tuple[float, float]
    personal_users: tuple[float, float]


def compare(
    candidate: Recommender, baseline: Recommender, user_ids: Sequence[str], k: int = 10
) -> Comparison:
    """Rank for the same users with both versions, as they learned, without events since then.

    Args:
        candidate: the version that is tried.
        baseline: the version it is held against.
        user_ids: external ids; one that a version does not know gets its popular items.
        k: length of the lists, 1 to 500.

    Raises:
        ConfigError: there is no user, or k is out of range.
    """
    if not user_ids:
        raise ConfigError("there is no user to compare the versions for")
    both = (candidate, baseline)
    named: tuple[set[str], set[str]] = (set(), set())
    n_personal = [0, 0]
    overlaps: list[float] = []
    shifts: list[NDArray[np.int64]] = []
    taus: list[float] = []
    n_changed = 0
    for user_id in user_ids:
        lists: list[list[str]] = []
        for version, recommender in enumerate(both):
            answer = recommender.recommend(user_id, k)
            ids = [item.item_id for item in answer.items]
            lists.append(ids)
            named[version].update(ids)
            n_personal[version] += answer.source == "personal"
        new, old = lists
        place = {item_id: rank for rank, item_id in enumerate(old)}
        moved = [(rank, place[item_id]) for rank, item_id in enumerate(new) if item_id in place]
        ranks = np.array(moved, dtype=np.int64).reshape(-1, 2)
        overlaps.append(len(ranks) / max(len(new), len(old), 1))
        shifts.append(np.abs(ranks[:, 0] - ranks[:, 1]))
        if len(ranks) > 1:
            taus.append(kendall_tau(ranks[:, 1]))
        n_changed += new != old
    shifted = np.concatenate(shifts)
    n_users = len(user_ids)
    return Comparison(
        candidate=candidate.version,
        baseline=baseline.version,
        k=k,
        n_users=n_users,
        overlap=float(np.mean(overlaps)),
        changed_users=n_changed / n_users,
        rank_shift=float(shifted.mean()) if len(shifted) else None,
        kendall_tau=float(np.mean(taus)) if taus else None,
        coverage=(len(named[0]) / candidate.n_items, len(named[1]) / baseline.n_items),
        personal_users=(n_personal[0] / n_users, n_personal[1] / n_users),
    )


def kendall_tau(ranks: NDArray[np.int64]) -> float:
    """Return Kendall's tau between an order and 0, 1, ..., n - 1.

    Pairs in order less pairs in reverse, over all n (n - 1) / 2 of them.

    Args:
        ranks: where each item stands in the other order; distinct, int, shape (n,), n > 1.
    """
    before, after = np.triu_indices(len(ranks), 1)
    return float(np.sign(ranks[after] - ranks[before]).mean())


def sample_users(recommender: Recommender, n: int, seed: int = 0) -> list[str]:
    """Draw up to n of the users that a version knows, none twice."""
    users = recommender.artifact.model.users
    rows = np.random.default_rng(seed).choice(len(users), min(n, len(users)), replace=False)
    return [users.id(int(row)) for row in rows]
