from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from hashrec.training.jobs.checkpoints import Checkpoints
from hashrec.training.jobs.resuming import ResumableProgress
from hashrec.training.models.hashed_mf import HashedMf, HashedTable
from hashrec.training.numerics.device import generator
from hashrec.training.numerics.losses import bpr_loss
from hashrec.training.numerics.sampling import PairSampler
from hashrec.training.progress import QuietProgress
from tests.training.pairs import random_interactions

CPU = torch.device("cpu")
QUICK = {"n_bits": 8, "epochs": 3, "batches_per_epoch": 4}
SALT = 0x1234_5678_9ABC_DEF0


@pytest.fixture
def train():
    return random_interactions(9, 12, 0.4, seed=1)


def fit(model, train, seed=0):
    progress = QuietProgress()
    return model.fit(train, None, seed=seed, device=CPU, progress=progress), progress


def tables(model, train, seed=0):
    return model._fit(train, seed, CPU, QuietProgress())


def table(size, width, salt=SALT):
    return HashedTable(torch.randn(size, generator=generator(CPU, 0)), width, salt)


def test_factors_are_signed_entries_of_the_table():
    hashed = table(50, 6)
    rows = torch.tensor([4, 0, 4])
    slots, signs = hashed.hashes(rows)
    assert torch.equal(hashed.rows(rows), signs * hashed.table[slots])
    assert signs.unique().tolist() == [-1, 1]
    assert slots.min() >= 0
    assert slots.max() < 50


def test_row_has_the_same_factors_whatever_is_read_with_it():
    hashed = table(50, 6)
    assert torch.equal(hashed.rows(torch.arange(10))[7], hashed.rows(torch.tensor([7]))[0])


def test_slots_and_signs_are_spread_evenly_and_independently():
    slots, signs = table(16, 64).hashes(torch.arange(5_000))
    n = slots.numel()
    for sign in (-1, 1):
        counts = torch.bincount(slots[signs == sign], minlength=16).double()
        expected = n / 32
        chi_square = ((counts - expected).square() / expected).sum().item()
        assert chi_square < 15 + 5 * math.sqrt(30)  # mean and five deviations, 15 degrees


def test_two_tables_hash_differently():
    rows = torch.arange(100)
    first, second = table(1_000, 8).hashes(rows)[0], table(1_000, 8, SALT + 1).hashes(rows)[0]
    assert (first == second).double().mean().item() < 0.02


def test_inner_products_are_right_on_average_over_the_hashes():
    """Entries that share a slot add noise of mean 0: each sign is a fair coin of its own."""
    P = torch.randn((2, 32), generator=generator(CPU, 1), dtype=torch.float64)
    estimates = []
    for salt in range(4_000):
        hashed = HashedTable(torch.zeros(16, dtype=torch.float64), 32, salt * 7919 + 1)
        slots, signs = hashed.hashes(torch.arange(2))
        sums = torch.zeros(16, dtype=torch.float64)
        sums.index_add_(0, slots.flatten(), (signs * P).flatten())
        read = signs * sums[slots]
        estimates.append((read[0] @ P[1]).item())
    mean, deviation = np.mean(estimates), np.std(estimates) / len(estimates) ** 0.5
    assert mean == pytest.approx((P[0] @ P[1]).item(), abs=5 * deviation)


@pytest.mark.parametrize("share", [0.25, 0.5, 3.0])
def test_memory_is_the_size_of_the_tables(train, share):
    users, items = tables(HashedMf(**QUICK, table_share=share), train)
    assert users.table.shape == (math.ceil(share * train.n_users * 8),)
    assert items.table.shape == (math.ceil(share * train.n_items * 8),)
    codes, _ = fit(HashedMf(**QUICK, table_share=share), train)
    distinct = len(users.rows(torch.arange(train.n_users)).abs().unique())
    assert distinct <= len(users.table)
    assert len(codes.users) == train.n_users


