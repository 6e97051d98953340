from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashrec.index.arrays.ids import IdMap
from hashrec.index.errors import ConfigError, DataError, EmptyDataError
from hashrec.training.data.cuts import at_of, cut_of, iso
from hashrec.training.data.interactions import Interactions
from hashrec.training.data.reading import read_interactions
from hashrec.training.data.splits import (
    Split,
    by_popularity,
    given_split,
    hold_out_users,
    make_split,
    random_split,
    temporal_split,
    time_split,
    validation_part,
)
from hashrec.training.data.stable_holdout import stable_holdout
from hashrec.training.data.synthetic import synthetic_catalogue


def interactions(pairs, times=None) -> Interactions:
    """User row u is called "u<u>", item row i "i<i>"."""
    users, items = np.array(list(pairs), dtype=np.int32).reshape(-1, 2).T
    return Interactions(
        users,
        items,
        IdMap.build(f"u{row}" for row in range(int(users.max(initial=-1)) + 1)),
        IdMap.build(f"i{row}" for row in range(int(items.max(initial=-1)) + 1)),
        values=np.arange(len(users), dtype=np.float32),
        timestamps=None if times is None else np.array(times, dtype=np.int64),
    )


def id_pairs(data: Interactions | None) -> set[tuple[str, str]]:
    assert data is not None
    return set(zip(data.users.ids(data.user_rows), data.items.ids(data.item_rows), strict=True))


DATA = st.builds(
    lambda pairs, times: interactions(sorted(pairs), times[: len(pairs)]),
    st.sets(st.tuples(st.integers(0, 6), st.integers(0, 9)), min_size=1),
    st.lists(st.integers(0, 5), min_size=70, max_size=70),
)
HOLDOUTS = {
    "random": random_split,
    "temporal": lambda data, seed: temporal_split(data),
    "validation": lambda data, seed: Split(*validation_part(data, 0.4, seed)),
    "stable": lambda data, seed: Split(*stable_holdout(data, 0.4)),
}


@pytest.mark.parametrize("name", sorted(HOLDOUTS))
@given(data=DATA, seed=st.integers(0, 3))
def test_parts_are_disjoint_and_complete_and_leave_every_user_an_item(name, data, seed):
    split = HOLDOUTS[name](data, seed)
    assert len(split.train) + len(split.test) == len(data)
    assert id_pairs(split.train) | id_pairs(split.test) == id_pairs(data)
    users = set(data.user_rows.tolist())
    assert set(split.train.user_rows.tolist()) == users
    # values and times went with their pairs
    for part in (split.train, split.test):
        for row in range(len(part)):
            original = int(part.values[row])
            assert part.user_rows[row] == data.user_rows[original]
            assert part.item_rows[row] == data.item_rows[original]
            assert part.timestamps[row] == data.timestamps[original]


@pytest.mark.parametrize("name", sorted(HOLDOUTS))
@given(data=DATA)
def test_same_seed_gives_the_same_parts(name, data):
    first, second = HOLDOUTS[name](data, 1), HOLDOUTS[name](data, 1)
    assert np.array_equal(first.train.values, second.train.values)


@given(data=DATA, seed=st.integers(0, 3))
def test_random_half_rounds_up_for_training(data, seed):
    split = random_split(data, seed)
    for user in range(data.n_users):
        n = int((data.user_rows == user).sum())
        assert int((split.train.user_rows == user).sum()) == (n + 1) // 2


def test_five_seeds_give_five_splits_and_every_pair_is_drawn_both_ways():
    data = interactions([(user, item) for user in range(20) for item in range(10)])
    trains = [id_pairs(random_split(data, seed).train) for seed in range(5)]
    assert len({frozenset(train) for train in trains}) == 5
    times_in_train = np.mean([[pair in train for train in trains] for pair in id_pairs(data)])
    assert times_in_train == 0.5


