"""Where each row stands within its list: standard scores of chosen columns."""

import numpy as np

from belfry.dataset.interactions import Positions
from belfry.ranking.base import Matrix

_EPSILON = 1e-6  # a smaller standard deviation is rounding: the values of the list are equal


def standard_scores(values: Matrix, starts: Positions) -> Matrix:
    """[n_columns, n_rows] (value - mean) / standard deviation, both of the row's list.

    Args:
        values: [n_columns, n_rows] float32.
        starts: [n_lists + 1]: rows of list i are `starts[i] : starts[i + 1]`.
    """
    lengths = np.diff(starts)
    if not values.size:
        return values
    if (lengths == lengths[0]).all():  # as most blocks are: a table of equal lists needs no sums by list
        tables = values.reshape(len(values), len(lengths), -1)
        centred = tables - tables.mean(axis=2, keepdims=True)
        deviation = np.sqrt(np.einsum("ijk,ijk->ij", centred, centred) / lengths[0])
        scores: Matrix = (centred / np.maximum(deviation, _EPSILON)[:, :, np.newaxis]).reshape(values.shape)
        return scores
    filled = starts[:-1][lengths > 0]
    of_row, count = np.repeat(np.arange(len(filled)), lengths[lengths > 0]), lengths[lengths > 0].astype(np.float32)
    centred = values - (np.add.reduceat(values, filled, axis=1) / count)[:, of_row]
    deviation = np.sqrt(np.add.reduceat(centred**2, filled, axis=1) / count)
    return np.asarray(centred / np.maximum(deviation, _EPSILON)[:, of_row], np.float32)
