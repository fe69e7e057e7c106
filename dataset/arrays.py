"""Masks, positions and times as arrays; rows that stand together; and blocks of rows, so that memory stays bounded."""

from collections.abc import Iterator
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Mask: TypeAlias = npt.NDArray[np.bool_]
Positions: TypeAlias = npt.NDArray[np.int64]
Times: TypeAlias = npt.NDArray[np.int64]  # UTC seconds

# A block of 4M numbers takes 16 MiB: small enough to stay bounded, large enough for full speed.
CELLS_PER_BLOCK = 1 << 22


def stretches(starts: Positions, counts: Positions) -> Positions:
    """[sum(counts)] for each i the `counts[i]` numbers `starts[i], starts[i] + 1, ...`, one stretch after another."""
    numbers: Positions = np.arange(counts.sum()) + (starts - counts.cumsum() + counts).repeat(counts)
    return numbers


def differs_from_row_before(*keys: npt.NDArray[np.generic]) -> Mask:
    """[n_rows] whether any of `keys` [n_rows] differs from that of the row before; true for the first row."""
    differs = np.ones(len(keys[0]), np.bool_)
    differs[1:] = False
    for key in keys:
        differs[1:] |= key[1:] != key[:-1]
    return differs


def distinct(numbers: npt.NDArray[np.int32], n_numbers: int) -> tuple[npt.NDArray[np.int32], Positions]:
    """The distinct ones of `numbers` [n], all below `n_numbers`, in no order; and [n] the position of each among them.

    No sort, and no pass over all `n_numbers`.
    """
    place = np.empty(n_numbers, np.int32)  # read where it was written alone
    place[numbers] = np.arange(len(numbers), dtype=np.int32)
    stands_for = place[numbers]
    is_last = stands_for == np.arange(len(numbers))  # of those that are equal
    return numbers[is_last], (is_last.cumsum() - 1)[stands_for]


def blocks(n_rows: int, row_size: int) -> Iterator[slice]:
    """Slices that cover `n_rows` rows, each of at most `CELLS_PER_BLOCK` cells but at least one row.

    For no rows, one empty slice.
    """
    size = max(1, CELLS_PER_BLOCK // max(1, row_size))
    for start in range(0, max(1, n_rows), size):
        yield slice(start, min(start + size, n_rows))


def dot_products(
    left: npt.NDArray[np.float32],
    left_row: npt.NDArray[np.integer],
    right: npt.NDArray[np.float32],
    right_row: npt.NDArray[np.integer],
) -> npt.NDArray[np.float32]:
    """[n] float32 `left[left_row[i]] @ right[right_row[i]]`, of pairs of rows [n], block by block."""
    products = np.empty(len(left_row), np.float32)
    for pairs in blocks(len(left_row), left.shape[1]):
        products[pairs] = np.einsum("ij,ij->i", left[left_row[pairs]], right[right_row[pairs]])
    return products