def test_share_of_training_is_kept_for_each_user():
    data = interactions([(0, item) for item in range(10)] + [(1, 0), (1, 1)])
    split = random_split(data, seed=0, share=0.8)
    assert np.bincount(split.train.user_rows).tolist() == [8, 2]


def test_last_items_by_time_are_held_out_and_later_rows_break_ties():
    data = interactions(
        [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (2, 3)], times=[30, 10, 20, 5, 5, 1]
    )
    assert id_pairs(temporal_split(data).test) == {("u0", "i0"), ("u1", "i1")}
    assert id_pairs(temporal_split(data, n_last=2).test) == {
        ("u0", "i0"),
        ("u0", "i2"),
        ("u1", "i1"),
    }


def test_split_by_time_needs_times():
    with pytest.raises(DataError, match="--split random"):
        temporal_split(interactions([(0, 0), (0, 1)]))


def test_one_moment_splits_everyone_and_cold_pairs_are_counted_apart():
    data = interactions(
        [(0, 0), (0, 1), (1, 1), (0, 2), (1, 0), (2, 0), (1, 3), (2, 3)],
        times=[1, 2, 3, 10, 11, 12, 13, 14],
    )
    # before 10 are u0 and u1 with i0 and i1: u2, i2 and i3 are cold, and with them all but (u1, i0)
    split = time_split(data, 10)
    assert id_pairs(split.train) == {("u0", "i0"), ("u0", "i1"), ("u1", "i1")}
    assert id_pairs(split.test) == {("u1", "i0")}
    assert split.train.users.ids(range(split.train.n_users)) == ["u0", "u1"]
    assert split.train.items.ids(range(split.train.n_items)) == ["i0", "i1"]
    assert (split.test.n_users, split.test.n_items) == (2, 2)
    assert (split.n_cold_users, split.n_cold_items, split.n_unknown) == (1, 2, 4)
    assert split.cut == 10


def test_a_pair_that_comes_again_after_the_cut_is_training_at_its_first_time(tmp_path):
    rows = ["u0,i0,1", "u0,i1,2", "u1,i0,2", "u0,i0,9", "u1,i0,4", "u1,i1,8", "u1,i1,9"]
    (tmp_path / "plays.csv").write_text("\n".join(["user_id,item_id,timestamp", *rows]))
    split = time_split(read_interactions(tmp_path / "plays.csv").interactions, 5)
    assert id_pairs(split.test) == {("u1", "i1")}
    times = dict(zip(sorted(id_pairs(split.train)), (1, 2, 4), strict=True))
    pairs = zip(
        split.train.users.ids(split.train.user_rows),
        split.train.items.ids(split.train.item_rows),
        strict=True,
    )
    assert dict(zip(pairs, split.train.timestamps.tolist(), strict=True)) == times


@given(DATA, st.integers(1, 5))
def test_no_interaction_of_training_is_later_than_one_to_judge_by(data, cut):
    if not data.timestamps.min() < cut <= data.timestamps.max():
        return
    try:
        split = time_split(data, cut)
    except EmptyDataError:
        return
    assert split.train.timestamps.max() < cut <= split.test.timestamps.min()
    assert len(split.train) + len(split.test) + split.n_unknown == len(data)
    assert set(split.test.user_rows.tolist()) <= set(split.train.user_rows.tolist())
    assert set(split.test.item_rows.tolist()) <= set(split.train.item_rows.tolist())


def test_a_share_is_what_lies_after_the_cut_as_nearly_as_the_times_allow():
    data = interactions(((0, item) for item in range(10)), times=[0, 1, 2, 3, 4, 5, 6, 7, 7, 7])
    # after a cut at 7 lie 3 of 10, at 6 lie 4, at 1 lie 9; before the first moment lies nothing
    assert [cut_of(data, at) for at in (None, "0.3", "0.36", "0.99")] == [7, 7, 6, 1]


