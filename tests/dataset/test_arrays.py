import numpy as np
import pytest

from belfry.dataset.arrays import CELLS_PER_BLOCK, blocks, distinct, dot_products, stretches


def test_stretches_are_concatenated():
    assert stretches(np.array([5, 9, 0, 2]), np.array([2, 0, 3, 1])).tolist() == [5, 6, 0, 1, 2, 2]
    assert len(stretches(np.zeros(0, np.int64), np.zeros(0, np.int64))) == 0


def test_distinct_numbers_once_each_and_where_each_stands() -> None:
    for numbers in ([7, 0, 7, 3, 0, 7], [2], []):
        given = np.array(numbers, np.int32)
        found, position = distinct(given, 8)
        assert sorted(found.tolist()) == sorted(set(numbers))
        assert found[position].tolist() == numbers


@pytest.mark.parametrize(
    ("n_rows", "row_size", "sizes"),
    [
        (0, 5, [0]),
        (1, 0, [1]),
        (1, CELLS_PER_BLOCK, [1]),
        (3, 2 * CELLS_PER_BLOCK, [1, 1, 1]),
        (7, CELLS_PER_BLOCK // 3, [3, 3, 1]),
        (CELLS_PER_BLOCK + 2, 1, [CELLS_PER_BLOCK, 2]),
    ],
)
def test_blocks_cover_the_rows_and_are_bounded(n_rows: int, row_size: int, sizes: list[int]) -> None:
    found = list(blocks(n_rows, row_size))
    assert [block.stop - block.start for block in found] == sizes
    assert [block.start for block in found] == [0, *np.cumsum(sizes)[:-1]]


def test_dot_products_are_of_pairs_of_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    left, right = np.random.default_rng(0).random((2, 9, 4), np.float32)
    rows = np.array([0, 8, 3, 3, 5]), np.array([7, 0, 3, 4, 5])
    wanted = [left[i] @ right[j] for i, j in zip(*rows, strict=True)]
    for n_cells in (CELLS_PER_BLOCK, 8):
        monkeypatch.setattr("belfry.dataset.arrays.CELLS_PER_BLOCK", n_cells)
        np.testing.assert_allclose(dot_products(left, rows[0], right, rows[1]), wanted, rtol=1e-6)
    assert dot_products(left, rows[0][:0], right, rows[1][:0]).tolist() == []
