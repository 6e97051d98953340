from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from hashrec.training.models.parts.listwise_descent import (
    Sums,
    descend_listwise,
    find_candidates,
    flip_bounds,
    flip_changes,
    item_pass,
    user_pass,
)
from hashrec.training.numerics.embeddings import Embeddings
from hashrec.training.numerics.ranked_lists import RankedLists
from hashrec.training.progress import QuietProgress
from tests.training.pairs import interactions_of, random_interactions

pytestmark = pytest.mark.usefixtures("one_thread")

CPU = torch.device("cpu")
N_USERS, N_ITEMS = 12, 30
EXACT = 520  # bits: codes as wide as this are multiplied in float32 on every machine


def random_codes(n, n_bits, seed):
    random = torch.Generator().manual_seed(seed)
    return torch.where(torch.rand((n, n_bits), generator=random) < 0.5, -1.0, 1.0)


class Example:
    """Random codes, and lists by a random teacher; u0 has all items but one, u1 all."""

    def __init__(self, *, n_bits=EXACT, scale=0.08, length=6, n_near=8, seed=0):
        pairs = random_interactions(N_USERS, N_ITEMS, 0.2, seed)
        there = set(zip(pairs.user_rows.tolist(), pairs.item_rows.tolist(), strict=True))
        there |= {(0, item) for item in range(1, N_ITEMS)} - {(0, 0)}
        there -= {(0, 0)}
        there |= {(1, item) for item in range(N_ITEMS)}
        self.train = interactions_of(there, N_USERS, N_ITEMS)
        self.seen = self.train.matrix()
        rng = np.random.default_rng(seed)
        teacher = Embeddings(
            rng.normal(size=(N_USERS, 4)).astype(np.float32),
            rng.normal(size=(N_ITEMS, 4)).astype(np.float32),
        )
        self.lists = RankedLists.of(
            teacher, self.train, length=length, perplexity=length / 2, device=CPU
        )
        self.users = random_codes(N_USERS, n_bits, seed)
        self.items = random_codes(N_ITEMS, n_bits, seed + 100)
        self.scale, self.n_near = scale, n_near

    def candidates(self):
        return find_candidates(
            self.users,
            self.items,
            self.lists,
            self.seen,
            rows=slice(0, N_USERS),
            n_near=self.n_near,
        )

    def sums(self, candidates, *, flips=0):
        sums = Sums.zeros(self.items)
        user_pass(self.users, self.items, candidates, sums, scale=self.scale, flips=flips)
        return sums


def losses(users, items, candidates, scale):
    """Return each user's loss by its formula, in float64; 0 for a user without a list."""
    scale = torch.as_tensor(scale, dtype=torch.float64)
    found = []
    for user, (rows, target) in enumerate(zip(candidates.items, candidates.targets, strict=True)):
        if not target.any():
            found.append(torch.zeros((), dtype=torch.float64))
            continue
        listed = rows[: len(target)]
        scores = scale * (items.double() @ users[user].double())
        wanted = sum(
            probability.double() * scores[item]
            for probability, item in zip(target, listed, strict=True)
            if item >= 0
        )
        found.append(torch.logsumexp(scores[rows[rows >= 0].long()], 0) - wanted)
    return torch.stack(found)


def flipped(codes, row, bit):
    changed = codes.clone()
    changed[row, bit] *= -1
    return changed


def test_candidates_are_the_list_and_the_nearest_of_the_other_items():
    example = Example()
    candidates = example.candidates()
    products = example.users @ example.items.T
    for user in range(2, N_USERS):
        listed = example.lists.items[user].tolist()
        assert candidates.items[user, :6].tolist() == listed
        own = set(example.seen[user].indices.tolist())
        others = sorted(set(range(N_ITEMS)) - own - set(listed), key=lambda i: -products[user, i])
        near = products[user][candidates.items[user, 6:].long()]
        assert sorted(near.tolist()) == sorted(products[user][others[:8]].tolist())


@pytest.mark.parametrize("n_bits", [16, EXACT])
@pytest.mark.parametrize("n_near", [1, 8, 1000])
def test_candidates_are_no_items_of_the_user_and_no_item_twice(n_bits, n_near):
    example = Example(n_bits=n_bits, n_near=n_near, length=20)
    candidates = example.candidates()
    for user, rows in enumerate(candidates.items.tolist()):
        there = [row for row in rows if row >= 0]
        own = set(example.seen[user].indices.tolist())
        assert len(set(there)) == len(there)
        assert not set(there) & own
        if n_near == 1000:
            assert set(there) | own == set(range(N_ITEMS))


def test_users_with_few_items_left_have_few_candidates():
    candidates = Example().candidates()
    assert candidates.items[0].tolist() == [0] + [-1] * 13
    assert candidates.targets[0].tolist() == [1, 0, 0, 0, 0, 0]
    assert candidates.items[1].tolist() == [-1] * 14
    assert not candidates.targets[1].any()


