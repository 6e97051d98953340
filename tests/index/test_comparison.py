"""What a comparison of two versions says, on lists that are known by hand."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import orjson
import pytest
from small_models import in_memory, model_of, write
from typer.testing import CliRunner

from hashrec.index.arrays.codes import BinaryCodes
from hashrec.index.artifacts.store import Store
from hashrec.index.commands.versions import app
from hashrec.index.errors import ConfigError
from hashrec.index.ranking.comparison import Comparison, compare, kendall_tau, sample_users
from hashrec.index.ranking.recommender import Recommender


def recommender(order: list[int]) -> Recommender:
    """A version that lists the items of these rows in this order for its one user, `u0`.

    The user's code has no bit set, an item's as many as places lie before it.
    """
    places = np.argsort(order)
    items = np.packbits(np.arange(8) < places[:, None], axis=1)
    model = model_of(n_users=1, n_items=len(order), n_bits=8, seed=1, seen_share=0)
    user = np.zeros((1, 1), dtype=np.uint8)
    codes = {"user_codes": BinaryCodes(user), "item_codes": BinaryCodes(items)}
    return Recommender(in_memory(dataclasses.replace(model, **codes)))


IN_ORDER = [0, 1, 2, 3, 4, 5]


def of(new: list[int], old: list[int], k: int) -> Comparison:
    return compare(recommender(new), recommender(old), ["u0"], k)


def test_the_lists_are_those_meant():
    items = recommender([3, 1, 2, 0, 5, 4]).recommend("u0", 4).items
    assert [item.item_id for item in items] == ["i3", "i1", "i2", "i0"]


def test_a_version_is_like_itself():
    found = of(IN_ORDER, IN_ORDER, 4)
    assert (found.overlap, found.changed_users) == (1, 0)
    assert (found.rank_shift, found.kendall_tau) == (0, 1)
    assert found.coverage == (4 / 6, 4 / 6)
    assert found.personal_users == (1, 1)


def test_a_reversed_list_has_the_same_items_in_other_places():
    found = of([3, 2, 1, 0, 4, 5], IN_ORDER, 4)
    assert (found.overlap, found.changed_users) == (1, 1)
    assert (found.rank_shift, found.kendall_tau) == (2, -1)  # by 3, 1, 1 and 3 places


def test_items_that_only_one_list_has_count_against_the_overlap():
    found = of([0, 5, 1, 4, 2, 3], IN_ORDER, 4)  # 0 and 1 of 0, 1, 2, 3 stay; 1 moves by one
    assert found.overlap == 0.5
    assert found.rank_shift == 0.5
    assert found.kendall_tau == 1


def test_lists_with_nothing_in_common_have_no_order_to_compare():
    found = of([3, 4, 5, 0, 1, 2], IN_ORDER, 3)
    assert (found.overlap, found.changed_users) == (0, 1)
    assert (found.rank_shift, found.kendall_tau) == (None, None)


def test_a_user_nobody_knows_gets_popular_items_from_both():
    found = compare(recommender(IN_ORDER), recommender(IN_ORDER[::-1]), ["u0", "nobody"], 3)
    assert found.personal_users == (0.5, 0.5)
    assert found.changed_users == 0.5
    assert found.coverage == (3 / 6, 1.0)  # popular: i0, i1, i2


def test_users_without_whom_nothing_can_be_said():
    with pytest.raises(ConfigError, match="no user"):
        compare(recommender(IN_ORDER), recommender(IN_ORDER), [])


@pytest.mark.parametrize(
    ("ranks", "expected"), [([0, 1], 1), ([5, 2], -1), ([0, 2, 1], 1 / 3), ([1, 3, 0, 2], 0)]
)
def test_kendalls_tau_counts_pairs(ranks: list[int], expected: float):
    assert kendall_tau(np.array(ranks)) == pytest.approx(expected)


def test_users_are_drawn_once_each_and_the_same_again():
    model = Recommender(in_memory(model_of(60, 40, 32, seed=1)))
    drawn = sample_users(model, 20)
    assert len(set(drawn)) == 20
    assert drawn == sample_users(model, 20)
    assert drawn != sample_users(model, 20, seed=1)
    assert set(sample_users(model, 1000)) == {f"u{row}" for row in range(60)}


def test_the_command_compares_with_the_served_version_or_another(tmp_path: Path):
    store = Store(tmp_path / "store")
    versions: list[str] = []
    for day in range(3):
        write(tmp_path / str(day), model_of(60, 40, 32, seed=day), day=day)
        versions.append(store.publish(tmp_path / str(day), activate=day == 0))
    first, second, third = (Recommender(store.open(version)) for version in versions)

    def run(*arguments: str) -> str:
        done = CliRunner().invoke(app, ["compare", *arguments, "--store", str(store.path)])
        assert done.exit_code == 0, done.output
        return done.stdout

    users = sample_users(first, 20, seed=3)
    said = orjson.loads(run(versions[1], "--users", "20", "-k", "5", "--seed", "3", "--json"))
    expected = dataclasses.asdict(compare(second, first, users, 5))
    assert said == orjson.loads(orjson.dumps(expected))
    assert 0 < said["overlap"] < 1
    said = orjson.loads(run(versions[1], versions[2], "--json"))
    assert (said["candidate"], said["baseline"]) == (second.version, third.version)
    assert said["n_users"] == 60
    table = run(versions[1])
    assert versions[1] in table
    assert versions[0] in table
    assert store.current() == versions[0]
