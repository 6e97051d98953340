"""Hold interactions out of training. All parts of a split share their rows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hashrec.index.arrays.ids import IdMap
from hashrec.index.errors import ConfigError, DataError, EmptyDataError
from hashrec.training.data.cuts import cut_of, iso
from hashrec.training.data.interactions import Interactions

STRATEGIES = ("random", "time", "temporal", "given", "none")
TIMED = frozenset({"time", "temporal"})  # strategies that need times
VALIDATION_SHARE = 0.1


@dataclass(frozen=True, eq=False)
class Split:
    """Interactions to learn from, and interactions to judge by.

    Attributes:
        train: every user with an interaction has at least one here.
        test: None when nothing is held out.
        validation: held out of training to choose settings by; None if there is none.
        n_unknown: test pairs left out because training lacks their user or item: they are cold.
        n_known: test pairs of a given split left out because training has them too.
        n_cold_users: users of test pairs that training lacks.
        n_cold_items: items of test pairs that training lacks.
        cut: of a split by time, seconds since 1970 UTC: training lies before it. Else None.
    """

    train: Interactions
    test: Interactions | None = None
    validation: Interactions | None = None
    n_unknown: int = 0
    n_known: int = 0
    n_cold_users: int = 0
    n_cold_items: int = 0
    cut: int | None = None

    def by_popularity(self) -> Split:
        """Renumber the items of all parts by the popularity in training, see `by_popularity`."""
        held_out = [part for part in (self.test, self.validation) if part is not None]
        train, *others = by_popularity(self.train, *held_out)
        parts = iter(others)
        return replace(
            self,
            train=train,
            test=None if self.test is None else next(parts),
            validation=None if self.validation is None else next(parts),
        )

    @property
    def held_out(self) -> Interactions | None:
        """The part to judge by: the validation part if there is one, else the test part."""
        return self.test if self.validation is None else self.validation

    @property
    def judged_part(self) -> str:
        """Name of the part to judge by: `validation` or `test`."""
        return "test" if self.validation is None else "validation"

    def told(self) -> dict[str, Any]:
        """Return what a report says of the cut, and of the test pairs that training lacks."""
        cut = {} if self.cut is None else {"cut": iso(self.cut)}
        cold = {
            "n_users": self.n_cold_users,
            "n_items": self.n_cold_items,
            "n_pairs": self.n_unknown,
        }
        return {**cut, "cold": cold}

    def with_validation(self, share: float = VALIDATION_SHARE, seed: int = 0) -> Split:
        """Carve a validation part from training, see `validation_part`."""
        train, validation = validation_part(self.train, share, seed)
        return replace(self, train=train, validation=validation)


def make_split(
    strategy: str,
    interactions: Interactions,
    *,
    seed: int = 0,
    at: str | None = None,
    test: Interactions | None = None,
) -> Split:
    """Split by a strategy: random, time (takes `at`), temporal, given (takes `test`) or none.

    Raises:
        ConfigError: there is no such strategy, or it does not take `at` or `test`.
        DataError: the data do not suit the strategy.
    """
    if (test is not None) != (strategy == "given"):
        raise ConfigError("--split given and --test FILE go together")
    if at is not None and strategy != "time":
        raise ConfigError("--at goes with --split time")
    match strategy:
        case "random":
            return random_split(interactions, seed)
        case "time":
            return time_split(interactions, cut_of(interactions, at))
        case "temporal":
            return temporal_split(interactions)
        case "given" if test is not None:
            return given_split(interactions, test)
        case "none":
            return Split(interactions)
    raise ConfigError(f"no split {strategy!r}; there are {', '.join(STRATEGIES)}")


def random_split(interactions: Interactions, seed: int, share: float = 0.5) -> Split:
    """Keep a random share of each user's items for training.

    Of n items, ``floor(n * share + 0.5)`` are training, and at least one.
    """
    in_train = _random_share(interactions, seed, share)
    return Split(interactions.where(in_train), interactions.where(~in_train))


def temporal_split(interactions: Interactions, n_last: int = 1) -> Split:
    """Hold out the last `n_last` items of each user by time; the row breaks ties.

    At least one item of each user stays in training. This leaks the future: a model learns from
    interactions of other users that are later than the ones it is judged by.

    Raises:
        DataError: the data have no timestamps.
    """
    if interactions.timestamps is None:
        raise DataError(
            "no timestamps to split by; choose --split random, or map a timestamp column"
        )
    counts = np.bincount(interactions.user_rows, minlength=interactions.n_users)
    n_train = np.maximum(1, counts - n_last)
    rank = _rank_within_user(interactions, interactions.timestamps)
    in_train = rank < n_train[interactions.user_rows]
    return Split(interactions.where(in_train), interactions.where(~in_train))


def time_split(interactions: Interactions, cut: int) -> Split:
    """Learn from what is before one moment, the same for everyone, and judge by the rest.

    A pair that was there before the cut is training, whether or not it came again after it.
    Training has rows for its own users and items alone: a pair of others is cold, and is counted.

    Args:
        interactions: with timestamps.
        cut: seconds since 1970 UTC.

    Raises:
        EmptyDataError: every pair after the cut is cold.
    """
    before, known = parts_by_time(interactions, cut)
    if not known.any():
        raise EmptyDataError(
            "test part", "every user or item after the cut is new; choose an earlier --at"
        )
    train, cold = interactions.where(before), interactions.where(~before & ~known)
    users, items = np.unique(train.user_rows), np.unique(train.item_rows)
    train = _as_of(cut, train.renumbered(users, items))
    test = interactions.where(known).renumbered(users, items)
    return Split(
        train,
        replace(test, users=train.users, items=train.items),
        n_unknown=len(cold),
        n_cold_users=len(np.setdiff1d(cold.user_rows, users)),
        n_cold_items=len(np.setdiff1d(cold.item_rows, items)),
        cut=cut,
    )


def _as_of(cut: int, train: Interactions) -> Interactions:
    """Return pairs with times before a moment: the last if it lies before it, else the first."""
    times, first_times = train.timestamps, train.first_times
    assert times is not None
    assert first_times is not None
    return replace(train, timestamps=np.where(times < cut, times, first_times))


def parts_by_time(
    interactions: Interactions, cut: int
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Mark what lies before a moment, and what lies after it and can be judged.

    Args:
        interactions: with timestamps.
        cut: seconds since 1970 UTC.

    Returns:
        bool, shape (n,), whether a pair lies before the cut; and likewise whether it lies at or
        after it and its user and its item have pairs before it.
    """
    assert interactions.first_times is not None
    before = interactions.first_times < cut
    known = ~before
    for rows, n_rows in (
        (interactions.user_rows, interactions.n_users),
        (interactions.item_rows, interactions.n_items),
    ):
        known &= (np.bincount(rows[before], minlength=n_rows) > 0)[rows]
    return before, known


