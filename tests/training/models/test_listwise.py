from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from scipy import sparse

from hashrec.index.backends import INDEX_TYPES
from hashrec.training.data.splits import hold_out_users
from hashrec.training.data.synthetic import synthetic_catalogue
from hashrec.training.judging.metrics import user_metrics
from hashrec.training.models.listwise import Listwise
from hashrec.training.models.parts.binarize import signs
from hashrec.training.models.parts.listwise_encoder import (
    HistoryBatch,
    Student,
    draw_chances,
    window,
)
from hashrec.training.numerics.row_adam import RowAdam
from hashrec.training.progress import QuietProgress
from hashrec.training.teachers.ease import Ease
from tests.training.pairs import interactions_of, random_interactions

pytestmark = pytest.mark.usefixtures("one_thread")

CPU = torch.device("cpu")
N_USERS, N_ITEMS, N_BITS = 6, 9, 16


class Example:
    """Users with histories, lists of three items outside them, and random float parameters."""

    def __init__(self, *, seed=0, scale=0.2):
        random = torch.Generator().manual_seed(seed)
        self.has = random_interactions(N_USERS, N_ITEMS, 0.3, seed).matrix().toarray() > 0
        lengths = self.has.sum(1, keepdims=True)
        self.histories = sparse.csr_matrix((self.has / np.sqrt(lengths)).astype(np.float32))
        self.student = Student(
            torch.randn((N_ITEMS, N_BITS), generator=random),
            torch.randn((N_ITEMS, N_BITS), generator=random),
            scale,
        )
        self.listed = torch.tensor([np.flatnonzero(~has)[:3].tolist() for has in self.has])
        self.weights = torch.tensor([0.5, 0.3, 0.2]).repeat(N_USERS, 1)

    def gradient(self, drawn=tuple(range(N_ITEMS)), chances=None):
        chances = torch.ones(N_ITEMS) if chances is None else chances
        batch = HistoryBatch.of(self.histories, torch.tensor(drawn, dtype=torch.long), CPU)
        return batch, batch.gradient(self.student, chances, self.listed, self.weights)

    def by_autograd(self, drawn=tuple(range(N_ITEMS)), chances=None):
        """Return the loss by its formula, user by user, and where its gradient has to arrive.

        Returns:
            The summed loss, then dA, dV of all items and d log c of the mean loss.
        """
        chances = torch.ones(N_ITEMS) if chances is None else chances
        X = torch.from_numpy(self.histories.toarray())
        encoded = X @ self.student.A
        p, q = (signs(x).requires_grad_() for x in (encoded, self.student.V))
        log_c = torch.tensor(math.log(self.student.scale), requires_grad=True)
        scores = log_c.exp() * (p @ q.T)
        total = torch.zeros(())
        for user in range(N_USERS):
            open_items = [item for item in drawn if not self.has[user, item]]
            target = torch.zeros(N_ITEMS)
            target[self.listed[user]] = self.weights[user] / chances[self.listed[user]]
            target *= torch.tensor([item in drawn for item in range(N_ITEMS)])
            if not target.any():
                continue
            target /= target.sum()
            normaliser = torch.logsumexp((scores[user] - chances.log())[open_items], 0)
            total = total + normaliser - (target * scores[user]).sum()
        (total / N_USERS).backward()
        of_A = X.T @ (p.grad * window(encoded))
        # An item's window is relative to the drawn items.
        of_V = torch.zeros_like(self.student.V)
        rows = list(drawn)
        of_V[rows] = q.grad[rows] * window(self.student.V[rows])
        return total.item(), of_A, of_V, log_c.grad.item()


def assert_agree(batch, gradient, expected):
    loss, of_A, of_V, of_log_c = expected
    assert gradient.loss.item() == pytest.approx(loss, rel=1e-3)
    assert gradient.log_scale == pytest.approx(of_log_c, rel=2e-2, abs=1e-4)
    tolerance = 1e-2 * of_V.abs().max().item()  # probabilities may be rounded to bfloat16
    torch.testing.assert_close(gradient.A, of_A[batch.own], rtol=0, atol=tolerance)
    torch.testing.assert_close(gradient.V, of_V[batch.drawn], rtol=0, atol=tolerance)