def test_a_date_is_utc_unless_it_names_a_zone():
    assert at_of("1970-01-02") == at_of("19700102") == at_of("1970-01-02T01:00+01:00") == 86_400
    assert iso(86_400) == "1970-01-02T00:00:00Z"
    data = interactions([(0, 0), (1, 1)], times=[86_399, 86_400])
    assert cut_of(data, "1970-01-02") == 86_400


@pytest.mark.parametrize("at", ["tomorrow", "0", "1", "-0.2", "2", "2026", "nan", ""])
def test_what_is_neither_a_share_nor_a_date_cuts_nothing(at):
    with pytest.raises(ConfigError, match="neither a share between 0 and 1 nor a date"):
        at_of(at)


@pytest.mark.parametrize(
    ("times", "at", "says"),
    [
        (None, None, "--map timestamp=COLUMN, or choose --split random"),
        ([5, 5], None, "all interactions are of 1970-01-01T00:00:05Z"),
        ([5, 9], "1970-01-01", "no interaction before .* from 1970-01-01T00:00:05Z to"),
        ([5, 9], "1970-01-02", "no interaction after 1970-01-02T00:00:00Z"),
    ],
)
def test_data_that_no_moment_splits_say_why(times, at, says):
    with pytest.raises(DataError, match=says):
        cut_of(interactions([(0, 0), (0, 1)], times=times), at)


def test_a_cut_behind_which_everyone_is_new_is_refused():
    with pytest.raises(EmptyDataError, match="choose an earlier --at"):
        time_split(interactions([(0, 0), (1, 0)], times=[1, 2]), 2)


def test_given_test_file_is_mapped_onto_training_by_id():
    train = interactions([(0, 0), (0, 1), (1, 1), (1, 2)])
    test = Interactions(
        np.array([0, 0, 1, 2], dtype=np.int32),
        np.array([0, 1, 2, 0], dtype=np.int32),
        IdMap.build(["u1", "u0", "stranger"]),
        IdMap.build(["i0", "novelty", "i1"]),
    )
    # (u1, i0) stays; novelty and stranger are unknown; (u0, i1) is in training
    split = given_split(train, test)
    assert split.train is train
    assert id_pairs(split.test) == {("u1", "i0")}
    assert (split.test.n_users, split.test.n_items) == (2, 3)
    assert (split.n_unknown, split.n_known) == (2, 1)
    assert (split.n_cold_users, split.n_cold_items) == (1, 1)


def test_given_test_file_of_strangers_is_refused():
    train = interactions([(0, 0)])
    test = Interactions(
        np.zeros(1, np.int32), np.zeros(1, np.int32), IdMap.build(["x"]), IdMap.build(["y"])
    )
    with pytest.raises(EmptyDataError, match="no pair"):
        given_split(train, test)


def test_strategies_go_by_name():
    data = interactions([(0, 0), (0, 1), (0, 2)], times=[3, 1, 2])
    everything = make_split("none", data)
    assert everything.train is data
    assert everything.test is None
    assert len(make_split("random", data, seed=3).train) == 2
    assert id_pairs(make_split("temporal", data).test) == {("u0", "i0")}
    again = interactions([(0, 0), (0, 1), (0, 2), (1, 0), (1, 2)], times=[3, 1, 2, 9, 0])
    assert id_pairs(make_split("time", again, at="0.2").test) == {("u1", "i0")}
    test = interactions([(0, 0), (0, 1)])
    train = data.where(data.item_rows > 0)
    assert id_pairs(make_split("given", train, test=test).test) == {("u0", "i0")}
    with pytest.raises(ConfigError, match="random, time, temporal, given, none"):
        make_split("by-weekday", data)


@pytest.mark.parametrize("strategy", ["random", "temporal", "none"])
def test_test_file_and_given_split_need_each_other(strategy):
    data = interactions([(0, 0), (0, 1)], times=[1, 2])
    with pytest.raises(ConfigError, match="--test"):
        make_split(strategy, data, test=data)
    with pytest.raises(ConfigError, match="--test"):
        make_split("given", data)


