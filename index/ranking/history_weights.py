"""Strengths of the items of a history: what the model learned of them, and the events since."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hashrec.index.arrays.rows import NO_ROWS
from hashrec.index.arrays.seen import contained
from hashrec.index.artifacts.artifact import Artifact
from hashrec.index.live.model_overlay import OverlayView
from hashrec.index.strength import NEWEST, UNIT


def history_weights(
    artifact: Artifact, user_row: int | None, overlay: OverlayView, taken: NDArray[np.integer]
) -> NDArray[np.int64] | None:
    """Return the strengths of the items that a user took, in sixteenths.

    Without a half-life they are those that a training on the same events computes. With one, events
    have the age 0, and what the model learned keeps the age that it had then.

    Args:
        artifact: has the policy, and the amounts that the model learned.
        user_row: None for a user whom the model does not know.
        overlay: the events that it has not learned from.
        taken: ascending item rows, the seen ones and those of the events.

    Returns:
        int64, shape (len(taken),); None if all are alike.
    """
    policy, model = artifact.manifest.policy, artifact.model
    if policy.is_even:
        return None
    amounts = np.zeros(len(taken), dtype=np.int64)
    recency = np.full(len(taken), NEWEST, dtype=np.int64)
    if user_row is not None:
        first, last = model.seen.indptr[user_row : user_row + 2]
        seen, learned = model.seen.items[first:last], model.strengths
        kept = contained(seen, taken)
        places = taken.searchsorted(seen[kept])
        amounts[places] = UNIT if learned is None else learned.amounts[first:last][kept]
        if learned is not None and learned.recency is not None:
            recency[places] = learned.recency[first:last][kept]
    if len(positives := overlay.positives):
        told = overlay.amounts if overlay.amounts is not NO_ROWS else np.full(len(positives), UNIT)
        places = taken.searchsorted(positives)
        before = np.where(told < 0, 0, amounts[places])
        amounts[places] = policy.combined(before, np.abs(told))
        recency[places] = NEWEST
    return policy.strengths(amounts, recency)
