"""Events count as much at once as they do after the next training."""

from __future__ import annotations

import dataclasses
import tempfile
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hashrec.index.arrays.seen import RowLists
from hashrec.index.artifacts.artifact import Artifact
from hashrec.index.live.journal import Entry, Event, SqliteJournal
from hashrec.index.live.model_overlay import ModelOverlay, OverlayView
from hashrec.index.live.overlay import Overlay
from hashrec.index.ranking.history_weights import history_weights
from hashrec.index.ranking.recommender import Recommender
from hashrec.index.strength import UNIT, Strength
from hashrec.training.data.interactions import Interactions
from hashrec.training.data.journal_events import merge_events, read_events
from hashrec.training.jobs.outputs import seen_strengths
from tests.index.small_models import in_memory, model_of
from tests.training.pairs import interactions_of

N_USERS, N_ITEMS = 3, 6
PAIRS = [(0, 0), (0, 1), (0, 4), (1, 2), (2, 0), (2, 5)]
TYPES = {"view": 1, "cart": 3, "purchase": 5}
POLICIES = [
    Strength(types=TYPES, repeats="sum"),
    Strength(types=TYPES, repeats="largest"),
    Strength(types=TYPES, repeats="sum", scale="logarithm"),
]


def data() -> Interactions:
    pairs = interactions_of(PAIRS, N_USERS, N_ITEMS)
    amounts = np.array([1, 5, 3, 1, 8, 1], dtype=np.uint16) * np.uint16(UNIT)
    return dataclasses.replace(
        pairs, amounts=amounts, timestamps=np.arange(6, dtype=np.int64) * 86_400
    )


def artifact(policy: Strength) -> Artifact:
    """An artifact that learned the data, whatever its codes are."""
    learned = data()
    model = dataclasses.replace(
        model_of(N_USERS, N_ITEMS, 32, seed=1),
        seen=learned.seen(),
        strengths=seen_strengths(learned, policy),
    )
    made = in_memory(model)
    return dataclasses.replace(made, manifest=made.manifest.model_copy(update={"strength": policy}))


def view_of(made: Artifact, events: list[Event], user: str) -> OverlayView:
    overlay = Overlay(strength=made.manifest.policy)
    overlay.apply(Entry(position, event) for position, event in enumerate(events, 1))
    return ModelOverlay(overlay, made.model).view(user)


def live(made: Artifact, events: list[Event], user: str) -> dict[str, int]:
    """Return the strengths that the service codes a user by."""
    view = view_of(made, events, user)
    taken = Recommender(made).own_rows(user, view)
    weights = history_weights(made, made.model.users.row(user), view, taken)
    assert weights is not None
    return dict(zip(made.model.items.ids(taken), weights.tolist(), strict=True))


def retrained(policy: Strength, events: list[Event], user: str) -> dict[str, int]:
    """Return the strengths that a training on data and events learns from."""
    with (
        tempfile.TemporaryDirectory() as folder,
        closing(SqliteJournal(Path(folder) / "journal.sqlite")) as journal,
    ):
        journal.append(events)
        read = read_events(journal, strength=policy)
    merged = merge_events(data(), read, policy).interactions.with_strengths(policy)
    row = merged.users.row(user)
    if row is None:
        return {}
    own, weights = merged.seen(), merged.seen_weights()
    part = slice(own.indptr[row], own.indptr[row + 1])
    weights = np.full(len(own.items), UNIT) if weights is None else weights
    return dict(zip(merged.items.ids(own.items[part]), weights[part].tolist(), strict=True))


kinds = st.sampled_from([*TYPES, "other", "dislike", "impression"])
rows = st.tuples(st.integers(0, N_USERS), st.integers(0, N_ITEMS - 1), kinds)


@settings(deadline=None, max_examples=60)
@given(told=st.lists(rows, min_size=1, max_size=25), policy=st.sampled_from(POLICIES))
def test_live_strengths_are_those_of_the_next_training(
    told: list[tuple[int, int, str]], policy: Strength
):
    made = artifact(policy)
    events = [
        Event(f"u{user}", f"i{item}", kind, 1e6 + number, f"e{number}")
        for number, (user, item, kind) in enumerate(told)
    ]
    for user in ("u0", "u1", "u3"):
        assert live(made, events, user) == retrained(policy, events, user)


def test_a_stronger_event_moves_the_code_and_an_impression_does_not():
    made = artifact(POLICIES[0])
    recommender = Recommender(made)

    def nearest(*kinds: str) -> list[float]:
        events = [Event("u0", "i3", kind, 1e6, f"e{kind}") for kind in kinds]
        answer = recommender.recommend("u0", 3, overlay=view_of(made, events, "u0"))
        return [item.score for item in answer.items]

    assert nearest("impression") == nearest()
    assert nearest("view") != nearest("purchase")


def test_a_repeated_event_counts_in_the_sum():
    made = artifact(POLICIES[0])
    again = [Event("u1", "i2", "cart", 1e6, "e1")]
    assert live(made, again, "u1") == {"i2": 4 * UNIT}


def test_only_the_last_of_many_events_have_their_own_positions():
    policy = POLICIES[0]
    overlay = Overlay(strength=policy)
    events = [Event("u", "i", "view", 0.0, f"e{number}") for number in range(100)]
    overlay.apply(Entry(position, event) for position, event in enumerate(events, 1))
    assert overlay.amount("u", "i") == 100 * UNIT
    assert overlay.amount("u", "i", after=90) == 10 * UNIT
    overlay.forget(100)
    assert overlay.amount("u", "i") == 0


def test_what_was_learned_keeps_its_age_and_events_are_new():
    policy = Strength(half_life_days=1, types=TYPES)
    made = artifact(policy)
    view = view_of(made, [Event("u0", "i1", "view", 1e6, "e1")], "u0")
    taken = np.array([0, 1, 4])
    weights = history_weights(made, 0, view, taken)
    assert weights is not None
    # 5, 4 and 3 days before the newest pair: 1/32 of 16, all of 5 * 16, and 1/8 of 3 * 16
    assert weights.tolist() == [1, 5 * UNIT, 6]


def test_equal_strengths_need_no_array():
    assert seen_strengths(data(), Strength()) is None
    plain = dataclasses.replace(data(), amounts=None)
    assert seen_strengths(plain, POLICIES[0]) is None


def test_weighted_codes_are_signs_of_weighted_sums():
    encoder = model_of(4, 8, 32, seed=2).encoder
    assert encoder is not None
    users = encoder.users
    lists = RowLists.build(np.zeros(3, np.int64), np.array([1, 4, 6]), 1)
    weights = np.array([16, 48, 5])
    sums = weights @ users.weights[[1, 4, 6]].astype(np.int64)
    sums += np.rint(weights.sum() / 3**0.25 * users.bias / 256).astype(np.int64)
    code = users.encode(lists, None, weights).to_signs()[0]
    assert (code > 0).tolist() == (sums >= 0).tolist()
    even = users.encode(lists, None, np.full(3, 7)).packed
    assert even.tolist() == users.encode(lists, None, np.full(3, 7 * UNIT)).packed.tolist()


@pytest.mark.parametrize("weight", [1, 16, 300])
def test_equal_weights_give_the_code_without_weights(weight: int):
    made = model_of(4, 8, 64, seed=3)
    assert made.encoder is not None
    users = dataclasses.replace(made.encoder.users, bias=np.zeros(64, np.int32))
    plain = users.encode(made.seen).packed
    weighted = users.encode(made.seen, None, np.full(len(made.seen.items), weight)).packed
    assert plain.tolist() == weighted.tolist()
