"""Masks, positions and times as arrays; and rows that stand together."""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Mask: TypeAlias = npt.NDArray[np.bool_]
Positions: TypeAlias = npt.NDArray[np.int64]
Times: TypeAlias = npt.NDArray[np.int64]  # UTC seconds


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
