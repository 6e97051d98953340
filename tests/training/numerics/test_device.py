from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import sparse

from hashrec.index.errors import ConfigError
from hashrec.training.numerics.device import (
    csr_tensor,
    deterministic,
    generator,
    ordered_product,
    product_dtype,
    resolve_device,
    sparse_product,
)

CPU = torch.device("cpu")


def test_cpu_is_the_cpu_and_auto_takes_what_is_there():
    assert resolve_device("cpu") == CPU
    assert resolve_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_absent_gpu_is_refused_with_what_to_do():
    with pytest.raises(ConfigError, match="no GPU; use --device cpu"):
        resolve_device("cuda")


def test_other_names_are_refused():
    with pytest.raises(ConfigError, match="auto, cpu or cuda, got 'tpu'"):
        resolve_device("tpu")


def test_deterministic_block_leaves_the_setting_as_it_was():
    assert not torch.are_deterministic_algorithms_enabled()
    with deterministic(CPU):
        assert torch.are_deterministic_algorithms_enabled()
    assert not torch.are_deterministic_algorithms_enabled()
    with pytest.raises(KeyError), deterministic(CPU):
        {}["absent"]
    assert not torch.are_deterministic_algorithms_enabled()


def test_every_seed_and_stream_has_numbers_of_its_own_that_repeat():
    streams = [(0,), (1,), (0, 0), (0, 1), (1, 0), (0, 1, 2), (0, 2, 1)]

    def draw(seed, *stream):
        return tuple(torch.rand(4, generator=generator(CPU, seed, *stream)).tolist())

    drawn = [draw(*stream) for stream in streams]
    assert len(set(drawn)) == len(streams)
    assert drawn == [draw(*stream) for stream in streams]


@pytest.mark.parametrize("n_bits", [8, 192, 512, 520, 4096])
def test_products_of_codes_are_exact_in_the_type_chosen_for_them(n_bits):
    random = torch.Generator().manual_seed(0)
    codes = torch.where(torch.rand((40, n_bits), generator=random) < 0.5, -1, 1)
    codes[1:3] = torch.stack([codes[0], -codes[0]])  # the largest product and the smallest
    dtype = product_dtype(CPU, n_bits)
    products = codes.to(dtype) @ codes.to(dtype).T
    assert torch.equal(products.double(), (codes.double() @ codes.double().T))


def test_codes_wider_than_bfloat16_can_count_are_multiplied_in_float32():
    assert product_dtype(CPU, 520) == torch.float32


def sparse_matrix(rng, n_rows, n_columns):
    """Random values in a sixth of the places."""
    dense = rng.normal(size=(n_rows, n_columns)) * (rng.random((n_rows, n_columns)) < 1 / 6)
    dense[n_rows // 2] = 0
    return sparse.csr_matrix(dense.astype(np.float32))


def test_both_ways_to_multiply_by_a_sparse_matrix_are_the_dense_product(rng):
    X = sparse_matrix(rng, 40, 25)
    assert 0 in X.getnnz(1)
    B = rng.normal(size=(25, 9)).astype(np.float32)
    ours, theirs = csr_tensor(X, CPU), torch.from_numpy(B)
    for product in (sparse_product, ordered_product):
        np.testing.assert_allclose(product(ours, theirs).numpy(), X.toarray() @ B, atol=1e-5)


def test_sparse_product_repeats_bit_for_bit_on_this_machine(rng):
    device = resolve_device("auto")
    X = sparse_matrix(rng, 600, 500)
    B = torch.from_numpy(rng.normal(size=(500, 64)).astype(np.float32)).to(device)
    first, second = (sparse_product(csr_tensor(X, device), B) for _ in range(2))
    assert torch.equal(first, second)
