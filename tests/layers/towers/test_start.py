import numpy as np
import pyarrow as pa
import pytest
import scipy.sparse as sp

from belfry.dataset.interactions import Interactions
from belfry.layers.towers.start import item_start, truncated_svd
from tests.contracts.checkerboard import checkerboard


def test_the_decomposition_is_that_of_lapack() -> None:
    generator = np.random.default_rng(0)
    dense = generator.random((60, 5)) @ generator.random((5, 40)) + 0.01 * generator.random((60, 40))
    values, vectors = truncated_svd(sp.csr_matrix(dense.astype(np.float32)), 5, seed=0)
    _, expected, right = np.linalg.svd(dense)
    np.testing.assert_allclose(values, expected[:5], rtol=1e-3)
    np.testing.assert_allclose(np.abs((vectors * right[:5].T).sum(axis=0)), 1, atol=1e-2)


def test_beyond_the_rank_values_and_vectors_are_zero() -> None:
    values, vectors = truncated_svd(sp.csr_matrix(np.eye(3, 4, dtype=np.float32)), 6, seed=0)
    np.testing.assert_allclose(values, [1, 1, 1, 0, 0, 0], atol=1e-5)
    assert vectors.shape == (4, 6)
    assert not vectors[:, 3:].any()


def test_items_of_the_same_users_are_near() -> None:
    board = checkerboard()
    vectors = item_start(board.history, 2, seed=0)[1:]
    nearness = vectors @ vectors.T
    is_same_side = np.equal.outer(np.arange(12) % 2, np.arange(12) % 2)
    assert nearness[is_same_side].min() > nearness[~is_same_side].max()
    assert not item_start(board.history, 2, seed=0)[0].any()


@pytest.mark.parametrize("n_rows", [1, 3])
def test_tiny_data_start_from_noise_in_the_dimensions_that_they_lack(n_rows: int) -> None:
    table = pa.table({"user_id": [1, 1, 2][:n_rows], "item_id": [1, 2, 1][:n_rows]})
    history = Interactions.from_table(table)
    vectors = item_start(history, 8, seed=0)
    assert np.isfinite(vectors).all()
    assert (np.abs(vectors[1:]).max(axis=0) > 0).all()


def test_equal_seeds_give_equal_vectors() -> None:
    history = checkerboard().history
    np.testing.assert_array_equal(item_start(history, 8, seed=1), item_start(history, 8, seed=1))
