from __future__ import annotations

import numpy as np
import pytest
import torch

from hashrec.index.errors import ConfigError
from hashrec.training.models.dgcn_bincf import BinCf, DgcnBinCf, Factors
from hashrec.training.models.parts.binarize import (
    Bernoulli,
    Relaxed,
    StraightThrough,
    TanhAnnealing,
)
from hashrec.training.models.parts.distillation import ListNet
from hashrec.training.numerics.device import generator
from hashrec.training.numerics.embeddings import Embeddings
from hashrec.training.numerics.losses import bpr_loss, listnet_loss
from hashrec.training.numerics.sampling import ItemLists, PairSampler
from hashrec.training.progress import QuietProgress
from tests.training.pairs import random_interactions

CPU = torch.device("cpu")
QUICK = {"n_bits": 8, "epochs": 2, "batches_per_epoch": 3, "list_length": 2}
BINARIZERS = ["straight-through", "bernoulli", "tanh-annealing", "relaxed"]
DISTILLATIONS = ["listnet", "rank-distil", "kd"]


@pytest.fixture
def train():
    return random_interactions(9, 12, 0.4, seed=1)


@pytest.fixture
def teacher(train):
    rng = np.random.default_rng(3)
    return Embeddings(
        users=rng.normal(0, 0.5, (train.n_users, 8)).astype(np.float32),
        items=rng.normal(0, 0.5, (train.n_items, 8)).astype(np.float32),
    )


def fit(model, train, teacher, seed=0):
    progress = QuietProgress()
    return model.fit(train, teacher, seed=seed, device=CPU, progress=progress), progress


def as_factors(embeddings):
    return Factors(torch.from_numpy(embeddings.users), torch.from_numpy(embeddings.items))


@pytest.fixture
def batch():
    """User 0 has items 1, 2 and not 3, 4; user 1 has 0 and not 5, then a place of padding."""
    return ItemLists(
        users=torch.tensor([0, 1]),
        positives=torch.tensor([[1, 2], [0, 0]]),
        negatives=torch.tensor([[3, 4], [5, 5]]),
        mask=torch.tensor([[True, True], [True, False]]),
        shares=torch.tensor([0.5, 1.0]),
    )


def test_scores_are_inner_products_with_the_items_of_each_list():
    factors = Factors(
        torch.tensor([[1.0, 2.0], [0.0, 1.0]]), torch.tensor([[1.0, 0.0], [3.0, 1.0]])
    )
    scores = factors.scores(torch.tensor([1, 0]), torch.tensor([[0, 1, 1], [0, 0, 1]]))
    assert scores.tolist() == [[0, 1, 1], [1, 1, 5]]


def test_ranking_loss_is_equation_16_over_the_real_places(teacher, batch):
    codes = Factors(torch.tanh(torch.randn(9, 8)), torch.tanh(torch.randn(12, 8)))
    taught = as_factors(teacher)
    model = DgcnBinCf(n_bits=8, alpha=3, temperature=2, score_scale=0.5)

    def score(factors, user, items):
        return factors.items[items] @ factors.users[user]

    def bpr(user, positives, negatives):
        better, worse = (0.5 * score(codes, user, items) for items in (positives, negatives))
        return bpr_loss(better - worse).sum()

    def rank(user, items):
        everything = torch.ones(1, len(items), dtype=torch.bool)
        student, target = 0.5 * score(codes, user, items), score(taught, user, items)
        return listnet_loss(student[None], target[None], everything, 2).sum()

    expected = bpr(0, [1, 2], [3, 4]) + bpr(1, [0], [5])
    # half of user 0's positives are in this list, all of user 1's; T^2 = 4
    distilled = 0.5 * (rank(0, [1, 2]) + rank(0, [3, 4])) + rank(1, [0]) + rank(1, [5])
    torch.testing.assert_close(
        model._ranking_loss(codes, ListNet(taught.scores, 2), batch), expected + 3 * 4 * distilled
    )


def test_scores_are_divided_by_the_root_of_the_width_unless_a_scale_is_given(teacher, batch):
    codes = Factors(torch.ones(9, 16), torch.ones(12, 16))
    listnet = ListNet(as_factors(teacher).scores, 1)
    by_width, given = DgcnBinCf(n_bits=16), DgcnBinCf(n_bits=16, score_scale=0.25)
    torch.testing.assert_close(
        by_width._ranking_loss(codes, listnet, batch), given._ranking_loss(codes, listnet, batch)
    )


@pytest.mark.parametrize(
    ("name", "binarizer"),
    [
        ("bernoulli", Bernoulli(tau=0.3, nu=0.02)),
        ("relaxed", Relaxed(tau=0.3, nu=0.02, beta=0.04)),
        ("straight-through", StraightThrough()),
        ("tanh-annealing", TanhAnnealing(gamma=5)),
    ],
)
def test_binarizer_has_the_settings_of_the_model(name, binarizer):
    model = DgcnBinCf(n_bits=8, binarizer=name, tau=0.3, nu=0.02, beta=0.04, gamma=5)
    assert model._binarizer() == binarizer


