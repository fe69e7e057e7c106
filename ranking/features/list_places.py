"""Where each row stands within its list: standard scores of chosen columns."""

import numpy as np

from belfry.dataset.arrays import Positions, stretches
from belfry.ranking.base import Matrix

_EPSILON = 1e-6  # a smaller standard deviation is rounding: the values of the list are equal


def standard_scores(values: Matrix, starts: Positions) -> Matrix:
    """[n_columns, n_rows] (value - mean) / standard deviation, both of the row's list, whatever the other lists are.

    Args:
        values: [n_columns, n_rows] float32.
        starts: [n_lists + 1]: rows of list i are `starts[i] : starts[i + 1]`.
    """
    lengths = starts[1:] - starts[:-1]
    if not values.size:
        return values
    if (lengths == lengths[0]).all():  # as in most blocks
        return _of_equal_lists(values, int(lengths[0]))
    scores = np.empty_like(values)
    for length in np.unique(lengths[lengths > 0]):
        first = starts[:-1][lengths == length]
        rows = stretches(first, np.full(len(first), length))
        scores[:, rows] = _of_equal_lists(values.take(rows, axis=1), int(length))
    return scores


def _of_equal_lists(values: Matrix, length: int) -> Matrix:
    """The same for lists of equal length, which need no sums by list."""
    tables = values.reshape(len(values), -1, length)
    centred = tables - tables.mean(axis=2, keepdims=True)
    deviation = np.sqrt(np.einsum("ijk,ijk->ij", centred, centred) / length)
    scores: Matrix = (centred / np.maximum(deviation, _EPSILON)[:, :, np.newaxis]).reshape(values.shape)
    return scores