@pytest.mark.parametrize("strategy", ["random", "temporal", "none"])
def test_only_a_split_by_time_takes_a_moment(strategy):
    with pytest.raises(ConfigError, match="--at goes with --split time"):
        make_split(strategy, interactions([(0, 0), (0, 1)], times=[1, 2]), at="0.2")


def test_validation_takes_its_share_of_short_lists_too():
    data = interactions([(user, item) for user in range(2_000) for item in range(3)])
    train, validation = validation_part(data, 0.1, seed=0)
    # 3 items each: 0.3 are expected, so 0 for 7 users in 10 and 1 for 3 in 10
    assert np.bincount(validation.user_rows).max() == 1
    assert 500 < len(validation) < 700
    assert len(train) + len(validation) == len(data)


def test_split_carves_validation_from_training_alone():
    data = synthetic_catalogue(n_users=50, n_items=60, n_interactions=900).interactions
    split = random_split(data, 0)
    carved = split.with_validation(0.2, seed=1)
    assert carved.test is split.test
    assert id_pairs(carved.train) | id_pairs(carved.validation) == id_pairs(split.train)
    assert not id_pairs(carved.train) & id_pairs(carved.validation)


@pytest.mark.parametrize("share", [0, 1, -0.1, 1.5, float("nan")])
def test_shares_outside_0_to_1_are_refused(share):
    data = interactions([(0, 0), (0, 1)])
    for carve in (validation_part, stable_holdout):
        with pytest.raises(ConfigError, match="between 0 and 1"):
            carve(data, share)


@given(data=DATA, share=st.floats(0.05, 0.95))
def test_stable_holdout_leaves_every_item_a_training_user(data, share):
    train, _ = stable_holdout(data, share)
    assert set(train.item_rows.tolist()) == set(data.item_rows.tolist())
    assert set(train.user_rows.tolist()) == set(data.user_rows.tolist())


def test_stable_holdout_holds_out_the_same_pairs_when_data_grow_and_rows_move(rng):
    made = synthetic_catalogue(n_users=200, n_items=100, n_interactions=6_000).interactions
    yesterday = made.where(rng.random(len(made)) < 0.9)
    today = made.renumbered(rng.permutation(made.n_users), rng.permutation(made.n_items))
    held_then, held_now = (id_pairs(stable_holdout(data, 0.1)[1]) for data in (yesterday, today))
    assert held_then <= held_now
    assert held_now - held_then <= id_pairs(today) - id_pairs(yesterday)


def test_stable_holdout_takes_about_its_share():
    data = synthetic_catalogue(n_users=500, n_items=300, n_interactions=20_000).interactions
    n_held_out = len(stable_holdout(data, 0.1)[1])
    # 20,000 fair draws at 0.1 lie within 5 standard deviations, 212, of 2,000
    assert abs(n_held_out - 2_000) < 212


def test_stable_holdout_is_the_same_on_every_machine():
    data = interactions([(user, item) for user in range(8) for item in range(8)])
    # pinned: another hash would judge tonight's model by pairs that last night's model has seen
    assert id_pairs(stable_holdout(data, 0.1)[1]) == {
        ("u1", "i4"), ("u2", "i5"), ("u3", "i1"), ("u5", "i1"), ("u6", "i2"), ("u7", "i6"),
    }  # fmt: skip


def test_items_come_in_descending_training_popularity_and_ties_in_their_old_order():
    train = interactions([(0, 3), (1, 3), (0, 1), (2, 2), (0, 4), (1, 4)])  # nobody has i0
    test = train.where(np.array([False, False, True, False, True, False]))
    new_train, new_test = by_popularity(train, test)
    assert new_train.items.ids(range(5)) == ["i3", "i4", "i1", "i2", "i0"]
    assert new_train.popularity().tolist() == [2, 2, 1, 1, 0]
    assert new_test.items is new_train.items
    assert id_pairs(new_train) == id_pairs(train)
    assert id_pairs(new_test) == id_pairs(test)


