"""Coordinate descent over bits on a listwise loss: the last stage of `listwise`.

A user's loss over a set of candidates, with scores s_i = c p^T q_i and target probabilities t_i, is

    L_u = log sum_i exp(s_i) - sum_i t_i s_i,

the cross entropy of the ranking's softmax and the target. A flip of one bit changes it in closed
form, so bits are tried one by one and no gradient is needed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from hashrec.training.models.parts.bit_descent import blocks
from hashrec.training.numerics.device import csr_tensor, product_dtype, sparse_product
from hashrec.training.numerics.ranked_lists import RankedLists
from hashrec.training.numerics.scorer import Csr
from hashrec.training.progress import Progress

_CHUNK = 4096  # users whose candidates become one sparse matrix
_SEARCHED = 256  # users per search of nearest items
_GATHERED = 1 << 21  # bits of candidates' codes per block, which fits in the CPU cache


@dataclass(frozen=True, eq=False)
class Candidates:
    """The items in the losses of a chunk of users: their lists and the nearest other items.

    Attributes:
        users: which rows these are.
        items: int32, shape (b, n), the list in its first places; -1 is no item.
        targets: float32, shape (b, list length), of sum 1, or 0 for a user without a list.
    """

    users: slice
    items: Tensor
    targets: Tensor


@dataclass(eq=False)
class Sums:
    """Sums over all users, collected by the users' pass.

    Attributes:
        predicted: sum of probability times the user's code, shape (n_items, n_bits).
        wanted: sum of target times the user's code, shape (n_items, n_bits).
        mass: sum of probability, shape (n_items,).
        loss: sum of L_u.
        slope: dL/dc.
        curvature: d^2L/dc^2.
    """

    predicted: Tensor
    wanted: Tensor
    mass: Tensor
    loss: float = 0.0
    slope: float = 0.0
    curvature: float = 0.0

    @classmethod
    def zeros(cls, items: Tensor) -> Sums:
        """Return sums of zero."""
        return cls(torch.zeros_like(items), torch.zeros_like(items), items.new_zeros(len(items)))


@dataclass(frozen=True, eq=False)
class Ranking:
    """Scores and probabilities of some users' candidates.

    Attributes:
        products: p^T q_i, shape (b, n); 0 where there is no item.
        normaliser: log sum exp of the scores, shape (b,).
        p: the softmax of the scores, shape (b, n).
    """

    products: Tensor
    normaliser: Tensor
    p: Tensor

    @classmethod
    def of(cls, K: Tensor, P: Tensor, missing: Tensor, scale: float) -> Ranking:
        """Score candidates' codes K, shape (b, n, n_bits), for users' codes P."""
        products = torch.bmm(K, P.to(K.dtype)[:, :, None]).squeeze(2).float()
        scores = (scale * products).masked_fill_(missing, -math.inf)
        p = torch.softmax(scores, 1).nan_to_num_()  # a user without any candidate has none
        return cls(products.masked_fill_(missing, 0), torch.logsumexp(scores, 1), p)


def descend_listwise(
    users: Tensor,
    items: Tensor,
    lists: RankedLists,
    seen: Csr,
    scale: float,
    *,
    rounds: int,
    flips: int,
    n_near: int,
    progress: Progress,
) -> float:
    """Lower the sum of the users' losses by flips of users' bits and items' bits in turn.

    Args:
        users: +-1 as float32, shape (n_users, n_bits); changed in place.
        items: the same of the items; changed in place.
        lists: the teacher's best items.
        seen: binary CSR, shape (n_users, n_items); these items are not candidates.
        scale: c at the start; each round ends with a damped Newton step on it.
        rounds: each of some flips a user and at most one flip an item.
        flips: most of a user in a round.
        n_near: candidates beside the list, the nearest items at the start.
        progress: shows the rounds.

    Returns:
        The last c.
    """
    if not rounds:
        return scale
    chunks = [
        find_candidates(users, items, lists, seen, rows=rows, n_near=n_near)
        for rows in blocks(len(users), _CHUNK)
    ]
    kept_scale = torch.tensor(scale, dtype=torch.float64)  # as exact as a float
    for _ in progress.track("Listwise descent", rounds, (users, items, kept_scale)):
        scale = kept_scale.item()
        sums = Sums.zeros(items)
        for chunk in chunks:
            user_pass(users, items, chunk, sums, scale=scale, flips=flips)
        item_pass(items, sums, scale)
        if sums.curvature > 0:
            step = 0.7 * sums.slope / sums.curvature
            scale = min(max(scale - step, scale / 2), 2 * scale)
        kept_scale.fill_(scale)
        progress.log(loss=sums.loss / len(users), scale=scale)
    return kept_scale.item()


def find_candidates(
    users: Tensor, items: Tensor, lists: RankedLists, seen: Csr, *, rows: slice, n_near: int
) -> Candidates:
    """Collect each user's list and the nearest other items outside the history."""
    n_near = min(n_near, len(items))
    dtype = product_dtype(items.device, items.shape[1])
    codes = items.to(dtype).T.contiguous()
    near = torch.empty((rows.stop - rows.start, n_near), dtype=torch.int32, device=items.device)
    for part in blocks(len(near), _SEARCHED):
        searched = slice(rows.start + part.start, rows.start + part.stop)
        scores = users[searched].to(dtype) @ codes
        own = seen[searched]
        owners = np.repeat(np.arange(own.shape[0]), own.getnnz(1))
        scores[torch.from_numpy(owners), torch.from_numpy(own.indices).long()] = -math.inf
        listed = lists.items[searched]
        readers, places = (listed >= 0).nonzero(as_tuple=True)
        scores[readers, listed[readers, places].long()] = -math.inf
        found = torch.topk(scores, n_near, sorted=False)
        near[part] = torch.where(found.values > -math.inf, found.indices, -1).int()
    return Candidates(
        rows, torch.cat([lists.items[rows], near], dim=1), lists.of_users(rows)[1].float()
    )