@pytest.mark.parametrize("scale", [0.05, 0.4])
def test_gradient_over_all_items_is_that_of_the_cross_entropy(scale):
    example = Example(scale=scale)
    batch, gradient = example.gradient()
    assert_agree(batch, gradient, example.by_autograd())


def test_gradient_over_drawn_items_is_that_of_the_corrected_cross_entropy():
    example = Example(seed=1)
    drawn, chances = (0, 2, 3, 5, 8), torch.linspace(0.9, 0.3, N_ITEMS)
    batch, gradient = example.gradient(drawn, chances)
    assert_agree(batch, gradient, example.by_autograd(drawn, chances))


def test_correction_makes_the_sum_over_drawn_items_right_on_average():
    """Over all draws, by their chances; the only item of the list is certain to be drawn."""
    example = Example(seed=2)
    has = np.zeros(N_ITEMS, dtype=bool)
    has[[7, 8]] = True
    example.has = np.tile(has, (N_USERS, 1))
    example.histories = sparse.csr_matrix((example.has / np.sqrt(2)).astype(np.float32))
    example.listed = torch.zeros((N_USERS, 1), dtype=torch.long)
    example.weights = torch.ones((N_USERS, 1))
    chances = torch.full((N_ITEMS,), 0.3)
    chances[0] = 1
    likelihood, mean = 0.0, 0.0
    for others in itertools.product([0, 1], repeat=6):
        drawn = (0, *(1 + place for place, there in enumerate(others) if there))
        chance = 0.3 ** sum(others) * 0.7 ** (6 - sum(others))
        _, gradient = example.gradient(drawn, chances)
        likelihood += chance
        # all users are alike, and exp(L_u) is the sum of exp(s_ui) over exp of the list's score
        mean += chance * math.exp(gradient.loss.item() / N_USERS)
    assert likelihood == pytest.approx(1)
    exact = math.exp(example.gradient()[1].loss.item() / N_USERS)
    assert mean == pytest.approx(exact, rel=1e-4)


def test_items_that_a_user_has_are_neither_pushed_nor_counted():
    """One user: what the user has gets no gradient as an item, however high it scores."""
    example = Example(seed=3)
    keep = slice(0, 1)
    own = np.flatnonzero(example.has[0])
    example.histories, example.has = example.histories[keep], example.has[keep]
    example.listed, example.weights = example.listed[keep], example.weights[keep]
    _, gradient = example.gradient()
    assert (gradient.V[own] == 0).all()
    assert (gradient.V.abs().sum(1) > 0).sum() == N_ITEMS - len(own)
    before = gradient.loss.item()
    example.student.V[own] *= -1
    assert example.gradient()[1].loss.item() == before


def test_users_none_of_whose_list_was_drawn_say_nothing():
    example = Example(seed=4)
    drawn = tuple(sorted(set(range(N_ITEMS)) - set(example.listed[0].tolist())))
    chances = torch.full((N_ITEMS,), 0.5)
    silent = [
        user for user in range(N_USERS) if not set(example.listed[user].tolist()) & set(drawn)
    ]
    assert silent
    batch, gradient = example.gradient(drawn, chances)
    assert_agree(batch, gradient, example.by_autograd(drawn, chances))
    example.weights[silent] = 0  # as users without a list
    _, again = example.gradient(drawn, chances)
    assert torch.equal(gradient.V, again.V)
    assert torch.equal(gradient.A, again.A)
    assert gradient.loss == again.loss


def test_batch_knows_its_items_and_its_pairs():
    """u0 has i1 and i4, u1 has i4; i1 and i2 are drawn."""
    histories = sparse.csr_matrix(([0.7, 0.7, 1.0], [1, 4, 4], [0, 2, 3]), shape=(2, 6))
    batch = HistoryBatch.of(histories.astype(np.float32), torch.tensor([1, 2]), CPU)
    assert batch.own.tolist() == [1, 4]
    np.testing.assert_allclose(batch.histories.to_dense(), [[0.7, 0.7], [0, 1]])
    assert torch.equal(batch.items.to_dense(), batch.histories.to_dense().T)
    assert [part.tolist() for part in batch.taken] == [[0], [0]]