@pytest.mark.parametrize("binarizer", BINARIZERS)
@pytest.mark.parametrize("distillation", DISTILLATIONS)
def test_every_distillation_learns_with_every_binarizer(train, binarizer, distillation):
    has = train.matrix().toarray()
    left, singular, right = np.linalg.svd(has, full_matrices=False)
    right_one = Embeddings(users=left[:, :8] * singular[:8], items=right[:8].T.copy())

    def codes_of(alpha):
        model = DgcnBinCf(
            **QUICK | {"epochs": 12}, binarizer=binarizer, distillation=distillation, alpha=alpha
        )
        return fit(model, train, right_one)[0]

    codes = codes_of(alpha=10.0)
    assert not np.array_equal(codes.items.packed, codes_of(alpha=0.0).items.packed)
    distance = codes.users.hamming(codes.items)
    assert distance[has > 0].mean() < distance[has == 0].mean()


@pytest.mark.parametrize("binarizer", BINARIZERS)
def test_fit_takes_the_steps_of_its_equation_each_from_a_fresh_gradient(train, teacher, binarizer):
    """Follow the loop with `torch.autograd.grad`, which cannot carry a gradient over."""
    model = DgcnBinCf(binarizer=binarizer, **QUICK)
    codes, progress = fit(model, train, teacher, seed=5)

    sampler, learner = PairSampler(train, CPU), model._binarizer()
    P, Q = (torch.tensor(x, requires_grad=True) for x in (teacher.users, teacher.items))
    adam = torch.optim.Adam([P, Q], lr=model.learning_rate, fused=True)
    losses = []
    for epoch in range(2):
        adam.param_groups[0]["lr"] = model.learning_rate * (1 + np.cos(np.pi * epoch / 2)) / 2
        random, losses_of_epoch = generator(CPU, 5, 2, epoch), []
        for batch in sampler.lists(2, 3, random):
            bounded = [learner.bounded(x, epoch) for x in (P, Q)]
            loss = model._ranking_loss(
                Factors(*(learner.codes(x, random) for x in bounded)),
                ListNet(as_factors(teacher).scores, 1),
                batch,
            )
            loss = loss + sum(map(learner.penalty, bounded)) * batch.mask.sum() / len(train)
            P.grad, Q.grad = torch.autograd.grad(loss, [P, Q])
            adam.step()
            losses_of_epoch.append(loss.item())
        losses.append(sum(losses_of_epoch) / len(train))
    assert np.array_equal(codes.users.to_signs(), np.where(P.detach() >= 0, 1, -1))
    assert np.array_equal(codes.items.to_signs(), np.where(Q.detach() >= 0, 1, -1))
    assert progress.history == {"DgcnBinCf epochs": {"loss": pytest.approx(losses, rel=1e-4)}}


def test_codes_start_as_the_signs_of_the_teacher(train, teacher):
    model = DgcnBinCf(**QUICK | {"epochs": 1, "learning_rate": 1e-9})
    codes, _ = fit(model, train, teacher)
    assert np.array_equal(codes.users.to_signs(), np.where(teacher.users >= 0, 1, -1))
    assert np.array_equal(codes.items.to_signs(), np.where(teacher.items >= 0, 1, -1))


def test_strong_penalty_makes_the_loss_that_of_binary_codes(train, teacher):
    """With beta large, eq. 18 drives |tanh(P)| to 1: its penalty falls to nothing."""
    model = DgcnBinCf(**QUICK | {"epochs": 60, "beta": 100.0, "nu": 0.0, "alpha": 0.0})
    _, progress = fit(model, train, teacher)
    loss = progress.history["DgcnBinCf epochs"]["loss"]
    assert loss[-1] < 0.02 * loss[0]


def test_bincf_is_dgcn_bincf_without_distillation(train, teacher):
    bincf, _ = fit(BinCf(**QUICK), train, teacher)
    dgcn, _ = fit(DgcnBinCf(alpha=0, **QUICK), train, teacher)
    distilled, _ = fit(DgcnBinCf(alpha=1000, **QUICK), train, teacher)
    assert np.array_equal(bincf.users.packed, dgcn.users.packed)
    assert not np.array_equal(bincf.users.packed, distilled.users.packed)


def test_bincf_refuses_to_distil():
    with pytest.raises(ConfigError, match="alpha"):
        BinCf(alpha=10)


def test_unknown_binarizer_is_refused():
    with pytest.raises(ConfigError, match=r"binarizer: .*'relaxed'.*'magic'"):
        DgcnBinCf(binarizer="magic")


def test_unknown_distillation_is_refused():
    with pytest.raises(ConfigError, match=r"distillation: .*'listnet'.*'magic'"):
        DgcnBinCf(distillation="magic")


def test_annealing_cannot_blunt_the_signs():
    with pytest.raises(ConfigError, match="gamma"):
        DgcnBinCf(gamma=0.5)


def test_longer_list_than_the_catalogue_is_all_of_it(train, teacher):
    def codes(top_k):
        model = DgcnBinCf(**QUICK, distillation="rank-distil", top_k=top_k)
        return fit(model, train, teacher)[0].items.packed

    assert np.array_equal(codes(train.n_items), codes(10 * train.n_items))