def test_table_without_collisions_learns_exactly_plain_matrix_factorisation(train):
    """Follow the loop with whole factor matrices, which start as what the tables read at first."""
    model = HashedMf(**QUICK, table_share=2_000.0, regularization=0.01)
    codes, progress = fit(model, train, seed=5)

    start = tables(model.model_copy(update={"learning_rate": 1e-30}), train, seed=5)
    for hashed, n_rows in zip(start, (train.n_users, train.n_items), strict=True):
        slots, _ = hashed.hashes(torch.arange(n_rows))
        assert slots.unique().numel() == slots.numel()
    P, Q = (
        hashed.rows(torch.arange(n)).detach().requires_grad_()
        for hashed, n in zip(start, (train.n_users, train.n_items), strict=True)
    )
    sampler = PairSampler(train, CPU)
    adam = torch.optim.Adam([P, Q], lr=model.learning_rate)
    losses = []
    for epoch in range(3):
        adam.param_groups[0]["lr"] = model.learning_rate * (1 + np.cos(np.pi * epoch / 3)) / 2
        total = 0.0
        for batch in sampler.triples(4, generator(CPU, 5, 12, epoch)):
            p, i, j = P[batch.users], Q[batch.positives], Q[batch.negatives]
            loss = bpr_loss((p * (i - j)).sum(1)).sum()
            loss = loss + 0.01 * sum(x.square().sum() for x in (p, i, j))
            adam.zero_grad()
            loss.backward()
            adam.step()
            total += loss.item()
        losses.append(total / len(sampler))
    assert progress.history["Hashed MF epochs"]["loss"] == pytest.approx(losses, rel=1e-4)
    assert np.array_equal(codes.users.to_signs(), np.where(P.detach() >= 0, 1, -1))
    assert np.array_equal(codes.items.to_signs(), np.where(Q.detach() >= 0, 1, -1))


def test_smaller_tables_fit_worse():
    train = random_interactions(40, 30, 0.3, seed=2)
    losses = {}
    for share in (0.02, 0.2, 50.0):
        model = HashedMf(n_bits=16, epochs=20, batches_per_epoch=4, table_share=share)
        losses[share] = fit(model, train)[1].history["Hashed MF epochs"]["loss"][-1]
    assert losses[50.0] < losses[0.2] < losses[0.02]


def test_codes_are_the_signs_of_the_factors_that_are_read_out(train):
    model = HashedMf(**QUICK)
    codes, _ = fit(model, train)
    users, items = tables(model, train)
    for side, hashed in ((codes.users, users), (codes.items, items)):
        factors = hashed.rows(torch.arange(len(side))).detach().numpy()
        assert np.array_equal(side.to_signs(), np.where(factors >= 0, 1, -1))


class Left(QuietProgress):
    """Ends the job before its third epoch."""

    def track(self, loop, total, state=(), *, first=0):
        for step in super().track(loop, total, state, first=first):
            if step == 2:
                raise KeyboardInterrupt
            yield step


def test_a_fit_that_was_left_goes_on_to_the_same_codes_and_curve(train, tmp_path):
    model = HashedMf(**{**QUICK, "epochs": 4})
    whole, uninterrupted = fit(model, train)

    def resumable(shown):
        checkpoints = Checkpoints(tmp_path / "checkpoints", 0.0, lambda _: None)
        checkpoints.begin("a job")
        return ResumableProgress(shown, checkpoints, lambda _: None)

    with pytest.raises(KeyboardInterrupt):
        model.fit(train, None, seed=0, device=CPU, progress=resumable(Left()))
    again = resumable(QuietProgress())
    resumed = model.fit(train, None, seed=0, device=CPU, progress=again)
    assert again.history == uninterrupted.history
    assert np.array_equal(resumed.users.packed, whole.users.packed)
    assert np.array_equal(resumed.items.packed, whole.items.packed)