def given_split(train: Interactions, test: Interactions) -> Split:
    """Use a given test set, renumbered to the rows of training.

    Raises:
        EmptyDataError: no test pair has a user and an item of training.
    """
    user_rows = _rows_in(train.users, test.users)[test.user_rows]
    item_rows = _rows_in(train.items, test.items)[test.item_rows]
    known = (user_rows >= 0) & (item_rows >= 0)
    mapped = replace(
        test.where(known),
        user_rows=user_rows[known],
        item_rows=item_rows[known],
        users=train.users,
        items=train.items,
    )
    repeated = np.isin(_pair_keys(mapped), _pair_keys(train))
    mapped = mapped.where(~repeated)
    if not len(mapped):
        raise EmptyDataError("test file", "no pair with a user and an item of the training data")
    return Split(
        train,
        mapped,
        n_unknown=int((~known).sum()),
        n_known=int(repeated.sum()),
        n_cold_users=len(np.unique(test.user_rows[user_rows < 0])),
        n_cold_items=len(np.unique(test.item_rows[item_rows < 0])),
    )


def validation_part(
    train: Interactions, share: float = VALIDATION_SHARE, seed: int = 0
) -> tuple[Interactions, Interactions]:
    """Carve a random share of each user's items out of training.

    The number is rounded up or down at random, so that users with few items contribute their share
    too; one item of each user stays.

    Returns:
        The rest for training, and the validation part.
    """
    require_share(share)
    generator = _generator(seed)
    counts = np.bincount(train.user_rows, minlength=train.n_users)
    wanted = np.floor(counts * share + generator.random(train.n_users)).astype(np.int64)
    n_held_out = np.minimum(wanted, np.maximum(counts - 1, 0))
    rank = _rank_within_user(train, generator.random(len(train)))
    held_out = rank < n_held_out[train.user_rows]
    return train.where(~held_out), train.where(held_out)


@dataclass(frozen=True, eq=False)
class UserSplit:
    """Users to learn from, and new users to judge by. All parts share the rows of items.

    Attributes:
        train: all pairs of the users to learn from, who have their own rows.
        history: part of each new user's items, to encode the user by.
        relevant: the rest of these items, to judge by, on the rows of `history`.
    """

    train: Interactions
    history: Interactions
    relevant: Interactions

    def by_popularity(self) -> UserSplit:
        """Renumber the items of all parts by the popularity in training, see `by_popularity`."""
        return UserSplit(*by_popularity(self.train, self.history, self.relevant))


