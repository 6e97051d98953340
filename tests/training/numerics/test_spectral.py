from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import sparse

from hashrec.training.numerics.device import generator
from hashrec.training.numerics.spectral import right_singular_vectors, scaled
from hashrec.training.progress import QuietProgress

CPU = torch.device("cpu")


@pytest.fixture
def matrix(rng):
    return sparse.random(40, 25, 0.3, format="csr", dtype=np.float32, random_state=rng)


def vectors_of(matrix, rank, seed=0):
    return right_singular_vectors(
        matrix,
        rank,
        passes=30,
        random=generator(CPU, seed),
        progress=QuietProgress(),
        loop="passes",
    )


def test_scaled_is_the_product_with_two_diagonal_matrices(matrix, rng):
    left, right = rng.random(40), rng.random(25)
    before = matrix.toarray()
    product = scaled(left, matrix, right)
    np.testing.assert_allclose(product.toarray(), np.diag(left) @ before @ np.diag(right), 1e-5)
    assert product.dtype == np.float32
    assert np.array_equal(matrix.toarray(), before)


def test_vectors_are_those_of_a_full_decomposition(matrix):
    vectors, values = vectors_of(matrix, 5)
    _, exact, right = np.linalg.svd(matrix.toarray())
    np.testing.assert_allclose(values, exact[:5], rtol=1e-4)
    np.testing.assert_allclose(vectors @ vectors.T, right[:5].T @ right[:5], atol=1e-3)


@pytest.mark.parametrize("rank", [25, 500])
def test_there_are_no_more_vectors_than_rows_or_columns(matrix, rank):
    vectors, values = vectors_of(matrix, rank)
    assert vectors.shape == (25, 25)
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(25), atol=1e-4)
    assert (np.diff(values) <= 0).all()
    assert vectors_of(matrix[:7], rank)[0].shape == (25, 7)


def test_directions_without_any_signal_have_value_zero():
    matrix = sparse.csr_matrix(np.outer([1, 2, 2], [3, 0, 4]).astype(np.float32))
    vectors, values = vectors_of(matrix, 3)
    np.testing.assert_allclose(values, [15, 0, 0], atol=1e-3)
    np.testing.assert_allclose(np.abs(vectors[:, 0]), [0.6, 0, 0.8], atol=1e-5)
