"""Ridge regression of many targets on sparse features, weighted by counts."""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

Table: TypeAlias = npt.NDArray[np.float32]
FeatureMatrix: TypeAlias = "sp.csr_matrix[np.float32]"
Counts: TypeAlias = npt.NDArray[np.int64]

_L2 = 5.0  # worth so many rows of mean weight
_MOST_STEPS = 100
_SETTLED = 1e-4


def ridge(features: FeatureMatrix, targets: Table, counts: Counts) -> Table:
    """[n_features, n_targets] that give `targets` as `features @ slopes`; zeros where all counts are 0.

    By conjugate gradients, so that a table of all pairs of features never exists.

    Args:
        features: [n_rows, n_features].
        targets: [n_rows, n_targets].
        counts: [n_rows] how much a row weighs; those of 0 play no part.

    Source: Hestenes and Stiefel, Methods of conjugate gradients for solving linear systems, 1952.
    """
    used = counts > 0
    rows, weights = features[used], (counts[used] / counts[used].mean()).astype(np.float32)[:, np.newaxis]
    slopes = np.zeros((features.shape[1], targets.shape[1]), np.float32)
    residual = np.asarray(rows.T @ (weights * targets[used]))
    direction, square = residual.copy(), (residual**2).sum(axis=0)
    enough = _SETTLED**2 * square
    for _ in range(_MOST_STEPS):
        if (square <= enough).all():
            break
        ahead = rows.T @ (weights * (rows @ direction)) + np.float32(_L2) * direction
        step = square / np.maximum((direction * ahead).sum(axis=0), np.finfo(np.float32).tiny)
        slopes += step * direction
        residual -= step * ahead
        before, square = square, (residual**2).sum(axis=0)
        direction = residual + square / np.maximum(before, np.finfo(np.float32).tiny) * direction
    return slopes


def biases_of_new(features: FeatureMatrix, biases: Table, counts: Counts) -> Table:
    """[n_rows, 1] the `biases` of rows with counts, and for the others what their features suggest.

    That is lowered by the log of the share of rows that have counts: where most have none, few of the others will
    get any. A row of which nothing is known gets the lowest bias.

    Args:
        features: [n_rows, n_features]; row 0, the unknown's, stays.
    """
    is_new = counts == 0
    is_new[0] = False
    placed = biases.copy()
    placed[is_new] = biases[counts > 0].min(initial=0)
    if features.shape[1]:
        is_told = is_new & (np.diff(features.indptr) > 0)
        share = np.count_nonzero(counts) / (len(counts) - 1)
        placed[is_told] = features[is_told] @ ridge(features, biases, counts) + np.log(max(share, 1e-9))
    return placed