def test_candidates_of_some_rows_are_those_of_all():
    example = Example()
    everyone = example.candidates()
    some = find_candidates(
        example.users, example.items, example.lists, example.seen, rows=slice(4, 9), n_near=8
    )
    assert torch.equal(some.targets, everyone.targets[4:9])
    for ours, theirs in zip(some.items, everyone.items[4:9], strict=True):
        assert set(ours.tolist()) == set(theirs.tolist())


def test_flip_changes_are_what_each_flip_of_a_users_bit_does_to_the_loss():
    example = Example(n_bits=24, scale=0.3)
    candidates = example.candidates()
    before = losses(example.users, example.items, candidates, example.scale)
    for user in range(2, N_USERS):
        rows = candidates.items[user].long()
        q, P = example.items[rows], example.users[user : user + 1]
        t = candidates.targets[user : user + 1] @ q[:6]
        m = torch.softmax(example.scale * (q @ P[0]), 0)[None] @ q
        predicted = flip_changes(P, t, m, example.scale)[0]
        exact = [
            losses(flipped(example.users, user, bit), example.items, candidates, example.scale)[
                user
            ]
            - before[user]
            for bit in range(24)
        ]
        torch.testing.assert_close(predicted.double(), torch.stack(exact), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("n_bits", [24, EXACT])
def test_sums_are_those_of_the_formulas(n_bits):
    example = Example(n_bits=n_bits)
    candidates = example.candidates()
    sums = example.sums(candidates)
    scale = torch.tensor(example.scale, dtype=torch.float64, requires_grad=True)
    total = losses(example.users, example.items, candidates, scale).sum()
    slope = torch.autograd.grad(total, scale, create_graph=True)[0]
    curvature = torch.autograd.grad(slope, scale)[0]
    tolerance = 1e-4 if n_bits == EXACT else 1e-2
    assert sums.loss == pytest.approx(total.item(), rel=tolerance)
    assert sums.slope == pytest.approx(slope.item(), rel=tolerance, abs=tolerance)
    assert sums.curvature == pytest.approx(curvature.item(), rel=tolerance)

    p, t = torch.zeros((N_USERS, N_ITEMS)), torch.zeros((N_USERS, N_ITEMS))
    for user in (0, *range(2, N_USERS)):
        rows = candidates.items[user][candidates.items[user] >= 0].long()
        scores = example.scale * (example.items[rows] @ example.users[user])
        p[user, rows] = torch.softmax(scores, 0)
        listed = candidates.targets[user] > 0
        t[user, candidates.items[user, :6][listed].long()] = candidates.targets[user][listed]
    torch.testing.assert_close(sums.predicted, p.T @ example.users, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(sums.wanted, t.T @ example.users, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(sums.mass, p.sum(0), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("scale", [0.05, 0.4])
def test_flip_bounds_are_above_what_each_flip_of_an_items_bit_does(scale):
    example = Example(n_bits=16, scale=scale)
    candidates = example.candidates()
    bounds = flip_bounds(example.items, example.sums(candidates), scale)
    before = losses(example.users, example.items, candidates, scale).sum()
    changes = torch.tensor(
        [
            [
                losses(example.users, flipped(example.items, item, bit), candidates, scale).sum()
                - before
                for bit in range(16)
            ]
            for item in range(N_ITEMS)
        ]
    )
    assert (bounds >= changes - 1e-4).all()
    assert (changes < -0.01).any(), "there is something to gain"


@pytest.mark.parametrize("seed", range(6))
def test_items_flipped_together_lower_the_loss_by_what_their_bounds_say(seed):
    example = Example(scale=0.03, seed=seed)
    candidates = example.candidates()
    sums, before_flips = example.sums(candidates), example.items.clone()
    bounds = flip_bounds(example.items, sums, example.scale)
    before = losses(example.users, example.items, candidates, example.scale).sum()
    item_pass(example.items, sums, example.scale)
    after = losses(example.users, example.items, candidates, example.scale).sum()
    moved = example.items != before_flips
    assert moved.any()
    assert (moved.sum(1) <= 1).all()
    assert after - before <= bounds[moved].sum() + 1e-3
    assert (bounds[moved] < 0).all()
    assert (bounds[~moved.any(1)] >= 0).all()


@pytest.mark.parametrize("flips", [1, 5])
def test_loss_never_rises_while_users_and_items_take_turns(flips):
    example = Example(scale=0.03)
    candidates = example.candidates()
    loss = [losses(example.users, example.items, candidates, example.scale).sum()]
    for _ in range(6):
        sums = example.sums(candidates, flips=flips)
        loss.append(losses(example.users, example.items, candidates, example.scale).sum())
        assert sums.loss == pytest.approx(loss[-1].item(), rel=1e-4)
        item_pass(example.items, sums, example.scale)
        loss.append(losses(example.users, example.items, candidates, example.scale).sum())
    assert (np.diff(loss) < 0).all()


def test_user_takes_the_best_flip_each_time_and_no_more_than_allowed():
    example = Example(n_bits=EXACT)
    candidates, before = example.candidates(), example.users.clone()
    example.sums(candidates, flips=1)
    moved = example.users != before
    assert moved[2:].sum(1).tolist() == [1] * (N_USERS - 2)
    start = losses(before, example.items, candidates, example.scale)
    after = losses(example.users, example.items, candidates, example.scale)
    for bit in range(0, EXACT, 7):
        others = losses(flipped(before, 5, bit), example.items, candidates, example.scale)
        assert after[5] <= others[5] + 1e-5
    assert (after[2:] < start[2:]).all()
    example.sums(candidates, flips=3)
    assert (example.users != before).sum(1).max() <= 4


def test_users_without_a_list_keep_their_code():
    example = Example(n_bits=16)
    before = example.users.clone()
    example.sums(example.candidates(), flips=4)
    assert torch.equal(example.users[1], before[1])
    assert not torch.equal(example.users[2:], before[2:])


def test_flips_end_where_none_lowers_the_loss():
    example = Example(n_bits=8, scale=0.3)
    candidates = example.candidates()
    example.sums(candidates, flips=1000)
    settled = example.users.clone()
    example.sums(candidates, flips=1000)
    assert torch.equal(example.users, settled)


def descend_with(example, **options):
    progress = QuietProgress()
    settings = {"rounds": 1, "flips": 4, "n_near": example.n_near} | options
    scale = descend_listwise(
        example.users,
        example.items,
        example.lists,
        example.seen,
        example.scale,
        **settings,
        progress=progress,
    )
    return scale, progress.history.get("Listwise descent")


@pytest.mark.parametrize("start", [0.001, 0.02, 1.0])
def test_scale_takes_a_damped_newton_step_within_a_factor_of_two(start):
    example = Example(scale=start, n_bits=EXACT, n_near=1000)
    candidates = example.candidates()
    c = torch.tensor(start, dtype=torch.float64, requires_grad=True)
    total = losses(example.users, example.items, candidates, c).sum()
    slope = torch.autograd.grad(total, c, create_graph=True)[0]
    step = 0.7 * slope / torch.autograd.grad(slope, c)[0]
    expected = min(max(start - step.item(), start / 2), 2 * start)
    scale, history = descend_with(example, flips=0)
    assert scale == pytest.approx(expected, rel=1e-3)
    assert history["loss"] == [pytest.approx(total.item() / N_USERS, rel=1e-4)]
    assert history["scale"] == [scale]


def test_newton_steps_end_at_the_best_scale():
    """Codes held fixed: no flips of users, and the items are put back after every round."""
    example = Example(n_bits=24, n_near=1000, seed=1)
    # users near the items of their lists, so that there is a best scale
    for user in range(2, N_USERS):
        example.users[user] = torch.sign(
            example.items[example.lists.items[user].long()].sum(0) + 0.5
        )
    items, candidates = example.items.clone(), example.candidates()
    for _ in range(60):
        example.scale, _ = descend_with(example, flips=0)
        example.items.copy_(items)
    around = [
        losses(example.users, items, candidates, example.scale * factor).sum().item()
        for factor in (0.8, 1, 1.25)
    ]
    assert around[1] < min(around[0], around[2])


def test_scale_stays_where_all_items_score_alike():
    example = Example(n_bits=16, scale=0.05)
    example.items[:] = example.items[0].clone()
    assert descend_with(example, flips=0)[0] == 0.05


def test_no_rounds_change_nothing():
    example = Example(n_bits=16)
    before = copy.deepcopy((example.users, example.items))
    assert descend_with(example, rounds=0) == (example.scale, None)
    assert torch.equal(example.users, before[0])
    assert torch.equal(example.items, before[1])


@pytest.mark.parametrize("n_bits", [16, 64])
def test_descent_lowers_the_loss_it_logs_and_keeps_signs(n_bits):
    example = Example(n_bits=n_bits, scale=0.06 * np.sqrt(192 / n_bits), n_near=20)
    start = losses(example.users, example.items, example.candidates(), example.scale).sum()
    _, history = descend_with(example, rounds=6)
    assert history["loss"][0] < start / N_USERS
    assert history["loss"][-1] < history["loss"][0]
    assert len(history["loss"]) == 6
    for codes in (example.users, example.items):
        assert set(codes.unique().tolist()) == {-1, 1}
