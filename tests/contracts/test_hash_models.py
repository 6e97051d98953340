"""What every hash model promises, whatever it is made of."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hashrec.index.arrays.seen import RowLists
from hashrec.index.errors import ConfigError, EmptyDataError
from hashrec.training.data.interactions import Interactions
from hashrec.training.data.synthetic import synthetic_catalogue
from hashrec.training.models import HASH_MODELS
from hashrec.training.numerics.device import resolve_device
from hashrec.training.numerics.embeddings import Embeddings
from hashrec.training.progress import QuietProgress
from tests.training.pairs import interactions_of

pytestmark = pytest.mark.usefixtures("one_thread")

DEVICE = resolve_device("auto")  # what a job takes on this machine

# Settings that make the defaults quick enough for a test; a model without a line runs as it is.
QUICK = {
    "bincf": {"epochs": 6, "batches_per_epoch": 8},
    "dgcn-bincf": {"epochs": 6, "batches_per_epoch": 8},
    "listwise": {"epochs": 20, "perplexity": 10},
}


@pytest.fixture(scope="module")
def train() -> Interactions:
    return synthetic_catalogue(n_users=150, n_items=90, n_interactions=3_000, seed=1).interactions


@pytest.fixture(scope="module")
def taught(train) -> Embeddings:
    """Factors of the training matrix itself: a teacher that is right and takes no time."""
    left, singular, right = np.linalg.svd(train.matrix().toarray(), full_matrices=False)
    root = np.sqrt(singular[:24])
    return Embeddings(
        users=np.ascontiguousarray(left[:, :24] * root, dtype=np.float32),
        items=np.ascontiguousarray(right[:24].T * root, dtype=np.float32),
    )


@pytest.fixture(scope="module", params=sorted(HASH_MODELS))
def name(request) -> str:
    return request.param


def model_of(name, n_bits=64):
    return HASH_MODELS[name](n_bits=n_bits, **QUICK.get(name, {}))


def fit(model, train, taught, seed=0):
    return model.fit(train, taught, seed=seed, device=DEVICE, progress=QuietProgress())


@pytest.fixture(scope="module")
def codes(name, train, taught):
    """One fit of each model, for all that only look at what came out."""
    return fit(model_of(name), train, taught)


@pytest.mark.parametrize("n_bits", [8, 24, 64, 136])
def test_any_multiple_of_eight_bits_gives_a_code_to_every_row(name, n_bits, train, taught):
    codes = fit(model_of(name, n_bits), train, taught)
    assert (len(codes.users), codes.users.n_bits) == (train.n_users, n_bits)
    assert (len(codes.items), codes.items.n_bits) == (train.n_items, n_bits)


@pytest.mark.parametrize("n_bits", [0, 12, 8192])
def test_width_that_does_not_pack_is_refused(name, n_bits):
    with pytest.raises(ConfigError, match=r"bits|greater than 0"):
        HASH_MODELS[name](n_bits=n_bits)


def test_items_a_user_has_are_nearer_than_items_it_has_not(codes, train):
    distance = codes.users.hamming(codes.items)
    has = train.matrix().toarray() > 0
    nearer = [
        distance[user, has[user]].mean() < distance[user, ~has[user]].mean()
        for user in range(train.n_users)
    ]
    assert np.mean(nearer) > 0.9


def test_no_two_bits_are_copies_of_each_other(codes):
    signs = codes.items.to_signs().astype(int)
    agreement = np.abs(signs.T @ signs) - len(signs) * np.eye(64, dtype=int)
    assert agreement.max() < len(signs)


def test_users_coded_by_their_history_rank_their_own_items_first(codes, train):
    folded_in = codes.encoder.users.encode(train.seen())
    distance = folded_in.hamming(codes.items)
    has = train.matrix().toarray() > 0
    nearer = [
        distance[user, has[user]].mean() < distance[user, ~has[user]].mean()
        for user in range(train.n_users)
    ]
    assert np.mean(nearer) > 0.9


def test_items_coded_by_their_users_are_nearer_to_them_than_to_others(codes, train):
    users_of_items = RowLists.build(train.item_rows, train.user_rows, train.n_items)
    distance = codes.users.hamming(codes.encoder.items.encode(codes.users, users_of_items))
    has = train.matrix().toarray() > 0
    nearer = [
        distance[has[:, item], item].mean() < distance[~has[:, item], item].mean()
        for item in np.flatnonzero(train.popularity() > 1)
    ]
    assert np.mean(nearer) > 0.9


def test_same_seed_gives_the_same_codes_bit_for_bit(name, codes, train, taught):
    torch.rand(7)  # whatever else draws from the global generator
    again = fit(model_of(name), train, taught)
    assert np.array_equal(codes.users.packed, again.users.packed)
    assert np.array_equal(codes.items.packed, again.items.packed)
    for part in ("users", "items"):
        first, second = getattr(codes.encoder, part), getattr(again.encoder, part)
        assert np.array_equal(first.weights, second.weights)
        assert np.array_equal(first.bias, second.bias)


def test_another_seed_gives_other_codes(name, codes, train, taught):
    other = fit(model_of(name), train, taught, seed=1)
    assert not np.array_equal(codes.items.packed, other.items.packed)


def test_teacher_is_left_as_it_was(name, train, taught):
    before = taught.users.copy(), taught.items.copy()
    fit(model_of(name, n_bits=24), train, taught)
    assert np.array_equal(taught.users, before[0])
    assert np.array_equal(taught.items, before[1])


def test_user_without_an_interaction_is_no_obstacle(name, train, taught):
    codes = fit(model_of(name), train.where(train.user_rows != 5), taught)
    assert len(codes.users) == train.n_users


def test_empty_data_is_refused_in_words(name):
    taught = Embeddings(np.ones((3, 8), np.float32), np.ones((3, 8), np.float32))
    with pytest.raises(EmptyDataError):
        fit(model_of(name), interactions_of([], 3, 3), taught)


def test_model_that_needs_a_teacher_asks_for_one(name, train):
    if not HASH_MODELS[name].needs_teacher:
        assert len(fit(model_of(name), train, None).users) == train.n_users
        return
    with pytest.raises(ConfigError, match="teacher"):
        fit(model_of(name), train, None)


def test_teacher_of_other_rows_is_refused(name, train, taught):
    if not HASH_MODELS[name].needs_teacher:
        pytest.skip("learns without a teacher")
    other = Embeddings(taught.users[:-1], taught.items)
    with pytest.raises(ConfigError, match="same data"):
        fit(model_of(name), train, other)


def test_settings_cannot_be_changed_after_the_fact(name):
    model = model_of(name)
    with pytest.raises(Exception, match="frozen"):
        model.n_bits = 8
    assert model.n_bits == 64


def test_unknown_setting_is_named_in_one_line_with_those_there_are(name):
    with pytest.raises(ConfigError, match="no setting 'nonsense'") as error:
        HASH_MODELS[name](nonsense=1)
    assert "\n" not in str(error.value)
    assert "n_bits" in str(error.value)
