from __future__ import annotations

import math

import pytest
import torch

from training.losses import bpr_loss, listnet_loss


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
