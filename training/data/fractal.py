"""Expand a data set to a larger one of the same structure, to measure how cost grows with size.

The fractal expansion of Belletti et al. 2019, *Scalable realistic recommendation datasets through
fractal expansions*: the users x items matrix R becomes the Kronecker product of a small matrix K
with R. Every user and every item has several copies; the pairs of the i-th copies of
users with the j-th copies of items are a random share K[i, j] of the pairs of R.

K is a coarse version of R, so that the result resembles its parts. A row of the product sums
to (sum of a row of K) times (sum of a row of R), a column likewise: the power laws of activity and
popularity are kept. Its singular values are the products of those of K and R: low rank stays low.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from hashrec.index.arrays.ids import IdMap
from hashrec.index.errors import ConfigError
from hashrec.training.data.interactions import Interactions
from hashrec.training.progress import Progress, QuietProgress

# K is the density of R's rectangles to this power. The power 1 would square the inequality of R and
# leave many of the less popular copies of the less popular items without a user.
COARSE_POWER = 0.5
LEAST_DENSITY = (
    0.01  # of a rectangle of R, as a share of the mean: no block of the product is empty
)


def expand(
    source: Interactions,
    n_users: int,
    n_items: int,
    n_interactions: int,
    *,
    seed: int = 0,
    progress: Progress | None = None,
) -> Interactions:
    """Expand interactions to exactly the given sizes; each user and item has at least one.

    Memory is linear in the sizes of source and result. Only uniform draws are used, so that a seed
    gives the same pairs in every version of NumPy.

    Args:
        source: at least one pair; values and timestamps are not carried over.
        n_users: users, with ids "1", "2", ... in an order independent of their activity.
        n_items: items, with ids "1", "2", ... in an order independent of their popularity.
        n_interactions: distinct pairs.
        seed: of the generator.
        progress: follows the blocks.

    Raises:
        ConfigError: the sizes contradict each other, or the copies of R have fewer pairs.
    """
    if min(n_users, n_items) < 1 or n_interactions < n_users + n_items:
        raise ConfigError(
            f"an expansion needs users, items and at least as many interactions as both together, "
            f"got {n_users:,} users, {n_items:,} items, {n_interactions:,} interactions"
        )
    if not len(source):
        raise ConfigError("there is no interaction to expand; choose another source")
    generator = np.random.Generator(np.random.PCG64(seed))
    users, user_rows = np.unique(source.user_rows, return_inverse=True)
    items, item_rows = np.unique(source.item_rows, return_inverse=True)
    pairs = np.ones(len(source), dtype=np.float64)
    matrix = sparse.csr_matrix((pairs, (user_rows, item_rows)), shape=(len(users), len(items)))

    user_copies = _copies(generator, len(users), n_users)
    item_copies = _copies(generator, len(items), n_items)
    # pairs of R whose user and whose item are in the copies that meet in a block
    available = (user_copies >= 0) @ (matrix @ (item_copies >= 0).T.astype(np.float64))
    available = available.astype(np.int64)
    if n_interactions > available.sum():
        raise ConfigError(
            f"this source expands to at most {available.sum():,} interactions of {n_users:,} users "
            f"with {n_items:,} items, got {n_interactions:,}; ask for fewer, or for more users"
        )
    quotas = _quotas(_coarse(matrix, *available.shape), available, n_interactions)

    keys = np.empty(n_interactions, dtype=np.int64)  # user row * n_items + item row
    filled = 0
    for block in (progress or QuietProgress()).track("expanding", quotas.size):
        i, j = divmod(block, quotas.shape[1])
        user_copy, item_copy = user_copies[i], item_copies[j]
        present = np.flatnonzero((user_copy[user_rows] >= 0) & (item_copy[item_rows] >= 0))
        kept = present[_sample(generator, len(present), quotas[i, j])]
        filled_before, filled = filled, filled + len(kept)
        keys[filled_before:filled] = user_copy[user_rows[kept]].astype(np.int64) * n_items
        keys[filled_before:filled] += item_copy[item_rows[kept]]
    keys.sort()  # the order in which blocks were filled has no meaning
    _fill_empty(generator, keys, n_users, n_items)
    return Interactions(
        user_rows=(keys // n_items).astype(np.int32),
        item_rows=(keys % n_items).astype(np.int32),
        users=IdMap.build(str(number + 1) for number in range(n_users)),
        items=IdMap.build(str(number + 1) for number in range(n_items)),
    )


def _copies(generator: np.random.Generator, n_source: int, n_wanted: int) -> NDArray[np.int32]:
    """Assign rows of the result to copies of rows of the source, as evenly as possible.

    Returns:
        int32, shape (n_copies, n_source): the new row of each source row in each copy, -1 where a
        copy lacks it: `n_wanted` is seldom a multiple of `n_source`.
    """
    n_copies = -(-n_wanted // n_source)
    new_rows = _permutation(generator, n_wanted).astype(np.int32)
    copies = np.full((n_copies, n_source), -1, dtype=np.int32)
    for copy, rows in zip(copies, np.array_split(new_rows, n_copies), strict=True):
        copy[_permutation(generator, n_source)[: len(rows)]] = rows
    return copies


def _coarse(matrix: sparse.csr_matrix[Any], n_rows: int, n_columns: int) -> NDArray[np.float64]:
    """Return K: R with users by activity and items by popularity, averaged over rectangles.

    Returns:
        float64, shape (n_rows, n_columns), positive; only the proportions matter.
    """
    row_group = _groups(np.asarray(matrix.sum(axis=1)).ravel(), n_rows)
    column_group = _groups(np.asarray(matrix.sum(axis=0)).ravel(), n_columns)
    pairs = (row_group @ matrix @ column_group.T).toarray()
    area = np.outer(row_group.sum(axis=1), column_group.sum(axis=1))
    density = pairs / np.maximum(area, 1)
    return np.maximum(density, LEAST_DENSITY * density.mean()) ** COARSE_POWER


def _groups(counts: NDArray[np.float64], n_groups: int) -> sparse.csr_matrix[Any]:
    """Return the members of equal groups by descending count, CSR of shape (n_groups, n)."""
    n = len(counts)
    group = np.arange(n) * n_groups // n
    order = np.argsort(-counts, kind="stable")
    return sparse.csr_matrix((np.ones(n), (group, order)), shape=(n_groups, n))


def _quotas(
    weights: NDArray[np.float64], available: NDArray[np.int64], total: int
) -> NDArray[np.int64]:
    """Distribute `total` in proportion to ``weights * available``, at most what is available.

    Args:
        weights: float64, positive.
        available: int64, of the same shape, sum at least `total`.
        total: the sum of the result.
    """
    full = available == 0
    share = np.zeros(weights.shape)
    while not full.all():
        rest = total - available[full].sum()
        scale = rest / (weights * available)[~full].sum()
        share = np.where(full, 1.0, scale * weights)
        if not (over := ~full & (share > 1)).any():
            break
        full |= over
    share[full] = 1.0
    wanted = share * available
    quotas = np.minimum(np.floor(wanted).astype(np.int64), available)
    short = total - int(quotas.sum())
    remainder = np.where(quotas < available, wanted - quotas, -np.inf)
    quotas.ravel()[np.argsort(-remainder, axis=None, kind="stable")[:short]] += 1
    return quotas


def _fill_empty(
    generator: np.random.Generator, keys: NDArray[np.int64], n_users: int, n_items: int
) -> None:
    """Replace random pairs by pairs of the users and items that have none, in place, sorted.

    An empty user gets an item in proportion to its popularity, an empty item a user in proportion
    to its activity. The first pair of a user or an item is never replaced.
    """
    users, items = keys // n_items, keys % n_items
    empty_users = np.flatnonzero(np.bincount(users, minlength=n_users) == 0)
    empty_items = np.flatnonzero(np.bincount(items, minlength=n_items) == 0)
    n_empty = len(empty_users) + len(empty_items)
    if not n_empty:
        return
    spare = np.ones(len(keys), dtype=bool)
    for owners in (users, items):
        spare[np.unique(owners, return_index=True)[1]] = False
    partners = (generator.random(n_empty) * len(keys)).astype(np.int64)
    for_users, for_items = np.split(partners, [len(empty_users)])
    spare_pairs = np.flatnonzero(spare)
    traded = spare_pairs[_sample(generator, len(spare_pairs), n_empty)]
    keys[traded] = np.concatenate(
        [empty_users * n_items + items[for_users], users[for_items] * n_items + empty_items]
    )
    keys.sort()


def _sample(generator: np.random.Generator, n: int, size: int) -> NDArray[np.int64]:
    """Draw `size` different positions of `n`, in ascending order."""
    draws = generator.random(n)
    if size == n:
        return np.arange(n)
    return np.sort(np.argpartition(draws, size)[:size])


def _permutation(generator: np.random.Generator, n: int) -> NDArray[np.int64]:
    return np.argsort(generator.random(n), kind="stable")
