"""Calibration: from a score of any scale to the probability of a watch, in the same order."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
import scipy  # its solvers load when something is fitted

from belfry.ranking.base import Scores


@dataclass(frozen=True)
class Calibration:
    """probability = sigmoid(slope * score + intercept)."""

    slope: float = 1.0
    intercept: float = 0.0

    @classmethod
    def fit(cls, scores: npt.NDArray[np.floating], is_positive: npt.NDArray[np.bool_]) -> Self:
        """The logistic regression of `is_positive` on `scores`, both [n_rows]; the slope is above 0.

        Source: Platt, Probabilistic outputs for support vector machines, 1999.
        """
        centre, unit = scores.mean(dtype=np.float64), deviation(scores)
        standard = (scores - centre) / unit
        n_positives, n_negatives = is_positive.sum(), (~is_positive).sum()
        target = np.where(is_positive, (n_positives + 1) / (n_positives + 2), 1 / (n_negatives + 2))

        def loss(parameters: npt.NDArray[np.float64]) -> tuple[float, npt.NDArray[np.float64]]:
            slope = np.exp(parameters[0])
            logits = slope * standard + parameters[1]
            error = sigmoid(logits) - target
            value = float((np.logaddexp(0, logits) - target * logits).mean())
            return value, np.array([(error * standard).mean() * slope, error.mean()])

        log_slope, offset = scipy.optimize.minimize(loss, np.array([0.0, -1.0]), jac=True, method="BFGS").x
        slope = float(np.exp(log_slope) / unit)
        return cls(slope, float(offset - slope * centre))

    def __call__(self, scores: npt.NDArray[np.floating]) -> Scores:
        """[n_rows] float32 from 0 to 1: how probable it is that what was held back held this candidate."""
        probabilities: Scores = sigmoid(self.slope * scores.astype(np.float64) + self.intercept).astype(np.float32)
        return probabilities


def sigmoid(logits: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """1 / (1 + exp(-logits)), without overflow; a first list need not wait for SciPy's special functions."""
    return np.exp(-np.logaddexp(0, -logits))


def deviation(values: npt.NDArray[np.floating]) -> float:
    """Standard deviation, or 1 where all are alike."""
    return float(values.std(dtype=np.float64)) if np.ptp(values) else 1.0
