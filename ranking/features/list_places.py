"""Where each row stands within its list: standard score and rank of chosen columns."""

from itertools import pairwise

import numpy as np
import numpy.typing as npt

from belfry.dataset.interactions import Positions

_EPSILON = 1e-6  # a smaller standard deviation is rounding: the values of the list are equal


def list_places(
    values: npt.NDArray[np.float64], starts: Positions
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """(standard score, log rank), each [n_columns, n_rows]; equal values rank in the order of their rows.

    Standard score: (value - mean) / standard deviation, both of the list. Log rank: log(1 + r), r = 0 for the highest.

    Args:
        values: [n_columns, n_rows].
        starts: [n_lists + 1]: rows of list i are `starts[i] : starts[i + 1]`.
    """
    standard, rank = np.empty(values.shape), np.empty(values.shape)
    for start, stop in pairwise(starts.tolist()):
        if start < stop:
            own = values[:, start:stop]
            centred = own - own.mean(axis=1, keepdims=True)
            standard[:, start:stop] = centred / np.maximum(own.std(axis=1, keepdims=True), _EPSILON)
            order = np.argsort(-own, axis=1, kind="stable")
            np.put_along_axis(rank[:, start:stop], order, np.arange(stop - start)[None], axis=1)
    return standard, np.log1p(rank)