def test_all_parts_of_a_split_share_the_rows_of_training_popularity():
    data = synthetic_catalogue(n_users=60, n_items=40, n_interactions=800).interactions
    split = random_split(data, 0).with_validation(0.2, 0)
    ordered = split.by_popularity()
    assert (np.diff(ordered.train.popularity()) <= 0).all()
    for part in ("train", "test", "validation"):
        before, after = getattr(split, part), getattr(ordered, part)
        assert id_pairs(before) == id_pairs(after)
        assert after.items is ordered.train.items
    assert Split(data).by_popularity().test is None


@pytest.mark.shared_data
def test_gowalla_comes_with_a_test_file_that_fits_its_training(shared_data):
    train = read_interactions(shared_data("gowalla/train.txt.gz")).interactions
    test = read_interactions(shared_data("gowalla/test.txt.gz")).interactions
    split = make_split("given", train, test=test)
    assert (len(split.test), split.n_unknown, split.n_known) == (217_242, 0, 0)


@given(DATA, st.integers(0, 3))
def test_held_out_users_are_in_their_history_and_in_what_judges_them_and_nowhere_else(data, seed):
    counts = np.bincount(data.user_rows, minlength=data.n_users)
    if data.n_users < 2 or counts.max() < 2:
        return
    split = hold_out_users(data, 1, seed)
    (new_user,) = split.history.users.ids([0])
    theirs = {pair for pair in id_pairs(data) if pair[0] == new_user}
    assert id_pairs(split.train) == id_pairs(data) - theirs
    assert split.train.users.row(new_user) is None
    assert split.train.n_users == data.n_users - 1
    assert id_pairs(split.history) | id_pairs(split.relevant) == theirs
    assert len(split.history) == int(len(theirs) / 2 + 0.5)
    assert len(split.history) + len(split.relevant) == len(theirs) > 1
    assert split.train.items is split.history.items is split.relevant.items is data.items


def test_a_share_of_the_users_is_held_out_and_the_seed_decides_which():
    data = interactions((user, item) for user in range(10) for item in range(4))
    first, again, other = (hold_out_users(data, 0.3, seed) for seed in (0, 0, 1))
    assert first.history.n_users == 3
    assert id_pairs(first.history) == id_pairs(again.history) != id_pairs(other.history)
    assert np.bincount(first.history.user_rows).tolist() == [2, 2, 2]


def test_users_with_one_item_are_not_held_out():
    data = interactions([(0, 0), (1, 1), (2, 0), (2, 1), (3, 2)])
    split = hold_out_users(data, 3, seed=0)
    assert split.history.users.ids(range(split.history.n_users)) == ["u2"]
    assert split.train.n_users == 3


def test_held_out_users_follow_when_items_are_renumbered_by_popularity():
    data = interactions([(0, 0), (0, 1), (0, 2), (1, 2), (2, 2), (2, 1)])
    split = hold_out_users(data, 1, seed=0)
    sorted_split = split.by_popularity()
    for part in ("train", "history", "relevant"):
        assert id_pairs(getattr(sorted_split, part)) == id_pairs(getattr(split, part))
    assert (np.diff(sorted_split.train.popularity()) <= 0).all()


@pytest.mark.parametrize("n_users", [0, 4, 0.0, -0.5, 7])
def test_a_number_of_users_that_cannot_be_held_out_is_refused(n_users):
    data = interactions((user, item) for user in range(4) for item in range(2))
    with pytest.raises(ConfigError, match="cannot hold out"):
        hold_out_users(data, n_users, seed=0)


def test_users_of_one_item_each_cannot_be_held_out():
    with pytest.raises(EmptyDataError, match="no user has two items"):
        hold_out_users(interactions([(0, 0), (1, 1)]), 1, seed=0)
