from __future__ import annotations

import math

import pytest
import torch

from hashrec.training.numerics.losses import (
    bpr_loss,
    discrepancy_weights,
    listnet_loss,
    position_weights,
    rank_distil_loss,
    soft_target_loss,
)


def test_bpr_by_hand():
    # sigmoid(ln 3) = 3/4
    loss = bpr_loss(torch.tensor([math.log(3), 0.0]))
    torch.testing.assert_close(loss, torch.tensor([-math.log(3 / 4), math.log(2)]))


def test_bpr_stays_finite_where_the_sigmoid_underflows():
    assert bpr_loss(torch.tensor([-1000.0])).item() == 1000


def test_bpr_pulls_the_pair_apart_equally():
    positive = torch.tensor([0.0], requires_grad=True)
    negative = torch.tensor([0.0], requires_grad=True)
    bpr_loss(positive - negative).sum().backward()
    assert (positive.grad.item(), negative.grad.item()) == (-0.5, 0.5)


def test_listnet_by_hand():
    # teacher: 1/4, 3/4; student: 1/2, 1/2 -> ln 2; and teacher certain of a fifth -> ln 5
    student = torch.tensor([[0.0, 0.0], [0.0, math.log(4)]])
    teacher = torch.tensor([[0.0, math.log(3)], [100.0, 0.0]])
    loss = listnet_loss(student, teacher, torch.ones(2, 2, dtype=torch.bool), temperature=1)
    torch.testing.assert_close(loss, torch.tensor([math.log(2), math.log(5)]))


def test_listnet_divides_both_scores_by_the_temperature():
    student, teacher = torch.tensor([[1.0, 5.0, 2.0]]), torch.tensor([[0.5, 0.0, 3.0]])
    mask = torch.ones(1, 3, dtype=torch.bool)
    softened = listnet_loss(student, teacher, mask, temperature=4)
    torch.testing.assert_close(softened, listnet_loss(student / 4, teacher / 4, mask, 1))


def test_padding_changes_neither_the_loss_nor_the_gradient():
    scores = torch.tensor([[0.3, -1.0, 2.0]], requires_grad=True)
    padded = torch.tensor([[0.3, -1.0, 2.0, 9.0, -9.0]], requires_grad=True)
    teacher = torch.tensor([[1.0, 0.0, -1.0, 7.0, 8.0]])
    mask = torch.tensor([[True, True, True, False, False]])

    bare = listnet_loss(scores, teacher[:, :3], mask[:, :3], 0.7).sum()
    with_padding = listnet_loss(padded, teacher, mask, 0.7).sum()
    torch.testing.assert_close(with_padding, bare)
    bare.backward()
    with_padding.backward()
    torch.testing.assert_close(padded.grad, torch.cat([scores.grad, torch.zeros(1, 2)], dim=1))


def test_listnet_has_no_gradient_where_the_student_has_the_teachers_ranking():
    teacher = torch.tensor([[0.4, -1.2, 2.2]])
    student = (teacher + 3).requires_grad_()  # softmax does not see a shift
    listnet_loss(student, teacher, torch.ones(1, 3, dtype=torch.bool), 1).sum().backward()
    torch.testing.assert_close(student.grad, torch.zeros(1, 3))


def test_list_of_one_item_teaches_nothing():
    loss = listnet_loss(
        torch.tensor([[3.0, 0.0]]), torch.tensor([[-2.0, 0.0]]), torch.tensor([[True, False]]), 1
    )
    assert loss.item() == pytest.approx(0)


