import numpy as np
import pyarrow as pa
import pytest

from belfry.dataset.interactions import Interactions
from belfry.layers.towers.start import item_start
from tests.contracts.checkerboard import checkerboard


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


def test_items_without_a_watch_start_from_nothing() -> None:
    history = checkerboard().history
    vectors = item_start(history.select(np.zeros(len(history), np.bool_)), 8, seed=0)
    assert not vectors.any()
