"""ScoreBlend: from a ranker's score to what a list is sorted by: blended with retrieval's order, as a probability."""

from dataclasses import dataclass, field
from typing import Self

import numpy as np
import numpy.typing as npt

from belfry.ranking.base import Scores
from belfry.ranking.calibration import Calibration, deviation
from belfry.ranking.examples import Examples

RETRIEVAL = "standard_score"  # the feature that says where retrieval puts a candidate within its list
WEIGHTS = (0.0, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 1.5)


@dataclass(frozen=True)
class ScoreBlend:
    """The probability that belongs to score + retrieval_weight * standard score of retrieval."""

    retrieval_weight: float = 0.0
    calibration: Calibration = field(default_factory=Calibration)

    @classmethod
    def fit(cls, scores: Scores, validation: Examples, *, retrieval_weight: float | None) -> Self:
        """Weigh retrieval by NDCG@10 and calibrate, both on examples that the ranker has not learned from.

        Args:
            scores: [n_rows] of the ranker, of any scale.
            retrieval_weight: in standard deviations of `scores` for each of retrieval's; None takes the best of
                `WEIGHTS`, the smallest of equal ones.
        """
        unit, retrieval = deviation(scores), validation.lists.column(RETRIEVAL)
        if retrieval_weight is None:
            worth = [validation.ndcg(_blend(scores, weight * unit, retrieval)).mean() for weight in WEIGHTS]
            retrieval_weight = WEIGHTS[int(np.argmax(worth))]
        blended = _blend(scores, retrieval_weight * unit, retrieval)
        return cls(retrieval_weight * unit, Calibration.fit(blended, validation.labels > 0))

    def __call__(self, scores: Scores, retrieval: Scores) -> Scores:
        """[n_rows] float32 probabilities.

        Args:
            scores: [n_rows] of the ranker.
            retrieval: [n_rows] standard scores within each list.
        """
        return self.calibration(_blend(scores, self.retrieval_weight, retrieval))


def _blend(scores: Scores, retrieval_weight: float, retrieval: Scores) -> npt.NDArray[np.float64]:
    """[n_rows] in double precision: scores that hardly differ weigh retrieval by hardly more than nothing."""
    return scores.astype(np.float64) + retrieval_weight * retrieval
