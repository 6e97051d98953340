from __future__ import annotations

import numpy as np
import pytest

from hashrec.index.errors import ConfigError
from hashrec.training.data.splits import random_split
from hashrec.training.data.synthetic import GENRES, synthetic_catalogue


def test_catalogue_has_the_sizes_asked_for():
    made = synthetic_catalogue(n_users=200, n_items=120, n_interactions=4_000, seed=1)
    data = made.interactions
    assert (data.n_users, data.n_items) == (200, 120)
    assert 3_800 < len(data) <= 4_100  # the longest lists are cut at half of the items
    assert len(set(zip(data.user_rows.tolist(), data.item_rows.tolist(), strict=True))) == len(data)
    assert np.bincount(data.user_rows, minlength=200).min() >= 5


def test_same_seed_gives_the_same_catalogue_and_another_seed_another():
    first, again = synthetic_catalogue(seed=3), synthetic_catalogue(seed=3)
    other = synthetic_catalogue(seed=4)
    assert first.interactions.data_hash() == again.interactions.data_hash()
    assert np.array_equal(first.interactions.timestamps, again.interactions.timestamps)
    assert first.attributes == again.attributes
    assert first.interactions.data_hash() != other.interactions.data_hash()


def test_catalogue_is_the_same_under_every_numpy():
    made = synthetic_catalogue(n_users=50, n_items=40, n_interactions=500)
    assert made.interactions.data_hash().startswith("c0fc01384a43923c")


def test_every_item_has_a_title_of_its_own_and_one_to_three_genres():
    made = synthetic_catalogue()
    described = made.attributes.by_id
    assert len({item["title"] for item in described.values()}) == 600
    categories = {item_id: item["categories"] for item_id, item in described.items()}
    assert set(map(len, categories.values())) == {1, 2, 3}
    assert {genre for names in categories.values() for genre in names} == set(list(GENRES)[:12])
    assert all(len(set(names)) == len(names) for names in categories.values())


def test_popularity_has_a_long_tail():
    popularity = np.sort(synthetic_catalogue().interactions.popularity())[::-1]
    assert popularity[:60].sum() > 0.25 * popularity.sum()  # a tenth of the items, a quarter of all
    assert popularity[0] > 10 * np.median(popularity[300:])


def test_users_choose_by_their_taste():
    made = synthetic_catalogue()
    favourite = made.user_tastes.argmax(axis=1)
    genres = list(GENRES)
    main_genre = np.array(
        [genres.index(made.attributes.by_id[str(row + 1)]["categories"][0]) for row in range(600)]
    )
    data = made.interactions
    hits = np.mean(main_genre[data.item_rows] == favourite[data.user_rows])
    by_chance = np.mean(main_genre[data.item_rows] == np.roll(favourite, 1)[data.user_rows])
    assert hits > 3 * by_chance


def test_tastes_rank_held_out_items_well_above_popularity():
    made = synthetic_catalogue()
    split = random_split(made.interactions, 0)
    seen, held_out = split.train.matrix().toarray(), split.test.matrix().toarray()
    popularity = np.tile(seen.sum(axis=0), (len(seen), 1))
    length = np.sqrt(np.maximum(seen.sum(axis=0), 1))
    similar = seen.T @ seen / np.outer(length, length)  # cosine between the items' users
    np.fill_diagonal(similar, 0)

    def recall_at_20(scores):
        scores = np.where(seen > 0, -np.inf, scores)
        top = np.argsort(-scores, axis=1, kind="stable")[:, :20]
        return np.mean(np.take_along_axis(held_out, top, axis=1).sum(axis=1) / held_out.sum(axis=1))

    assert recall_at_20(seen @ similar) > 1.5 * recall_at_20(popularity)


def test_times_lie_in_two_years_and_follow_no_order_of_rows():
    data = synthetic_catalogue().interactions
    assert data.timestamps.min() >= 1_672_531_200
    assert data.timestamps.max() < 1_672_531_200 + 2 * 365 * 86_400
    same_user = data.user_rows[1:] == data.user_rows[:-1]
    rising = np.diff(data.timestamps)[same_user] > 0
    assert 0.45 < rising.mean() < 0.55


@pytest.mark.parametrize(
    "sizes",
    [
        {"n_groups": 0},
        {"n_groups": 17},
        {"n_users": 0},
        {"n_items": 9},
        {"n_interactions": 4_999},
        {"n_interactions": 300_001},
    ],
)
def test_sizes_that_make_no_sense_are_refused(sizes):
    with pytest.raises(ConfigError):
        synthetic_catalogue(**sizes)
