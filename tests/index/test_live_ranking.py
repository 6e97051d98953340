"""Ranking with an overlay against the reference: sort what is allowed by (distance, row)."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_models import CATEGORIES, in_memory, lists_of, model_of, refiner_of

from hashrec.index.backends import INDEX_TYPES
from hashrec.index.errors import UnknownItemError, UnknownUserError
from hashrec.index.live.journal import Entry, Event, ItemChange
from hashrec.index.live.model_overlay import ModelOverlay, OverlayView
from hashrec.index.live.overlay import Overlay
from hashrec.index.model.items import ItemTable
from hashrec.index.model.model import Model
from hashrec.index.ranking.bulk import rank_users
from hashrec.index.ranking.recommender import Options, Recommendation, Recommender

N_ITEMS = 40
MODEL = dataclasses.replace(
    model_of(n_users=8, n_items=N_ITEMS, n_bits=32, seed=4), refiner=refiner_of(N_ITEMS, 6, 8, 4)
)
EXACT = sorted(name for name, index_type in INDEX_TYPES.items() if index_type.exact)
RECOMMENDERS = {kind: Recommender(in_memory(MODEL, index_type=kind)) for kind in INDEX_TYPES}


def ids(answer: Recommendation) -> list[str]:
    return [item.item_id for item in answer.items]


def view(
    *records: Event | ItemChange, user: str | None = None, model: Model = MODEL
) -> OverlayView:
    overlay = Overlay()
    overlay.apply(Entry(position, record) for position, record in enumerate(records, 1))
    return ModelOverlay(overlay, model).view(user)


def took(user: str, item: str, kind: str = "click") -> Event:
    return Event(user, item, kind, 0.0, f"{user} {item} {kind}")


def hides(item: str) -> ItemChange:
    return ItemChange(item, None, hidden=True)


@dataclasses.dataclass
class Case:
    """A request and what the journal says."""

    user: str
    positive: list[int]
    negative: list[int]
    hidden: list[int]
    categories: dict[int, list[str]]
    k: int
    options: Options

    def overlay(self) -> OverlayView:
        return view(
            *(took(self.user, f"i{row}") for row in self.positive),
            *(took(self.user, f"i{row}", "skip") for row in self.negative),
            *(hides(f"i{row}") for row in self.hidden),
            *(
                ItemChange(f"i{row}", {"categories": names}, hidden=None)
                for row, names in self.categories.items()
            ),
            user=self.user,
        )

    def allowed(self) -> list[int]:
        user_row = MODEL.users.row(self.user)
        seen = [] if user_row is None else MODEL.seen[user_row].tolist()
        out = {*self.negative, *self.hidden}
        out |= {*seen, *self.positive} if self.options.exclude_seen else set()
        wanted = set(self.options.categories)
        return [
            row
            for row in range(N_ITEMS)
            if row not in out
            and f"i{row}" not in self.options.exclude
            and (not wanted or self._in(row, wanted))
        ]

    def _in(self, row: int, wanted: set[str]) -> bool:
        names = set(self.categories.get(row, MODEL.item_table.of(row)["categories"]))
        return wanted <= names if self.options.category_mode == "all" else bool(wanted & names)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    rows = draw(st.permutations(range(N_ITEMS)))
    first, second = draw(st.integers(0, 6)), draw(st.integers(0, 4))
    names = st.sampled_from([*CATEGORIES, "Fresh"])
    return Case(
        user=draw(st.sampled_from(["u0", "u3", "u7", "nobody"])),
        positive=rows[:first],
        negative=rows[first : first + second],
        hidden=draw(st.lists(st.integers(0, N_ITEMS - 1), max_size=30, unique=True)),
        categories=draw(
            st.dictionaries(
                st.integers(0, N_ITEMS - 1), st.lists(names, max_size=3, unique=True), max_size=10
            )
        ),
        k=draw(st.integers(1, 45)),
        options=Options(
            exclude_seen=draw(st.booleans()),
            exclude=tuple(
                draw(st.lists(st.sampled_from([f"i{r}" for r in range(45)]), max_size=5))
            ),
            categories=tuple(draw(st.lists(names, max_size=2, unique=True))),
            category_mode=draw(st.sampled_from(["any", "all"])),
        ),
    )


def expected(case: Case) -> tuple[str, list[int]]:
    """The source of the list, and the rows in order."""
    rows = case.allowed()
    user_row = MODEL.users.row(case.user)
    seen = [] if user_row is None else MODEL.seen[user_row].tolist()
    history = sorted({*seen, *case.positive} - set(case.negative))
    if history and (set(case.positive) - set(seen) or case.negative):
        assert MODEL.encoder is not None
        assert MODEL.refiner is not None
        lists = lists_of([history]), lists_of([sorted(case.negative)])
        code = MODEL.refiner.refine(
            MODEL.encoder.users.encode(*lists),
            *lists,
            item_codes=MODEL.item_codes,
            index=RECOMMENDERS["numpy"].index,
        )
        source = "fold_in"
    elif user_row is not None:
        code, source = MODEL.user_codes[user_row], "personal"
    else:
        return ("category_popular" if case.options.categories else "popular"), rows
    distance = code.hamming(MODEL.item_codes)[0].tolist()
    return source, sorted(rows, key=lambda row: (distance[row], row))


@settings(max_examples=120, deadline=None)
@given(cases(), st.sampled_from(EXACT))
def test_recommend_equals_the_reference(case: Case, kind: str):
    answer = RECOMMENDERS[kind].recommend(case.user, case.k, case.options, overlay=case.overlay())
    source, rows = expected(case)
    assert (answer.source, ids(answer)) == (source, [f"i{row}" for row in rows[: case.k]])


@settings(max_examples=100, deadline=None)
@given(cases(), st.sampled_from(sorted(INDEX_TYPES)))
def test_every_kind_of_list_has_k_allowed_items_while_there_are_k(case: Case, kind: str):
    recommender, overlay = RECOMMENDERS[kind], case.overlay()
    for_user = {f"i{row}" for row in case.allowed()}
    for answer in (
        recommender.recommend(case.user, case.k, case.options, overlay=overlay),
        recommender.popular(case.k, case.options, user_id=case.user, overlay=overlay),
    ):
        assert len(set(ids(answer))) == len(answer.items) == min(case.k, len(for_user))
        assert set(ids(answer)) <= for_user
    shown = {f"i{row}" for row in range(N_ITEMS) if row not in case.hidden}
    similar = ids(recommender.similar_items("i0", case.k, overlay=overlay))
    assert set(similar) <= shown - {"i0"}
    if kind != "ivf":
        assert len(similar) == min(case.k, len(shown - {"i0"}))
    some = recommender.recommend_history(["i1", "i2"], ["i3"], case.k, overlay=overlay)
    assert len(set(ids(some))) == min(case.k, len(shown - {"i1", "i2", "i3"}))
    assert set(ids(some)) <= shown - {"i1", "i2", "i3"}


def test_a_user_is_coded_anew_as_the_history_that_seen_items_and_events_make():
    recommender = RECOMMENDERS["flat"]
    seen = [f"i{row}" for row in MODEL.seen[0].tolist()]
    new = [item for item in (f"i{row}" for row in range(N_ITEMS)) if item not in seen][:2]
    records = took("u0", new[0]), took("u0", new[1], "hide"), took("u0", seen[0], "dislike")
    answer = recommender.recommend("u0", overlay=view(*records, user="u0"))
    assert answer.items == (
        recommender.recommend_history([*seen[1:], new[0]], [new[1], seen[0]]).items
    )


def test_events_that_say_nothing_new_leave_a_users_code_as_it_was_learned():
    recommender = RECOMMENDERS["flat"]
    again = took("u0", f"i{MODEL.seen[0][0]}")
    answer = recommender.recommend("u0", overlay=view(again, took("u0", "new"), user="u0"))
    assert answer == recommender.recommend("u0")
    assert answer.source == "personal"


def test_an_unknown_user_with_events_is_no_longer_unknown():
    recommender = RECOMMENDERS["flat"]
    overlay = view(took("nobody", "i5"), user="nobody")
    answer = recommender.recommend("nobody", strict=True, overlay=overlay)
    assert answer.items == recommender.recommend_history(["i5"]).items


def test_an_unknown_user_who_only_refused_gets_the_other_popular_items():
    overlay = view(took("nobody", "i0", "skip"), took("nobody", "new"), user="nobody")
    answer = RECOMMENDERS["flat"].recommend("nobody", 3, overlay=overlay)
    assert (answer.source, ids(answer)) == ("popular", ["i1", "i2", "i3"])
    with pytest.raises(UnknownUserError):
        RECOMMENDERS["flat"].recommend("nobody", strict=True, overlay=overlay)


def test_a_model_without_an_encoder_still_hides_the_items_of_events():
    model = dataclasses.replace(MODEL, encoder=None, refiner=None)
    recommender = Recommender(in_memory(model))
    before = recommender.recommend("u0", 10)
    records = took("u0", ids(before)[0]), took("nobody", "i0")
    after = recommender.recommend("u0", 9, overlay=view(*records, user="u0"))
    assert (after.source, ids(after)) == ("personal", ids(before)[1:])
    unknown = recommender.recommend("nobody", 2, overlay=view(*records, user="nobody"))
    assert (unknown.source, ids(unknown)) == ("popular", ["i1", "i2"])


def test_a_deleted_item_is_unknown_and_a_hidden_one_has_similar_ones():
    recommender = RECOMMENDERS["flat"]
    overlay = view(hides("i3"), ItemChange("i4", None, hidden=None, deleted=True))
    assert ids(recommender.similar_items("i3", 40, overlay=overlay)) == [
        item for item in ids(recommender.similar_items("i3", 40)) if item != "i4"
    ]
    with pytest.raises(UnknownItemError):
        recommender.similar_items("i4", overlay=overlay)


def test_items_that_the_model_hides_are_in_no_list():
    model = model_of(n_users=8, n_items=10, n_bits=32, seed=4, seen_share=0.1)
    table = ItemTable.build([{"hidden": row in (0, 4)} for row in range(10)])
    recommender = Recommender(in_memory(dataclasses.replace(model, item_table=table)))
    shown = {f"i{row}" for row in range(10)} - {"i0", "i4"}
    everything = Options(exclude_seen=False)
    assert set(ids(recommender.recommend("u0", 10, everything))) == shown
    assert set(ids(recommender.popular(10))) == shown
    assert set(ids(recommender.similar_items("i0", 10))) == shown
    ranked = next(rank_users(recommender.artifact, np.array([0]), 10, exclude_seen=False))
    assert {f"i{row}" for row in ranked.rows.tolist()} == shown


@pytest.mark.parametrize("share", [0.3, 0.9, 0.999])
def test_many_hidden_items_leave_the_others_in_their_exact_order(share: float):
    model = model_of(n_users=3, n_items=3000, n_bits=32, seed=7, seen_share=0.01)
    rng = np.random.default_rng(0)
    gone = np.flatnonzero(rng.random(3000) < share)
    recommender = Recommender(in_memory(model))
    overlay = view(*(hides(f"i{row}") for row in gone.tolist()), model=model)
    for user in range(3):
        distance = model.user_codes[user].hamming(model.item_codes)[0]
        rows = np.setdiff1d(np.arange(3000), np.union1d(gone, model.seen[user]))
        rows = rows[np.argsort(distance[rows], kind="stable")][:20]
        answer = recommender.recommend(f"u{user}", 20, overlay=overlay)
        assert ids(answer) == [f"i{row}" for row in rows.tolist()]