def user_pass(
    users: Tensor, items: Tensor, chunk: Candidates, sums: Sums, *, scale: float, flips: int
) -> None:
    """Flip the best bit of each user up to `flips` times, and update the sums.

    With t the mean code under the target and m the mean code under the softmax, a flip of bit d of
    p changes the loss by exactly

        2 c p_d t_d + log(cosh 2c - p_d m_d sinh 2c),

    since each score moves by -2 c p_d q_d, and q_d is +1 or -1. One product with the candidates'
    codes gives the change for every bit at once.

    Args:
        users: changed in place.
        items: held fixed.
        chunk: the users to improve.
        sums: updated in place.
        scale: c.
        flips: most of one user.
    """
    n, n_bits = chunk.items.shape[1], items.shape[1]
    codes = items.to(product_dtype(items.device, n_bits))
    probabilities = torch.empty(chunk.items.shape, device=items.device)
    for block in blocks(len(chunk.items), max(1, _GATHERED // (n * n_bits))):
        rows = slice(chunk.users.start + block.start, chunk.users.start + block.stop)
        candidates, targets = chunk.items[block], chunk.targets[block]
        missing = candidates < 0
        K = codes[candidates.clamp(min=0).long()]
        t = torch.bmm(targets[:, None].to(K.dtype), K[:, : targets.shape[1]]).squeeze(1).float()
        P = users[rows]
        ranking = Ranking.of(K, P, missing, scale)
        for _ in range(flips):
            m = torch.bmm(ranking.p[:, None].to(K.dtype), K).squeeze(1).float()
            least, bit = flip_changes(P, t, m, scale).min(1)
            falls = (least < 0) & (targets[:, 0] > 0)
            if not falls.any():
                break
            P[falls, bit[falls]] *= -1
            ranking = Ranking.of(K, P, missing, scale)
        probabilities[block] = ranking.p
        mean = (ranking.p * ranking.products).sum(1)
        variance = (ranking.p * ranking.products.square()).sum(1) - mean.square()
        of_target, listed = (P * t).sum(1), targets[:, 0] > 0
        sums.loss += (ranking.normaliser - scale * of_target)[listed].sum().item()
        sums.slope += (mean - of_target)[listed].sum().item()
        sums.curvature += variance[listed].sum().item()
    P = users[chunk.users]
    softmax = _by_item(chunk.items, probabilities, len(items))
    target = _by_item(chunk.items[:, : chunk.targets.shape[1]], chunk.targets, len(items))
    sums.predicted += sparse_product(csr_tensor(softmax, items.device), P)
    sums.wanted += sparse_product(csr_tensor(target, items.device), P)
    sums.mass += torch.from_numpy(np.asarray(softmax.sum(1)).ravel()).to(items.device)


def flip_changes(P: Tensor, t: Tensor, m: Tensor, scale: float) -> Tensor:
    """Return the change of the loss by each flip of a user's bit, shape (b, n_bits)."""
    return 2 * scale * P * t + torch.log(math.cosh(2 * scale) - math.sinh(2 * scale) * P * m)


def item_pass(items: Tensor, sums: Sums, scale: float) -> None:
    """Flip the best bit of every item if that lowers the bound, all items at once.

    Flips of many items change a user's loss by log(1 + sum_i p_i (exp(-2 c p_d q_id) - 1)) and a
    linear term. As log(1 + y) <= y, the sum over items of `flip_bounds` is an upper bound of the
    change for any set of items, so the loss of all users falls by at least what the bounds say.
    """
    least, bit = flip_bounds(items, sums, scale).min(1)
    falls = least < 0
    items[falls, bit[falls]] *= -1


def flip_bounds(items: Tensor, sums: Sums, scale: float) -> Tensor:
    """Return an upper bound of the change by each flip of an item's bit, shape (n_items, n_bits).

    The users who agree with a bit hold (mass + q_d predicted_d) / 2 of the item's probability, and
    lose the factor exp(-2c); the others win exp(2c).
    """
    agreeing = items * sums.predicted
    return (
        2 * scale * items * sums.wanted
        + (sums.mass[:, None] + agreeing) * (math.expm1(-2 * scale) / 2)
        + (sums.mass[:, None] - agreeing) * (math.expm1(2 * scale) / 2)
    )


def _by_item(candidates: Tensor, values: Tensor, n_items: int) -> Csr:
    """Return values as a sparse matrix of items x users, float32 CSR."""
    candidates, values = candidates.cpu(), values.cpu()
    users, places = (candidates >= 0).nonzero(as_tuple=True)
    pairs = (candidates[users, places].numpy(), users.numpy())
    return sparse.csr_matrix(
        (values[users, places].numpy(), pairs), shape=(n_items, len(candidates))
    )