def hold_out_users(
    interactions: Interactions, n_users: int | float, seed: int, *, history_share: float = 0.5
) -> UserSplit:
    """Hold out some users entirely, with a random share of their items as their history.

    Users with a single item cannot be judged and are not drawn.

    Args:
        interactions: of all users.
        n_users: how many to hold out: a number, or a share below 1.
        seed: of both draws.
        history_share: of a user's n items, ``floor(n * share + 0.5)`` and at least one are history.

    Raises:
        ConfigError: the number or the share is out of range.
        EmptyDataError: no user has two items.
    """
    n_wanted = round(n_users * interactions.n_users) if n_users < 1 else int(n_users)
    if not 1 <= n_wanted < interactions.n_users:
        raise ConfigError(
            f"cannot hold out {n_users} of {interactions.n_users} users; choose a number from 1 to "
            f"{interactions.n_users - 1}, or a share between 0 and 1"
        )
    counts = np.bincount(interactions.user_rows, minlength=interactions.n_users)
    eligible = np.flatnonzero(counts > 1)
    if not len(eligible):
        raise EmptyDataError(
            "interactions", "no user has two items, one for the history and one to judge by"
        )
    drawn = np.sort(_generator(seed).permutation(eligible)[:n_wanted])
    every_item = np.arange(interactions.n_items)
    others = np.setdiff1d(np.arange(interactions.n_users), drawn)
    train, new = (
        replace(interactions.renumbered(users, every_item), items=interactions.items)
        for users in (others, drawn)
    )
    in_history = _random_share(new, seed, history_share)
    return UserSplit(train, new.where(in_history), new.where(~in_history))


def by_popularity(train: Interactions, *others: Interactions) -> tuple[Interactions, ...]:
    """Renumber items in descending popularity in training; the old row breaks ties.

    Flat search returns ties in row order, so popularity is the tie-break everywhere.

    Args:
        train: the part that the popularity is counted in.
        others: parts on the same rows, which are renumbered in the same way.

    Returns:
        Training and the others, all with the same `IdMap` of items.
    """
    order = np.argsort(-train.popularity(), kind="stable")
    new_row = np.empty(len(order), dtype=np.int32)
    new_row[order] = np.arange(len(order), dtype=np.int32)
    items = train.items.take(order)
    return tuple(
        replace(part, item_rows=new_row[part.item_rows], items=items) for part in (train, *others)
    )


def _generator(seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(seed))


def require_share(share: float) -> None:
    """Check that a share lies between 0 and 1.

    Raises:
        ConfigError: it does not.
    """
    if not 0 < share < 1:
        raise ConfigError(f"the share must lie between 0 and 1, got {share}")


def _random_share(interactions: Interactions, seed: int, share: float) -> NDArray[np.bool_]:
    """Mark a random share of each user's pairs, at least one, bool, shape (n,)."""
    require_share(share)
    counts = np.bincount(interactions.user_rows, minlength=interactions.n_users)
    n_marked = np.maximum(1, np.floor(counts * share + 0.5).astype(np.int64))
    draws = _generator(seed).random(len(interactions))
    return _rank_within_user(interactions, draws) < n_marked[interactions.user_rows]


def _rank_within_user(interactions: Interactions, keys: NDArray[np.generic]) -> NDArray[np.int64]:
    """Return the rank of each pair among those of its user by ascending key, int64, shape (n,)."""
    order = np.lexsort((keys, interactions.user_rows))
    counts = np.bincount(interactions.user_rows, minlength=interactions.n_users)
    starts = np.cumsum(counts) - counts
    ranks = np.empty(len(order), dtype=np.int64)
    ranks[order] = np.arange(len(order)) - starts[interactions.user_rows[order]]
    return ranks


def _rows_in(target: IdMap, source: IdMap) -> NDArray[np.int32]:
    """Return the row in `target` of each id of `source`, -1 for an unknown id."""
    rows = (target.row(external_id) for external_id in source.ids(range(len(source))))
    return np.fromiter(
        (-1 if row is None else row for row in rows), dtype=np.int32, count=len(source)
    )


def _pair_keys(interactions: Interactions) -> NDArray[np.int64]:
    return interactions.user_rows.astype(np.int64) * interactions.n_items + interactions.item_rows
