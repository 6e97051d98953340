"""The journal in a worker's memory, and what it does to answers and their keys."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable, Generator
from pathlib import Path
from typing import Any

import orjson
import pytest

from hashrec.index.artifacts.store import Store
from hashrec.index.errors import JournalUnavailableError
from hashrec.index.live.journal import Event, ItemChange, Journal, SqliteJournal
from hashrec.index.ranking.recommender import Recommender
from hashrec.index.strength import NEGATIVE_TYPES, UNIT, Strength
from hashrec.service.answers.cache_tiers import CacheTiers
from hashrec.service.answers.cached_recommender import CachedRecommender
from hashrec.service.answers.caches import LocalCache
from hashrec.service.answers.lists import LISTS, POPULAR, RECOMMEND
from hashrec.service.answers.wanted import Wanted
from hashrec.service.live import journal_state
from hashrec.service.live.journal_state import JournalState
from hashrec.service.settings import CacheSettings
from hashrec.service.telemetry.metrics import Metrics
from hashrec.service.versions.served_models import ServedModels
from tests.index.small_models import in_memory, model_of

MODEL = model_of(60, 40, 32, seed=1)


@dataclasses.dataclass
class Holder:
    """What holds a journal."""

    journal: Journal | None


@pytest.fixture
def journal(tmp_path: Path) -> Generator[SqliteJournal]:
    journal = SqliteJournal(tmp_path / "journal.sqlite")
    yield journal
    journal.close()


def took(user: str, item: str, kind: str = "click", number: int = 0) -> Event:
    return Event(user, item, kind, 0.0, f"{user} {item} {kind} {number}")


def hides(item: str, *, hidden: bool = True) -> ItemChange:
    return ItemChange(item, None, hidden)


def recommender(
    journal_position: int | None = None, strength: Strength | None = None
) -> Recommender:
    artifact = in_memory(MODEL)
    data = artifact.manifest.data.model_copy(update={"journal_position": journal_position})
    manifest = artifact.manifest.model_copy(update={"data": data, "strength": strength})
    return Recommender(dataclasses.replace(artifact, manifest=manifest))


def state_of(journal: Journal | None) -> JournalState:
    return JournalState(Holder(journal), NEGATIVE_TYPES)


def test_without_a_journal_the_overlay_is_empty():
    model = recommender()
    state = state_of(None)
    assert state.current(model) is None
    overlay = asyncio.run(state.catch_up(model))
    assert state.current(model) is overlay
    assert overlay.stamp("u1") is None
    view = overlay.view("u1")
    assert not view.has_events
    assert view.catalogue.position == 0


def test_what_was_appended_is_applied_before_the_next_answer(journal: SqliteJournal):
    async def test() -> None:
        model, state = recommender(), state_of(journal)
        assert (await state.catch_up(model)).stamp("u1") is None
        for number in range(5):
            assert state.current(model) is not None
            journal.append([took("u1", f"i{number}")])
            assert state.current(model) is None, "it did not see the event"
            live = await state.catch_up(model)
            assert live is state.current(model)
            assert live is not None
            assert live.view("u1").positives.tolist() == list(range(number + 1))

    asyncio.run(test())


@pytest.mark.parametrize("few", [3, 500])
def test_many_who_wait_for_a_long_journal_read_it_once(
    journal: SqliteJournal, monkeypatch: pytest.MonkeyPatch, few: int
):
    monkeypatch.setattr(journal_state, "FEW", few)
    monkeypatch.setattr(journal_state, "MANY", 50)
    journal.append([took("u1", "i0")])
    model, state = recommender(), state_of(journal)
    asyncio.run(state.catch_up(model))
    start = journal.position()
    journal.append([took("u1", f"i{n % 40}", number=n + 1) for n in range(120)])
    reads: list[int] = []
    read = journal.read

    def counted(after: int = 0, limit: int = 0) -> Any:
        reads.append(after - start)
        return read(after, limit)

    monkeypatch.setattr(journal, "read", counted)

    async def test() -> None:
        found = await asyncio.gather(*(state.catch_up(model) for _ in range(20)))
        assert all(live is state.current(model) for live in found)
        assert len(found[0].view("u1").positives) == 40

    asyncio.run(test())
    assert reads == ([0, 50, 100] if few == 3 else [0])


def test_events_that_a_model_learned_from_count_for_models_that_did_not(journal: SqliteJournal):
    journal.append([took("u1", "i1"), hides("i5"), took("u1", "i2")])
    learned = journal.position() - 1

    async def test() -> None:
        newer, older, state = recommender(learned), recommender(), state_of(journal)
        live = await state.catch_up(newer)
        assert live is not None
        assert live.view("u1").positives.tolist() == [2]
        assert live.catalogue().hidden.tolist() == [5]
        back = await state.catch_up(older)  # a rollback: what was left out is read after all
        assert back is not None
        assert back.view("u1").positives.tolist() == [1, 2]
        again = await state.catch_up(newer)
        assert again is not None
        assert again.view("u1").positives.tolist() == [2]

    asyncio.run(test())


@pytest.mark.parametrize("newer_first", [True, False])
def test_two_models_that_are_bound_at_once_keep_the_events_of_either(
    journal: SqliteJournal, monkeypatch: pytest.MonkeyPatch, newer_first: bool
):
    monkeypatch.setattr(journal_state, "FEW", 1)  # so that both wait for the same reading
    journal.append([took("u1", f"i{n}") for n in range(9)])
    last = journal.position()

    async def test() -> None:
        newer, older, state = recommender(last - 2), recommender(last - 5), state_of(journal)
        both = (newer, older) if newer_first else (older, newer)
        await asyncio.gather(*(state.catch_up(model) for model in both))
        found = {model: await state.now(model) for model in both}
        assert found[newer].view("u1").positives.tolist() == [7, 8]
        assert found[older].view("u1").positives.tolist() == [4, 5, 6, 7, 8]

    asyncio.run(test())


def test_the_model_that_was_loaded_last_says_what_events_are_worth(journal: SqliteJournal):
    journal.append([took("u1", "i1", "view"), took("u1", "i1", "buy"), took("u1", "i2", "return")])
    policy = Strength(types={"buy": 4, "return": -1}, repeats="sum")

    async def test(state: JournalState, negatives: list[int]) -> None:
        plain, weighing = recommender(), recommender(strength=policy)
        view = (await state.catch_up(plain)).view("u1")
        assert (view.positives.tolist(), view.amounts.tolist()) == ([1, 2], [])
        view = (await state.catch_up(weighing)).view("u1")
        assert view.negatives.tolist() == negatives
        assert view.amounts.tolist() == [5 * UNIT, UNIT][: len(view.positives)]
        bound = state.current(plain)
        assert bound is not None, "the other model is bound to the same events"
        assert bound.view("u1").negatives.tolist() == negatives
        assert await state.catch_up(plain) is bound

    asyncio.run(test(JournalState(Holder(journal), None), negatives=[2]))
    # A setting that names the negative types goes before the policy of any model.
    asyncio.run(test(JournalState(Holder(journal), NEGATIVE_TYPES), negatives=[]))


def test_events_that_every_model_learned_from_are_forgotten(journal: SqliteJournal):
    journal.append([took("u1", "i1"), took("u1", "i2"), took("u2", "i1")])
    last = journal.position()

    async def test() -> None:
        state, older = state_of(journal), recommender()
        await state.catch_up(older)
        newer = recommender(last - 1)
        await state.catch_up(newer)
        assert state._overlay.user_position("u1") == last - 1, "a model in use still needs it"
        del older
        newest = recommender(last - 1)
        await state.catch_up(newest)
        assert state._overlay.user_position("u1") == 0
        assert state._overlay.user_position("u2") == last

    asyncio.run(test())


def test_a_journal_that_cannot_be_read_leaves_what_is_known_and_is_tried_again(
    journal: SqliteJournal, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(journal_state, "RETRY_S", 0.0)
    tries: list[int] = []

    def fail(after: int = 0, limit: int = 0) -> Any:
        tries.append(after)
        raise JournalUnavailableError("j", "it is away")

    async def test() -> None:
        model, state = recommender(), state_of(journal)
        journal.append([took("u1", "i1")])
        await state.catch_up(model)
        with monkeypatch.context() as m:
            m.setattr(journal, "read", fail)
            journal.append([took("u1", "i2")])
            live = await state.catch_up(model)
            assert live is not None
            assert live.view("u1").positives.tolist() == [1]
            assert not state.available
            m.setattr(journal_state, "RETRY_S", 1000.0)
            await state.catch_up(model)
            await state.catch_up(model)
            assert len(tries) == 2
        state._retry_at = 0.0
        live = await state.catch_up(model)
        assert live is not None
        assert live.view("u1").positives.tolist() == [1, 2]
        assert state.available

    asyncio.run(test())


# --- with the caches ----------------------------------------------------------------------------


class Rig:
    """A cached recommender over a store and a journal."""

    def __init__(self, store: Store, journal: Journal | None) -> None:
        self.metrics = Metrics()
        self.models = ServedModels(store, self.metrics)
        tiers = CacheTiers(LocalCache(1000, 1 << 20), None, self.metrics, CacheSettings())
        self.cached = CachedRecommender(self.models, tiers, state_of(journal), self.metrics)

    async def get(self, subject: str | None, kind: str = "recommend", k: int = 10) -> tuple:
        answer = await self.cached.get(Wanted(LISTS[kind], subject, k))
        ids = [item["item_id"] for item in orjson.loads(answer.body)["items"]]
        return answer.cache, ids, answer


def run(store: Store, journal: Journal | None, test: Callable[[Rig], Awaitable[Any]]) -> None:
    async def started() -> None:
        rig = Rig(store, journal)
        await rig.models.look()
        await test(rig)

    asyncio.run(started())


def test_an_event_invalidates_the_answers_of_its_user_and_of_nobody_else(
    store: Store, journal: SqliteJournal
):
    async def test(rig: Rig) -> None:
        _, before, answer = await rig.get("u1")
        await rig.get("u2")
        await rig.get("u1", "popular")
        await rig.get(None, "popular")
        journal.append([took("u1", before[0])])
        cache, after, changed = await rig.get("u1")
        assert cache == "miss"
        assert before[0] not in after
        assert len(after) == 10
        assert changed.source == "fold_in"
        assert changed.fallback is None
        assert changed.recommendation_id != answer.recommendation_id
        assert (await rig.get("u1"))[0] == "local"
        assert (await rig.get("u2"))[0] == "local"
        assert (await rig.get("u1", "popular"))[0] == "miss"
        assert (await rig.get(None, "popular"))[0] == "local"

    run(store, journal, test)


def test_a_change_of_the_catalogue_invalidates_every_answer(store: Store, journal: SqliteJournal):
    async def test(rig: Rig) -> None:
        asked = (("u1", "recommend"), (None, "popular"), ("i9", "similar"), ("nobody", "recommend"))
        before = [await rig.get(*one) for one in asked]
        hidden = before[0][1][0], before[1][1][0], before[2][1][0]
        journal.append([hides(item) for item in hidden])
        for one in asked:
            cache, ids, _ = await rig.get(*one)
            assert cache == "miss"
            assert not set(ids) & set(hidden)
            assert len(ids) == 10

    run(store, journal, test)


def test_ids_of_answers_stay_what_they_are_without_a_journal(store: Store, journal: SqliteJournal):
    answers: list[Any] = []

    async def test(rig: Rig) -> None:
        answers.append((await rig.get("u1"))[2])

    run(store, None, test)
    journal.append([took("u2", "i1")])
    run(store, journal, test)
    assert answers[0] == answers[1]


def test_titles_are_those_of_now(store: Store, journal: SqliteJournal):
    async def test(rig: Rig) -> None:
        await rig.get("u1")
        journal.append(
            [
                ItemChange("i1", {"title": "New"}, hidden=None),
                ItemChange("i2", {"year": 1999}, hidden=None),
            ]
        )
        answer = await rig.cached.get(Wanted(POPULAR, None, 40))
        titles = {item["item_id"]: item.get("title") for item in orjson.loads(answer.body)["items"]}
        assert (titles["i1"], titles["i2"], titles["i3"]) == ("New", None, "Item 3")

    run(store, journal, test)


def test_a_batch_is_of_one_moment_and_sees_events_too(store: Store, journal: SqliteJournal):
    async def test(rig: Rig) -> None:
        model = rig.models.get()
        wanted = [Wanted(RECOMMEND, user, 5) for user in ("u1", "u2", "nobody")]
        first = await rig.cached.get_many(model, wanted)
        item = orjson.loads(first[0].body)["items"][0]["item_id"]  # type: ignore[union-attr]
        journal.append([took("u1", item), took("nobody", "i3")])
        second = await rig.cached.get_many(model, wanted)
        assert [answer.source for answer in second] == ["fold_in", "personal", "fold_in"]  # type: ignore[union-attr]
        assert second[1] == first[1]._replace(cache="local")  # type: ignore[union-attr]
        text = rig.metrics.exposition().decode()
        assert 'hashrec_fallback_total{reason="unknown_user"} 1.0' in text

    run(store, journal, test)
