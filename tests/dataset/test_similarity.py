"""Singular vectors, items that follow one another, and the largest entries of rows."""

import numpy as np
import pyarrow as pa
import pytest
import scipy.sparse as sp
from threadpoolctl import threadpool_limits

from belfry.dataset.interactions import Interactions
from belfry.dataset.similarity import followers, largest_of_rows, truncated_svd


def random_matrix(n_rows: int, n_columns: int, density: float = 0.2) -> "sp.csr_matrix[np.float32]":
    cells = np.random.default_rng(1).random((n_rows, n_columns)) < density
    return sp.csr_matrix(cells.astype(np.float32))


@pytest.mark.parametrize(("shape", "rank"), [((40, 30), 10), ((200, 150), 40), ((12, 30), 100)])
def test_the_largest_singular_values_and_their_vectors(shape: tuple[int, int], rank: int) -> None:
    matrix = random_matrix(*shape)
    values, factors = truncated_svd(matrix, rank)
    _, expected, vectors = np.linalg.svd(matrix.toarray().astype(np.float64), full_matrices=False)
    n_factors = min(rank, int((expected > 1e-5).sum()))
    assert factors.shape == (shape[1], n_factors)
    np.testing.assert_allclose(values, expected[:n_factors], rtol=0.01)
    np.testing.assert_allclose(values[: n_factors // 2], expected[: n_factors // 2], rtol=1e-3)
    np.testing.assert_allclose(factors.T @ factors, np.eye(n_factors), atol=1e-4)
    alike = np.abs(np.einsum("ij,ji->i", vectors[:3], factors[:, :3]))  # up to the sign
    np.testing.assert_allclose(alike, 1, atol=1e-2)


def test_equal_matrices_have_equal_vectors_whatever_was_drawn_before() -> None:
    matrix = random_matrix(60, 50)
    first = truncated_svd(matrix, 8)[1]
    np.random.default_rng(5).normal(size=3)
    np.testing.assert_array_equal(truncated_svd(matrix, 8)[1], first)


@pytest.mark.parametrize("seed", [1, 2])
def test_another_seed_gives_the_same_values_to_rounding(seed: int) -> None:
    matrix = random_matrix(60, 50)
    np.testing.assert_allclose(truncated_svd(matrix, 8, seed=seed)[0], truncated_svd(matrix, 8)[0], rtol=1e-3)


def test_equal_vectors_however_many_threads_may_work() -> None:
    matrix = random_matrix(3_000, 400)
    with threadpool_limits(1, "blas"):
        values, factors = truncated_svd(matrix, 16)
    with threadpool_limits(4, "blas"):
        same_values, same_factors = truncated_svd(matrix, 16)
    np.testing.assert_array_equal(values, same_values)
    np.testing.assert_array_equal(factors, same_factors)


def test_a_matrix_of_zeros_has_one_factor_of_value_zero() -> None:
    values, factors = truncated_svd(sp.csr_matrix((5, 4), dtype=np.float32), 3)
    np.testing.assert_array_equal(values, [0])
    assert factors.shape == (4, 1)


def test_a_matrix_of_low_rank_has_no_more_vectors_than_that() -> None:
    matrix = sp.csr_matrix(np.outer([1, 1, 0, 1], [1, 0, 1, 1, 0]).astype(np.float32))
    values, factors = truncated_svd(matrix, 3)
    np.testing.assert_allclose(values, [3], rtol=1e-5)
    assert factors.shape == (5, 1)


def test_followers_by_hand() -> None:
    """User 1: items 1, 2, 1; user 2: 1, 3. Up to two steps apart; item 1 does not follow itself."""
    table = pa.table({"user_id": [1, 1, 1, 2, 2], "item_id": [1, 2, 1, 1, 3]})
    expected = np.zeros((4, 4))
    expected[1, 2] = 1 / np.sqrt((3 + 5) * (1 + 5))
    expected[2, 1] = 1 / np.sqrt((1 + 5) * (3 + 5))
    expected[1, 3] = 1 / np.sqrt((3 + 5) * (1 + 5))
    history = Interactions.from_table(table)
    np.testing.assert_allclose(followers(history, n_steps=2).toarray(), expected, rtol=1e-6)


def test_followers_further_apart_count_less() -> None:
    table = pa.table({"user_id": [1, 1, 1], "item_id": [1, 2, 3]})
    history = Interactions.from_table(table)
    assert followers(history, n_steps=1)[1, 3] == 0
    assert followers(history, n_steps=2)[1, 3] == pytest.approx(1 / 2 / 6)


def test_the_largest_of_each_row_equal_ones_by_column() -> None:
    matrix = sp.csr_matrix(np.array([[0, 3, 1, 3, 3], [0, 0, 0, 0, 0], [5, 0, 0, 0, 1]], np.float32))
    assert largest_of_rows(matrix, 2).toarray().tolist() == [[0, 3, 0, 3, 0], [0] * 5, [5, 0, 0, 0, 1]]
