"""Opinion: from a ranker's score to what a list is sorted by: blended with retrieval's order, as a probability."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import expit

from ranking.base import Scores
from ranking.examples import Examples

RETRIEVAL = "standard_score"  # the feature that says where retrieval puts a candidate within its list
WEIGHTS = (0.0, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 1.5)


@dataclass(frozen=True)
class Opinion:
    """probability = sigmoid(slope * (score + retrieval_weight * standard score of retrieval) + intercept)."""

    retrieval_weight: float = 0.0
    slope: float = 1.0
    intercept: float = 0.0

    @classmethod
    def fit(cls, scores: Scores, validation: Examples, *, retrieval_weight: float | None) -> Self:
        """Weigh retrieval by NDCG@10 and calibrate, both on examples that the ranker has not learned from.

        Args:
            scores: [n_rows] of the ranker, of any scale.
            retrieval_weight: in standard deviations of `scores` for each of retrieval's; None takes the best of
                `WEIGHTS`, the smallest of equal ones.

        Source of the calibration: Platt, Probabilistic outputs for support vector machines, 1999.
        """
        unit, retrieval = _deviation(scores), validation.lists.column(RETRIEVAL)
        if retrieval_weight is None:
            worth = [validation.ndcg(_blend(scores, weight * unit, retrieval)).mean() for weight in WEIGHTS]
            retrieval_weight = WEIGHTS[int(np.argmax(worth))]
        blended = _blend(scores, retrieval_weight * unit, retrieval)
        return cls(retrieval_weight * unit, *_calibrate(blended, validation.labels > 0))

    def __call__(self, scores: Scores, retrieval: Scores) -> Scores:
        """[n_rows] float32 from 0 to 1: how probable it is that what was held back held this candidate.

        Args:
            scores: [n_rows] of the ranker.
            retrieval: [n_rows] standard scores within each list.
        """
        blended = _blend(scores, self.retrieval_weight, retrieval)
        probabilities: Scores = expit(self.slope * blended + self.intercept).astype(np.float32)
        return probabilities


def _blend(scores: Scores, retrieval_weight: float, retrieval: Scores) -> npt.NDArray[np.float64]:
    """[n_rows] in double precision: scores that hardly differ weigh retrieval by hardly more than nothing."""
    return scores.astype(np.float64) + retrieval_weight * retrieval


def _deviation(values: npt.NDArray[np.floating]) -> float:
    """Standard deviation, or 1 where all are alike."""
    return float(values.std(dtype=np.float64)) if np.ptp(values) else 1.0


def _calibrate(values: npt.NDArray[np.float64], is_positive: npt.NDArray[np.bool_]) -> tuple[float, float]:
    """(slope, intercept) of the logistic regression of `is_positive` on `values`; the slope is above 0."""
    centre, unit = values.mean(), _deviation(values)
    standard = (values - centre) / unit
    n_positives, n_negatives = is_positive.sum(), (~is_positive).sum()
    target = np.where(is_positive, (n_positives + 1) / (n_positives + 2), 1 / (n_negatives + 2))

    def loss(parameters: npt.NDArray[np.float64]) -> tuple[float, npt.NDArray[np.float64]]:
        slope = np.exp(parameters[0])
        logits = slope * standard + parameters[1]
        error = expit(logits) - target
        value = float((np.logaddexp(0, logits) - target * logits).mean())
        return value, np.array([(error * standard).mean() * slope, error.mean()])

    log_slope, offset = minimize(loss, np.array([0.0, -1.0]), jac=True, method="BFGS").x
    slope = float(np.exp(log_slope) / unit)
    return slope, float(offset - slope * centre)