def test_squared_temperature_keeps_the_size_of_the_gradient():
    """Eq. 16 multiplies by T^2 since soft targets' gradients shrink by it."""
    teacher = torch.tensor([[0.4, -1.2, 2.2]])

    def gradient(T):
        student = torch.tensor([[1.0, 0.5, -0.5]], requires_grad=True)
        loss = listnet_loss(student, teacher, torch.ones(1, 3, dtype=torch.bool), T)
        (T**2 * loss.sum()).backward()
        return student.grad

    # the limit for high temperatures: a least-squares gradient of the centred scores, over n
    centred = (torch.tensor([[1.0, 0.5, -0.5]]) - teacher) / 3
    limit = centred - centred.mean()
    torch.testing.assert_close(gradient(1e3), limit, rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize("T", [0.5, 1.0, 3.0])
def test_soft_targets_are_the_cross_entropy_of_both_softmaxes_over_the_pair(T):
    student = torch.tensor([[0.4, -1.0], [2.0, 1.5], [-3.0, 3.0]], dtype=torch.float64)
    teacher = torch.tensor([[1.0, 0.0], [-1.0, 2.0], [5.0, 5.0]], dtype=torch.float64)
    target = torch.softmax(teacher / T, dim=1)
    expected = -(target * torch.log_softmax(student / T, dim=1)).sum(1)
    margins = (scores[:, 0] - scores[:, 1] for scores in (student, teacher))
    torch.testing.assert_close(soft_target_loss(*margins, T), expected)


def test_soft_target_gradient_is_the_difference_of_the_chances_over_the_temperature():
    student = torch.tensor([0.7, -2.0, 40.0], requires_grad=True)
    teacher = torch.tensor([-0.3, -2.0, -40.0])
    soft_target_loss(student, teacher, 2.0).sum().backward()
    expected = (torch.sigmoid(student / 2) - torch.sigmoid(teacher / 2)) / 2
    torch.testing.assert_close(student.grad, expected.detach())


def test_certain_teacher_makes_soft_targets_bpr():
    student = torch.tensor([0.3, -1.0])
    torch.testing.assert_close(
        soft_target_loss(student, torch.full((2,), 1e4), 1.0), bpr_loss(student)
    )


def test_position_weights_fall_by_e_in_every_lambda_places():
    weights = position_weights(10, 2.0, torch.device("cpu"))
    assert weights.sum().item() == pytest.approx(1)
    torch.testing.assert_close(weights[:-2] / weights[2:], torch.full((8,), math.e))


def test_rank_distillation_by_hand():
    # sigmoid(0) = 1/2, sigmoid(ln 3) = 3/4
    scores = torch.tensor([[0.0, math.log(3)]])
    loss = rank_distil_loss(scores, torch.tensor([[0.75, 0.25]]))
    assert loss.item() == pytest.approx(0.75 * math.log(2) - 0.25 * math.log(3 / 4))


def test_rank_distillation_gradient_is_the_weighted_chance_of_being_no_positive():
    scores = torch.tensor([[0.5, -1.0, 2.0]], requires_grad=True)
    weights = position_weights(3, 1.0, torch.device("cpu"))[None]
    rank_distil_loss(scores, weights).sum().backward()
    torch.testing.assert_close(scores.grad, (-weights * torch.sigmoid(-scores)).detach())


def test_discrepancy_weighs_how_far_the_student_ranks_an_item_too_low():
    # of 4 samples 0, 2 and 4 score higher; of 40 items that makes ranks 1, 21 and 41
    scores = torch.tensor([[9.0, 5.0, 1.0]])
    sampled = torch.tensor([[8.0, 6.0, 4.0, 2.0]])
    weights = discrepancy_weights(scores, sampled, torch.ones(1, 4, dtype=torch.bool), 40, 0.01)
    expected = [math.tanh(0.01 * (rank - place)) for rank, place in ((1, 1), (21, 2), (41, 3))]
    torch.testing.assert_close(weights, torch.tensor([expected]))


def test_item_that_the_student_ranks_high_enough_weighs_nothing():
    sampled, mask = torch.tensor([[1.0, 2.0]]), torch.ones(1, 2, dtype=torch.bool)
    assert discrepancy_weights(torch.full((1, 5), 3.0), sampled, mask, 100, 0.1).tolist() == [
        [0, 0, 0, 0, 0]
    ]


def test_padding_is_no_sample():
    scores, sampled = torch.tensor([[2.0, 0.0]]), torch.tensor([[1.0, 3.0, 9.0]])
    padded = discrepancy_weights(scores, sampled, torch.tensor([[True, True, False]]), 50, 0.1)
    bare = discrepancy_weights(scores, sampled[:, :2], torch.ones(1, 2, dtype=torch.bool), 50, 0.1)
    torch.testing.assert_close(padded, bare)