def test_adam_moves_only_the_rows_it_is_given():
    rows, parameters = torch.tensor([1, 3]), torch.zeros((5, 2))
    adam = RowAdam(parameters)
    adam.step(rows, torch.tensor([[2.0, -5.0], [0.001, 0.0]]), 0.1)
    # the first step: mean g/10 over the root of g^2/1000
    step = 0.1 * 0.1 / math.sqrt(0.001)
    expected = torch.zeros((5, 2))
    expected[rows] = torch.tensor([[-step, step], [-step, 0.0]])
    torch.testing.assert_close(parameters, expected)


def test_adam_of_a_row_is_the_same_whatever_other_rows_do_meanwhile(rng):
    gradients = torch.from_numpy(rng.normal(size=(6, 3)).astype(np.float32))
    alone, among = torch.zeros((4, 3)), torch.zeros((4, 3))
    of_alone, of_among = RowAdam(alone), RowAdam(among)
    for gradient in gradients:
        of_alone.step(torch.tensor([2]), gradient[None], 0.05)
        of_among.step(torch.tensor([0]), -gradient[None], 0.02)
        of_among.step(torch.tensor([1, 2]), gradient.repeat(2, 1), 0.05)
    assert torch.equal(alone[2], among[2])
    assert not alone[[0, 1, 3]].any()
    assert not among[3].any()


def test_window_is_one_at_zero_and_closes_on_both_sides_at_any_scale():
    x = torch.tensor([-3.0, -1.0, 0.0, 1.0, 3.0])
    rms = 2.0
    expected = [1 / math.cosh(value / (2 * rms)) ** 2 for value in x.tolist()]
    torch.testing.assert_close(window(x), torch.tensor(expected))
    torch.testing.assert_close(window(1000 * x), window(x))
    assert window(torch.zeros(3)).tolist() == [1, 1, 1]


def test_sign_of_zero_is_plus_one_as_in_packed_codes():
    assert signs(torch.tensor([-0.5, -0.0, 0.0, 2.0])).tolist() == [-1, 1, 1, 1]


@pytest.mark.parametrize("n", [4, 5, 100])
def test_all_items_are_drawn_where_there_are_no_more(n):
    assert draw_chances(np.array([9, 0, 3, 1]), n).tolist() == [1, 1, 1, 1]


def test_chances_grow_with_the_root_of_popularity():
    chances = draw_chances(np.array([16, 1, 4, 9]), 1)
    np.testing.assert_allclose(chances, [0.4, 0.1, 0.2, 0.3], rtol=1e-6)


def test_chances_above_one_leave_their_surplus_to_the_others():
    chances = draw_chances(np.array([10_000, 1, 4, 9, 4]), 3)
    np.testing.assert_allclose(chances, [1, 0.25, 0.5, 0.75, 0.5], rtol=1e-6)


@pytest.mark.parametrize("n", [1, 10, 60, 99])
def test_as_many_items_as_asked_are_drawn_on_average(n, rng):
    popularity = (rng.pareto(0.7, size=100) * 10).astype(int)
    popularity[:5] = 0  # held out entirely: drawn less often, but drawn
    chances = draw_chances(popularity, n)
    assert chances.sum() == pytest.approx(n, rel=1e-5)
    assert (chances <= 1).all()
    assert (chances > 0).all()
    assert (np.diff(chances[np.argsort(popularity)]) >= 0).all()
    free = chances < 1
    ratios = chances[free] / np.sqrt(np.maximum(popularity[free], 0.5))
    np.testing.assert_allclose(ratios, ratios[0], rtol=1e-5)


def fit(model, train, teacher, progress=None):
    progress = progress or QuietProgress()
    return model.fit(train, teacher, seed=0, device=CPU, progress=progress)


@pytest.fixture(scope="module")
def new_users():
    data = synthetic_catalogue(n_users=400, n_items=120, n_interactions=8_000, seed=2)
    return hold_out_users(data.interactions, 60, seed=0).by_popularity()


@pytest.fixture(scope="module")
def teacher(new_users):
    return Ease().fit(new_users.train, seed=0, device=CPU, progress=QuietProgress())


