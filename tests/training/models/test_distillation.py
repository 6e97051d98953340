from __future__ import annotations

import pytest
import torch

from hashrec.training.models.parts.distillation import ListNet, RankDistil, SoftTargets
from hashrec.training.numerics.losses import (
    discrepancy_weights,
    listnet_loss,
    position_weights,
    soft_target_loss,
)
from hashrec.training.numerics.sampling import ItemLists
from hashrec.training.numerics.top_items import NO_ITEM


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


def table(seed):
    """Scores of two users and six items, and what looks them up."""
    scores = torch.randn((2, 6), generator=torch.Generator().manual_seed(seed))
    return scores, lambda users, items: scores[users[:, None], items]


STUDENT, student = table(0)
TEACHER, teacher = table(1)


def loss(distillation, batch):
    positives, negatives = (student(batch.users, x) for x in (batch.positives, batch.negatives))
    return distillation.loss(batch, positives, negatives, student)


def test_listnet_compares_positives_and_negatives_apart(batch):
    everything = torch.ones(1, 2, dtype=torch.bool)
    expected = sum(
        4 * listnet_loss(STUDENT[:1, items], TEACHER[:1, items], everything, 2)
        for items in ([1, 2], [3, 4])
    )
    torch.testing.assert_close(loss(ListNet(teacher, 2), batch)[:1], expected)


def test_soft_targets_are_the_mean_over_the_real_pairs(batch):
    def pair(user, positive, negative):
        margins = (scores[user, positive] - scores[user, negative] for scores in (STUDENT, TEACHER))
        return 4 * soft_target_loss(*margins, 2)

    expected = torch.stack([(pair(0, 1, 3) + pair(0, 2, 4)) / 2, pair(1, 0, 5)])
    torch.testing.assert_close(loss(SoftTargets(teacher, 2), batch), expected)


def test_ranking_distillation_without_discrepancy_weighs_positions_alone(batch):
    top = torch.tensor([[5, 0, 3], [2, 4, 1]])
    expected = -(
        position_weights(3, 2.0, torch.device("cpu"))
        * torch.nn.functional.logsigmoid(STUDENT.gather(1, top))
    ).sum(1)
    torch.testing.assert_close(loss(RankDistil(top, 6, 2.0, sharpness=0), batch), expected)


def test_hybrid_weights_are_the_products_of_both_and_sum_to_1(batch):
    top = torch.tensor([[5, 0, 3], [2, 4, 1]])
    scores = STUDENT.gather(1, top)
    negatives = student(batch.users, batch.negatives)
    weights = position_weights(3, 2.0, torch.device("cpu")) * discrepancy_weights(
        scores, negatives, batch.mask, 6, 0.3
    )
    assert (weights.sum(1) > 0).any()
    weights = weights / weights.sum(1, keepdim=True).clamp(min=1e-30)
    expected = -(weights * torch.nn.functional.logsigmoid(scores)).sum(1)
    torch.testing.assert_close(loss(RankDistil(top, 6, 2.0, sharpness=0.3), batch), expected)


def test_place_without_an_item_takes_no_part(batch):
    short = torch.tensor([[5, NO_ITEM], [2, NO_ITEM]])
    distilled = loss(RankDistil(short, 6, 1.0, sharpness=0), batch)
    torch.testing.assert_close(distilled, -torch.nn.functional.logsigmoid(STUDENT[[0, 1], [5, 2]]))


def test_user_without_any_item_left_and_student_that_agrees_cost_nothing(batch):
    nothing = torch.full((2, 3), NO_ITEM)
    assert loss(RankDistil(nothing, 6, 1.0, sharpness=0), batch).tolist() == [0, 0]
    best = STUDENT.argmax(1, keepdim=True)
    assert loss(RankDistil(best, 6, 1.0, sharpness=0.1), batch).tolist() == [0, 0]
