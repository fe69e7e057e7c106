"""Opinion: from a ranker's score to what a list is sorted by: blended with retrieval's order, as a probability."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import expit

from ranking.base import Scores
from ranking.examples import Examples
from ranking.lists import Lists

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
        unit = float(scores.std()) or 1.0
        standard = validation.lists.column(RETRIEVAL)
        if retrieval_weight is None:
            worth = [
                validation.ndcg((scores + weight * unit * standard).astype(np.float32)).mean() for weight in WEIGHTS
            ]
            retrieval_weight = WEIGHTS[int(np.argmax(worth))]
        slope, intercept = _calibrate(scores + retrieval_weight * unit * standard, validation.labels > 0)
        return cls(retrieval_weight * unit, slope, intercept)

    def __call__(self, scores: Scores, lists: Lists) -> Scores:
        """[n_rows] float32 from 0 to 1: how probable it is that what was held back held this candidate."""
        blended = scores + self.retrieval_weight * lists.column(RETRIEVAL)
        probabilities: Scores = expit(self.slope * blended + self.intercept).astype(np.float32)
        return probabilities


def _calibrate(scores: npt.NDArray[np.float32], is_positive: npt.NDArray[np.bool_]) -> tuple[float, float]:
    """(slope, intercept) of the logistic regression of `is_positive` on `scores`; the slope is above 0."""
    values = scores.astype(np.float64)
    centre, unit = values.mean(), values.std() or 1.0
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