def mean_ndcg(rankings, relevant, k=10):
    seen = relevant.seen()
    return np.mean(
        [
            user_metrics(ranked[:k], seen[user], k).ndcg
            for user, ranked in enumerate(rankings)
            if len(seen[user])
        ]
    )


def test_users_held_out_entirely_are_ranked_for_far_better_than_by_popularity(new_users, teacher):
    codes = fit(Listwise(n_bits=64, perplexity=15, epochs=15), new_users.train, teacher)
    histories = new_users.history.seen()
    own = new_users.history.matrix().toarray() > 0
    n_items = new_users.train.n_items
    encoded = codes.encoder.users.encode(histories)
    refined = codes.refiner.refine(
        encoded,
        histories,
        None,
        item_codes=codes.items,
        index=INDEX_TYPES["flat"].build(codes.items),
    )

    def ndcg(distances):
        ranked = np.argsort(np.where(own, 10**6, distances), axis=1, kind="stable")
        return mean_ndcg(ranked, new_users.relevant)

    popular = ndcg(np.tile(np.arange(n_items), (len(own), 1)))
    assert ndcg(encoded.hamming(codes.items)) > 1.3 * popular
    assert ndcg(refined.hamming(codes.items)) > ndcg(encoded.hamming(codes.items))
    scores = teacher.fold_in(sparse.csr_matrix(own, dtype=np.float32))
    assert ndcg(refined.hamming(codes.items)) > 0.95 * ndcg(-scores)


def test_teacher_that_tells_nothing_of_new_users_leaves_the_encoder_alone(new_users, teacher):
    class KnownUsersOnly:
        n_users, n_items, scores = teacher.n_users, teacher.n_items, teacher.scores

    quick = Listwise(n_bits=16, perplexity=5, epochs=1, descent_rounds=0)
    codes = fit(quick, new_users.train, KnownUsersOnly())
    assert codes.refiner is None
    assert codes.encoder.users.n_bits == 16


def test_drawing_a_part_of_the_items_learns_too_and_the_loss_falls(new_users, teacher):
    progress = QuietProgress()
    model = Listwise(n_bits=32, perplexity=10, epochs=12, sampled_items=40, descent_rounds=0)
    fit(model, new_users.train, teacher, progress)
    losses = progress.history["Listwise epochs"]["loss"]
    assert np.mean(losses[-3:]) < np.mean(losses[:3])
    assert "Listwise descent" not in progress.history


def test_step_in_which_no_item_was_drawn_is_left_out(new_users, teacher):
    """One item a step on average, which is none in a third of the steps."""
    model = Listwise(n_bits=8, perplexity=2, epochs=3, sampled_items=1, descent_rounds=0)
    progress = QuietProgress()
    assert len(fit(model, new_users.train, teacher, progress).items) == new_users.train.n_items
    assert np.isfinite(progress.history["Listwise epochs"]["scale"]).all()


def test_a_pair_that_comes_twice_counts_once():
    pairs = [(user, item) for user in range(8) for item in range(10) if (user + item) % 3 == 0]
    once, twice = (interactions_of(some, 8, 10) for some in (pairs, pairs * 2))
    teacher = Ease().fit(once, seed=0, device=CPU, progress=QuietProgress())
    model = Listwise(n_bits=16, perplexity=2, epochs=2, batch_users=3, near_items=4)
    first, second = (fit(model, train, teacher) for train in (once, twice))
    assert np.array_equal(first.users.packed, second.users.packed)
    assert np.array_equal(first.items.packed, second.items.packed)


def test_users_who_have_everything_do_no_harm():
    pairs = [(user, item) for user in range(6) for item in range(12) if user < 2 or item % 3 == 0]
    train = interactions_of(pairs, 6, 12)
    teacher = Ease().fit(train, seed=0, device=CPU, progress=QuietProgress())
    progress = QuietProgress()
    codes = fit(Listwise(n_bits=16, perplexity=3, epochs=3), train, teacher, progress)
    assert len(codes.users) == 6
    for curves in progress.history.values():
        assert np.isfinite([value for curve in curves.values() for value in curve]).all()
