"""Ridge regression of many targets on sparse features, weighted."""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

Table: TypeAlias = npt.NDArray[np.float32]
FeatureMatrix: TypeAlias = "sp.csr_matrix[np.float32]"
Weights: TypeAlias = npt.NDArray[np.float64]

_L2 = 5.0  # counts as much as so many rows of mean weight
_MAX_STEPS = 100
_TOLERANCE = 1e-4  # of the residual's length, relative to its start


def ridge(features: "FeatureMatrix | Table", targets: Table, weights: Weights) -> Table:
    """[n_features, n_targets] slopes B of a weighted ridge regression; zeros where all weights are 0.

    B solves (X^T W X + 5 I) B = X^T W Y, where W = diag(weights / mean of the weights above 0). By conjugate gradients,
    so that X^T W X never exists.

    Args:
        features: X, [n_rows, n_features].
        targets: Y, [n_rows, n_targets].
        weights: [n_rows], at least 0.

    Source: Hestenes and Stiefel, Methods of conjugate gradients for solving linear systems, 1952.
    """
    used = weights > 0
    rows, weight = features[used], (weights[used] / weights[used].mean()).astype(np.float32)[:, np.newaxis]
    slopes = np.zeros((features.shape[1], targets.shape[1]), np.float32)
    residual = np.asarray(rows.T @ (weight * targets[used]))
    direction, square = residual.copy(), (residual**2).sum(axis=0)
    enough = _TOLERANCE**2 * square
    for _ in range(_MAX_STEPS):
        if (square <= enough).all():
            break
        ahead = rows.T @ (weight * (rows @ direction)) + np.float32(_L2) * direction
        step = square / np.maximum((direction * ahead).sum(axis=0), np.finfo(np.float32).tiny)
        slopes += step * direction
        residual -= step * ahead
        before, square = square, (residual**2).sum(axis=0)
        direction = residual + square / np.maximum(before, np.finfo(np.float32).tiny) * direction
    return slopes


def impute_biases(features: FeatureMatrix, biases: Table, weights: Weights) -> Table:
    """[n_rows, 1] `biases`, those of rows with weight 0 replaced by the ridge regression on features.

    A row without weight and features gets the lowest bias.

    Args:
        features: [n_rows, n_features]; row 0, the unknown's, stays.
    """
    is_new = weights == 0
    is_new[0] = False
    imputed = biases.copy()
    imputed[is_new] = biases[weights > 0].min(initial=0)
    if features.shape[1]:
        has_features = is_new & (np.diff(features.indptr) > 0)
        imputed[has_features] = features[has_features] @ ridge(features, biases, weights)
    return imputed
